"""WriteRejected: writes rejected records to the dead-letter store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import apache_beam as beam

from holded_pipeline.model.values import Outcome
from holded_pipeline.rejected.error_budget import ErrorBudget, MaxRejected
from holded_pipeline.rejected.rejections import to_line
from holded_pipeline.store.compression import Compression
from holded_pipeline.store.minio import MinIO, require_minio
from holded_pipeline.store.object_names import rejected_partition
from holded_pipeline.transforms.beam.accounted import ANY_LEDGER, CHECKED, Sink, remember_counts, remember_sink
from holded_pipeline.transforms.beam.inputs import require_rejected
from holded_pipeline.transforms.beam.outcome import to_global_window
from holded_pipeline.transforms.beam.run_id import run_id_of, step_of
from holded_pipeline.transforms.beam.several_inputs import SeveralInputs
from holded_pipeline.transforms.workers.error_budget import TALLY, CheckBudget, WriteAndTally
from holded_pipeline.transforms.workers.write_objects import ObjectSettings, WriteObjects, WrittenObject


class WriteRejected(SeveralInputs):
    """Writes rejected records as JSON lines, in a folder for each stage and day: `stage=validate/date=2026-11-23/…`.

    Takes a PCollection of `Rejected`, or a tuple or list of them, and gives a PCollection of `WrittenObject`. It can
    also be the consumer of Beam's `ErrorHandler`.

    Args:
        lake: the store and its bucket.
        prefix: what all keys begin with, e.g. `rejected/`.
        max_rejected: the error budget: how many records (int), or which share of those in `of` (float below 1), may
            be rejected before the run fails; a mapping such as `{"validate": 0.01, "write": 10, "*": 1000}` sets a
            limit for each stage, `*` meaning all of them. 0 tolerates none, None any number.
        of: the records that a share refers to: an `Outcome` (all its records), a PCollection, or a tuple of these.
        compression: `gzip`, `zstd` or None.
        object_bytes: an object is stored when it has this many bytes, compressed.
        object_seconds: or when it is this old and another record comes.

    Example:
        >>> with beam.Pipeline(runner="FnApiRunner") as p:
        ...     raw = p | hp.ReadMinIO(lake, "raw/")
        ...     checked = raw.passed | hp.ValidateSchema(schemas, subject="{type}")
        ...     rejected = (raw.rejected, checked.rejected)
        ...     written = rejected | hp.WriteRejected(lake, "rejected/", max_rejected=0.5, of=raw)

    Raises:
        ValueError: an argument is wrong, or `max_rejected` is a share and `of` is missing.
        TooManyRejectedError: (running) the error budget is exceeded; the message has the figures, the most frequent
            reasons and an example of each.
        ConfigurationError: (running) the bucket, the keys or the endpoint are wrong.
        TransientError: (running) the store did not answer within `lake.retry`.

    **Guarantees:** as `WriteMinIO`; each line fits `rejected.schema.json`, which ships with the package, and holds
    the original record to the byte. The budget is checked against what was written, so the run never fails before
    the rejections that exceed it are in the store; past a count it stops at once, past a share at the end.
    """

    def __init__(
        self,
        lake: MinIO,
        prefix: str,
        *,
        max_rejected: MaxRejected | None = None,
        of: Any = None,
        compression: Compression | None = "gzip",
        object_bytes: int = 32 << 20,
        object_seconds: float = 60.0,
    ) -> None:
        super().__init__()
        require_minio(lake, "WriteRejected")
        self._lake = lake
        self._budget = None if max_rejected is None else ErrorBudget.of(max_rejected)
        self._of = _collect_pcollections(of)
        if self._budget is not None and self._budget.has_shares and not self._of:
            raise ValueError("max_rejected is a share, so say of which records, e.g. of=raw; or give a count (int)")
        self._settings = ObjectSettings(
            prefix=prefix,
            partition=rejected_partition,
            compression=compression,
            object_bytes=object_bytes,
            object_seconds=object_seconds,
            buffer_bytes=4 * object_bytes,
        )

    def expand(self, rejected: beam.PCollection | Iterable[beam.PCollection]) -> beam.PCollection:
        """Writes each input by itself; with a budget the inputs are joined first, to be counted together."""
        is_tuple = isinstance(rejected, tuple | list) and not isinstance(rejected, Outcome)
        given = tuple(rejected) if is_tuple else (rejected,)
        for each in given:
            require_rejected(each, "WriteRejected")
        parts = tuple(to_global_window(part, f"ToGlobalWindow{number}") for number, part in enumerate(given, 1))
        written = self._write(parts)
        remember_sink(written, Sink("rejected", step_of(written.pipeline), self._lake, self._settings.prefix))
        return written

    def _write(self, parts: tuple[beam.PCollection, ...]) -> beam.PCollection:
        if self._budget is not None:
            joined = parts[0] if len(parts) == 1 else parts | "JoinRejected" >> beam.Flatten()
            return self._write_counted(joined, self._budget)
        # One writer for each input, not one behind a Flatten, where a runner may hold all records at once.
        written = tuple(
            part
            | f"WriteObjects{number or ''}"
            >> beam.ParDo(self._writer(WriteObjects, part, number)).with_output_types(WrittenObject)
            for number, part in enumerate(parts)
        )
        return written[0] if len(written) == 1 else written | "JoinWritten" >> beam.Flatten()

    def _write_counted(self, rejected: beam.PCollection, budget: ErrorBudget) -> beam.PCollection:
        writer = self._writer(WriteAndTally, rejected, budget=budget)
        outputs = rejected | "WriteObjects" >> beam.ParDo(writer).with_outputs(TALLY, main="written")
        outputs.written.element_type = WrittenObject
        checked = outputs[TALLY] | "CheckBudget" >> CheckBudget(budget, self._of)
        remember_counts(CHECKED, ANY_LEDGER, checked)  # a run above its budget settles nothing
        return outputs.written

    def _writer(
        self, kind: type[WriteObjects], rejected: beam.PCollection, number: int = 0, **settings: Any
    ) -> WriteObjects:
        run_id, step = run_id_of(rejected.pipeline), f"{step_of(rejected.pipeline)}/{number}"
        return kind(self._lake, to_line, self._settings, run_id=run_id, step=step, stage="write_rejected", **settings)


def _collect_pcollections(of: Any) -> tuple[beam.PCollection, ...]:
    """The PCollections in the argument `of`: one, an `Outcome`, or a tuple of these."""
    if of is None:
        return ()
    if isinstance(of, beam.PCollection):
        return (of,)
    if isinstance(of, Outcome | tuple | list):
        return tuple(part for each in of for part in _collect_pcollections(each))
    raise TypeError(f"of must be an Outcome, a PCollection or a tuple of them, got {type(of).__name__}")
