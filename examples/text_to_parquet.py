"""Between Beam's own transforms: lines of text in by ReadFromText, Parquet out by WriteToParquet. No server is needed.

    python examples/text_to_parquet.py                  in a temporary folder
    python examples/text_to_parquet.py --folder data    keeps the files

ValidateSchema and Enrich take any PCollection of `Event`, wherever it comes from. Beam's WriteToParquet needs pyarrow,
which apache-beam installs itself. Here the rejections become text, too; with a store use WriteRejected.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

# First the library, then Beam, so that Beam says nothing about packages that it does not need.
import holded_pipeline as hp  # isort: skip
import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io import ReadFromText, WriteToText
from apache_beam.io.parquetio import WriteToParquet
from small_example import lines_of, run_in_folder

SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "reading": {
        "type": "object",
        "required": ["station", "at", "celsius"],
        "properties": {"station": {"type": "string"}, "celsius": {"type": "number", "minimum": -90, "maximum": 60}},
    }
}
COLUMNS = pa.schema(
    [
        ("station", pa.string()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("celsius", pa.decimal128(5, 2)),
        ("frost", pa.bool_()),
    ]
)
SAMPLE = [
    {"station": "Reus", "at": "2026-01-12T06:00:00+01:00", "celsius": -1.5},
    {"station": "Reus", "at": "2026-01-12T12:00:00+01:00", "celsius": 11.25},
    {"station": "Vic", "at": "2026-01-12T06:00:00+01:00", "celsius": 950},  # the schema rejects it
    "station Vic did not answer",  # no JSON: Beam's own exception handling takes it
]


def as_event(line: str) -> hp.Event:
    """A line of text as an event. Its text goes along as `raw`, so that a rejection has it as it was written."""
    reading = json.loads(line, parse_float=Decimal)
    return hp.Event(
        id=f"{reading['station']}/{reading['at']}",
        type="reading",
        company_id=reading["station"],
        occurred_at=datetime.fromisoformat(reading["at"]),
        data=reading,
        raw=line.encode(),
    )


def frost(event: hp.Event) -> dict[str, bool]:
    """An enricher: whether water freezes."""
    return {"is": event.data["celsius"] < 0}


def parquet_row(event: hp.Event) -> dict[str, Any]:
    """What WriteToParquet takes: a dictionary with the columns."""
    celsius = Decimal(str(event.data["celsius"])).quantize(Decimal("0.01"))
    return {
        "station": event.company_id,
        "at": event.occurred_at,
        "celsius": celsius,
        "frost": event.metadata["frost"]["is"],
    }


def rejection_line(rejected: hp.Rejected) -> str:
    """A rejection as a line of text."""
    return json.dumps({"reason": rejected.reason, "message": rejected.message, "record": rejected.raw.decode()})


def unreadable_line(failed: tuple[str, tuple[type, str, list[str]]]) -> str:
    """A line that `as_event` could not read, with the exception, as Beam's `with_exception_handling` gives it."""
    line, (_, error, _) = failed
    return json.dumps({"reason": "unreadable", "message": error, "record": line})


def build(pipeline: beam.Pipeline, folder: Path) -> None:
    """The pipeline: Beam's source, our two steps, Beam's sinks."""
    lines = pipeline | ReadFromText(str(folder / "readings*.jsonl"))
    events, unreadable = lines | "AsEvent" >> beam.Map(as_event).with_exception_handling()

    checked = events | hp.ValidateSchema(SCHEMAS, subject="{type}")
    enriched = checked.passed | hp.Enrich(frost)

    rows = enriched.passed | "AsRow" >> beam.Map(parquet_row)
    _ = rows | WriteToParquet(str(folder / "readings"), COLUMNS, file_name_suffix=".parquet")

    rejected = (checked.rejected, enriched.rejected) | "AllRejected" >> beam.Flatten()
    rejected_lines = rejected | "RejectionLine" >> beam.Map(rejection_line)
    unreadable_lines = unreadable | "UnreadableLine" >> beam.Map(unreadable_line)
    _ = (rejected_lines, unreadable_lines) | beam.Flatten() | WriteToText(str(folder / "rejected"), ".jsonl")


def show(folder: Path) -> int:
    """Writes a sample, runs the pipeline and reads back; returns 0 if every line is in one of the two outputs."""
    (folder / "readings.jsonl").write_bytes(lines_of(SAMPLE))
    pipeline = beam.Pipeline(runner="FnApiRunner")
    build(pipeline, folder)
    hp.run(pipeline)

    stored = [row for file in sorted(folder.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]
    rejected = [line for file in sorted(folder.glob("rejected*")) for line in file.read_text("utf-8").splitlines()]
    for row in stored:
        print(f"{row['at']}  {row['station']:<8}{row['celsius']:>8}  {'frost' if row['frost'] else ''}")
    print(*rejected, sep="\n")
    return 0 if len(stored) + len(rejected) == len(SAMPLE) else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if every line is accounted for."""
    return run_in_folder(__doc__, show, argv)


if __name__ == "__main__":
    sys.exit(main())
