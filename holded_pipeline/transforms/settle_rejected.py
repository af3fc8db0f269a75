"""SettleRejected: says in the pile that what was replayed is stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.transforms.window import GlobalWindows

from holded_pipeline.model.values import Event
from holded_pipeline.rejected.dead_letter_store import SETTLED, Resolution
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.object_names import join_key, validate_prefix
from holded_pipeline.transforms.beam.run_id import run_id_of, step_of
from holded_pipeline.transforms.workers.write_objects import ObjectSettings, WriteObjects, WrittenObject


class SettleRejected(beam.PTransform):
    """Settles the rejections that `ReadRejected` gave back, once all that was made of them is stored.

    Takes the PCollection `passed` of `ReadRejected` and gives one of `WrittenObject`: the settlement, a small object
    of ids below `_settled/` in the pile. What is settled is not replayed again.

    Args:
        lake: the store and its bucket.
        prefix: what `ReadRejected` was given.
        after: the PCollections whose completion means that everything is stored: the receipts of every sink, and
            what `WriteRejected` gives for those that were refused again.

    Raises:
        ValueError: `after` is empty, or `prefix` cannot be one.
        ConfigurationError: (running) the bucket, the keys or the endpoint are wrong.
        TransientError: (running) the store did not answer within `lake.retry`.

    **Guarantees:** nothing is settled before all of `after` is complete; a run that fails earlier settles nothing, and
    its rejections are replayed again, which changes nothing. Rejections that are parked, or refused while they were
    read, are not settled here: the latter are closed by what `WriteRejected` wrote.
    """

    def __init__(self, lake: MinIO, prefix: str, *, after: beam.PCollection | Iterable[beam.PCollection]) -> None:
        super().__init__()
        self._lake = lake
        self._prefix = validate_prefix(prefix)
        self._after = (after,) if isinstance(after, beam.PCollection) else tuple(after)
        if not self._after or not all(isinstance(each, beam.PCollection) for each in self._after):
            raise ValueError(
                "after takes the PCollections that tell that all is stored, e.g. after=(loaded.passed, written)"
            )

    def expand(self, events: beam.PCollection) -> beam.PCollection:
        """Ids wait, as a side input, for the receipts."""
        stored = tuple(
            each
            | f"AllWindows{number}" >> beam.WindowInto(GlobalWindows())
            | f"Count{number}" >> beam.combiners.Count.Globally()
            for number, each in enumerate(self._after, 1)
        )
        run_id = run_id_of(events.pipeline)
        settings = ObjectSettings(
            prefix=join_key(self._prefix, "", SETTLED),
            partition=None,
            compression="gzip",
            object_bytes=32 << 20,
            object_seconds=float("inf"),
            buffer_bytes=64 << 20,
        )
        step = step_of(events.pipeline)
        write = WriteObjects(self._lake, _Line(run_id), settings, run_id=run_id, step=step, stage="settle")
        return (
            events
            | "Ids" >> beam.FlatMap(_replay_of).with_output_types(str)
            | "AllWindows" >> beam.WindowInto(GlobalWindows())
            | "Distinct" >> beam.Distinct()
            | "Wait"
            >> beam.Map(_first_of, beam.pvalue.AsList(stored | "JoinCounts" >> beam.Flatten())).with_output_types(str)
            | "WriteSettlement" >> beam.ParDo(write).with_output_types(WrittenObject)
        )


def _replay_of(event: Event) -> Iterator[str]:
    if event.replay_of is not None:
        yield event.replay_of


def _first_of(rejection: str, _: Any) -> str:
    return rejection


class _Line:
    """A settlement's line; an object rather than a closure, so that it travels to workers by reference."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id

    def __call__(self, rejection: str) -> bytes:
        return msgspec.json.encode(Resolution(rejection, self._run_id, datetime.now(UTC)))
