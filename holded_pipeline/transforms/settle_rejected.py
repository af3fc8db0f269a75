"""SettleRejected: writes that the rejections which were replayed are resolved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

import apache_beam as beam
import msgspec
from apache_beam.transforms.util import WaitOn
from apache_beam.transforms.window import GlobalWindows

from holded_pipeline.model.values import Event, Outcome
from holded_pipeline.rejected.dead_letter_store import SETTLED, Resolution
from holded_pipeline.runs.manifests import ManifestPlace, write_manifest
from holded_pipeline.store.manifest_objects import ManifestLine
from holded_pipeline.store.minio import MinIO, require_minio
from holded_pipeline.store.object_names import join_key, validate_prefix
from holded_pipeline.transforms.beam.accounted import sink_of
from holded_pipeline.transforms.beam.inputs import require_events
from holded_pipeline.transforms.beam.run_id import run_id_of, step_of
from holded_pipeline.transforms.workers.write_objects import ObjectSettings, WriteObjects, WrittenObject


class SettleRejected(beam.PTransform):
    """Marks the rejections that `ReadRejected` read as resolved, once everything made of them is stored.

    Takes the PCollection `passed` of `ReadRejected` and gives one of `WrittenObject`: small objects of ids below
    `_settled/` in the dead-letter store. A rejection that is listed there is not replayed again.

    For what a `WriteMinIO` in `after` stored, a manifest is written before (see `ReadMinIO(manifest=True)`).

    Args:
        lake: the store and its bucket.
        prefix: what `ReadRejected` was given.
        after: the PCollections whose completion means that everything is stored: the receipts of every sink
            (`WritePostgres` gives an `Outcome`, which stands for its `passed`), and what `WriteRejected` gives for
            those that were rejected again.

    Example:
        >>> with beam.Pipeline(runner="FnApiRunner") as p:
        ...     replayed = p | hp.ReadRejected(lake, "rejected/")
        ...     loaded = replayed.passed | hp.WritePostgres(db)
        ...     again = (replayed.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
        ...     settled = replayed.passed | hp.SettleRejected(lake, "rejected/", after=(loaded.passed, again))

    Raises:
        ValueError: `after` is empty, or `prefix` is not a valid key prefix.
        ConfigurationError: (running) the bucket, the keys or the endpoint are wrong.
        TransientError: (running) the store did not answer within `lake.retry`.

    **Guarantees:** nothing is settled before all of `after` is complete; a run that fails earlier settles nothing, and
    its rejections are replayed again, which changes nothing. Only a run that is killed after its manifest was written,
    and before its resolutions are, leaves events that are in the next manifest, too. Rejections that are parked, or
    rejected while they were read, are not settled here: the latter are closed by what `WriteRejected` wrote.
    """

    def __init__(
        self, lake: MinIO, prefix: str, *, after: beam.PCollection | Outcome | Iterable[beam.PCollection | Outcome]
    ) -> None:
        super().__init__()
        require_minio(lake, "SettleRejected")
        self._lake = lake
        self._prefix = validate_prefix(prefix)
        given = (after,) if isinstance(after, beam.PCollection | Outcome) else tuple(after)
        self._after = tuple(each.passed if isinstance(each, Outcome) else each for each in given)
        if not self._after or not all(isinstance(each, beam.PCollection) for each in self._after):
            raise ValueError(
                "after takes the PCollections that are complete when everything is stored, "
                "e.g. after=(loaded.passed, written)"
            )

    def expand(self, events: beam.PCollection) -> beam.PCollection:
        """Ids wait for `after`, all of them in the global window: `WaitOn` waits for each window by itself."""
        require_events(events, "SettleRejected")
        after = [
            each | f"AllWindows{number}" >> beam.WindowInto(GlobalWindows())
            for number, each in enumerate(self._after, 1)
        ]
        manifests = self._manifests(after, run_id_of(events.pipeline))
        return (
            events
            | "Ids" >> beam.FlatMap(_replayed_ids).with_output_types(str)
            | "AllWindows" >> beam.WindowInto(GlobalWindows())
            | "Distinct" >> beam.Distinct()
            | "Wait" >> WaitOn(*after, *manifests)
            | "WriteResolutions"
            >> beam.ParDo(self._writer(run_id_of(events.pipeline), step_of(events.pipeline))).with_output_types(
                WrittenObject
            )
        )

    def _manifests(self, after: Sequence[beam.PCollection], run_id: str) -> list[beam.PCollection]:
        """The keys of manifests of what was stored, each written when all of `after` is complete."""
        stored: dict[ManifestPlace, list[beam.PCollection]] = {}
        for given, each in zip(self._after, after, strict=True):
            sink = sink_of(given)
            if sink is not None and sink.kind == "events" and sink.lake is not None:
                stored.setdefault(ManifestPlace(sink.lake, join_key(sink.prefix, "", "")), []).append(each)
        return [
            parts
            | f"JoinStored{number}" >> beam.Flatten()
            | f"AllStored{number}" >> beam.combiners.ToList()
            | f"AwaitAll{number}" >> WaitOn(*after)
            | f"WriteManifest{number}"
            >> beam.ParDo(_WriteManifest(place, f"replay of {self._prefix}", run_id)).with_output_types(str)
            for number, (place, parts) in enumerate(stored.items())
        ]

    def _writer(self, run_id: str, step: str) -> WriteObjects:
        settings = ObjectSettings(
            prefix=join_key(self._prefix, "", SETTLED),
            partition=None,
            compression="gzip",
            object_bytes=32 << 20,
            object_seconds=float("inf"),
            buffer_bytes=64 << 20,
        )
        return WriteObjects(self._lake, _EncodeResolution(run_id), settings, run_id=run_id, step=step, stage="settle")


def _replayed_ids(event: Event) -> Iterator[str]:
    if event.replay_of is not None:
        yield event.replay_of


class _WriteManifest(beam.DoFn):
    def __init__(self, place: ManifestPlace, owner: str, run_id: str) -> None:
        self._place = place
        self._owner = owner
        self._run_id = run_id

    def process(self, stored: list[WrittenObject]) -> Iterator[str]:
        if stored:
            lines = [ManifestLine(each.key, each.etag, each.records, each.bytes) for each in stored]
            yield write_manifest(self._place, self._owner, self._run_id, lines)


class _EncodeResolution:
    """An id to its line; a class rather than a closure, so that it is pickled by reference."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id

    def __call__(self, rejection_id: str) -> bytes:
        return msgspec.json.encode(Resolution(rejection_id, self._run_id, datetime.now(UTC)))
