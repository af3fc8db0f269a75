"""Inside a pipeline that a team has already: its own source, its own sinks, its own handling of errors stay.

    python examples/inside_your_pipeline.py                   in a temporary folder; no server is needed
    python examples/inside_your_pipeline.py --folder data     keeps the files

Only the two steps in the middle of `build` are new: a check against a schema and a quality score. Each joins the
team's `ErrorHandler` by `with_error_handler`, and then returns one PCollection, as the team's steps do. What becomes of
an error is the handler's business. It must take our `Rejected` beside what Beam makes of an exception.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

# First the library, then Beam, so that Beam says nothing about packages that it does not need.
import holded_pipeline as hp  # isort: skip
import apache_beam as beam
from apache_beam.io import WriteToText
from apache_beam.transforms.error_handling import ErrorHandler
from small_example import run_in_folder

ORDERS = """number,customer,cents,day
A-1,bakery,12100,2026-01-12
A-2,cinema,-5,2026-01-12
A-3,bakery,700,12 January
A-4,,900,2026-01-13
A-5,cinema,2050,2026-01-13
"""

# What the team has: a source, a step that may fail, sinks.


class ReadOrders(beam.DoFn):  # type: ignore[misc]  # Beam has no types
    """The team's source: the orders of a CSV file, as dictionaries."""

    def process(self, file: str) -> Iterator[dict[str, str]]:
        """Reads one file."""
        with Path(file).open(encoding="utf-8", newline="") as lines:
            yield from csv.DictReader(lines)


def order_of(fields: Mapping[str, str]) -> dict[str, Any]:
    """The team's parsing step. It raises where a field is no number or no date."""
    return {**fields, "cents": int(fields["cents"]), "day": date.fromisoformat(fields["day"])}


class WriteErrors(beam.PTransform):  # type: ignore[misc]
    """The team's error sink, the consumer of its ErrorHandler: a line of text for each error."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix

    def expand(self, errors: beam.PCollection) -> beam.PCollection:
        """Writes the errors."""
        return errors | beam.Map(error_line) | WriteToText(self._prefix, ".jsonl")


def error_line(error: Any) -> str:
    """An error as a line: a `Rejected`, or Beam's pair of an element and its exception."""
    if isinstance(error, hp.Rejected):
        return json.dumps({"step": error.stage, "error": error.message, "record": error.raw.decode()})
    record, (_, message, _) = error
    return json.dumps({"step": "parse", "error": message, "record": str(record)})


# What is new: the way to an event and back, and a schema.

SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "order": {
        "properties": {"cents": {"type": "integer", "minimum": 0}, "customer": {"type": "string", "minLength": 1}}
    }
}


def as_event(order: Mapping[str, Any]) -> hp.Event:
    """An order as an event, whose data are JSON: the date becomes text."""
    day = order["day"]
    return hp.Event(
        id=order["number"],
        type="order",
        company_id=order["customer"],
        occurred_at=datetime(day.year, day.month, day.day, tzinfo=UTC),
        data={**order, "day": day.isoformat()},
    )


def order_line(event: hp.Event) -> str:
    """A line for the team's sink: the order, and what Enrich found."""
    return json.dumps({**event.data, "quality": event.metadata["quality"]["score"]})


def build(pipeline: beam.Pipeline, folder: Path) -> None:
    """The team's pipeline with two new steps. Beam raises if the handler is not closed, so no error can be lost."""
    with ErrorHandler(WriteErrors(str(folder / "errors"))) as handler:
        files = pipeline | beam.Create([str(folder / "orders.csv")])
        orders = files | beam.ParDo(ReadOrders()) | "Parse" >> beam.Map(order_of).with_error_handler(handler)

        events = orders | "AsEvent" >> beam.Map(as_event)
        checked = events | hp.ValidateSchema(SCHEMAS, subject="{type}").with_error_handler(handler)
        enriched = checked | hp.Enrich("quality").with_error_handler(handler)

        _ = enriched | "Line" >> beam.Map(order_line) | WriteToText(str(folder / "good_orders"), ".jsonl")


def show(folder: Path) -> int:
    """Runs the pipeline once; returns 0 if every order is in one of the two files."""
    (folder / "orders.csv").write_text(ORDERS, encoding="utf-8")
    pipeline = beam.Pipeline(runner="FnApiRunner")
    build(pipeline, folder)
    hp.run(pipeline)
    lines = {
        name: [line for file in folder.glob(f"{name}-*") for line in file.read_text(encoding="utf-8").splitlines()]
        for name in ("good_orders", "errors")
    }
    for name, found in lines.items():
        print(f"{name}:", *found, sep="\n  ")
    return 0 if sum(map(len, lines.values())) == len(ORDERS.splitlines()) - 1 else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if every order is accounted for."""
    return run_in_folder(__doc__, show, argv)


if __name__ == "__main__":
    sys.exit(main())
