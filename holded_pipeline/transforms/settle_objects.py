"""SettleObjects: says in the ledger that what a run has read need not be read again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, cast

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.model.values import Outcome
from holded_pipeline.runs.ledger import Ledger, require_ledger
from holded_pipeline.runs.manifests import ManifestPlace
from holded_pipeline.runs.object_accounts import (
    COUNTS_PER_SINK,
    DEAD_LETTERS_AT,
    DROPPED_AT,
    FIRST_SINK_AT,
    READ_AT,
    add_counts,
)
from holded_pipeline.runs.settlement import RunSettlement, Settlement, StoredOutput
from holded_pipeline.runs.share_results import sink_name
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.object_names import join_key
from holded_pipeline.transforms.beam.accounted import (
    CHECKED,
    DROPPED,
    READ,
    SETTLED,
    Sink,
    counts_of,
    remember_counts,
    sink_of,
)
from holded_pipeline.transforms.beam.run_id import run_id_of
from holded_pipeline.transforms.beam.several_inputs import SeveralInputs
from holded_pipeline.transforms.beam.share_of_run import Settling, attempt_of, remember_settling
from holded_pipeline.transforms.workers.counts_by_object import (
    AddAll,
    by_object,
    counted_at,
    objects_at,
    read_at,
    received_at,
)
from holded_pipeline.transforms.workers.settle import (
    Accounts,
    AccountsOfRun,
    AccountsOfShare,
    RecordAccounts,
    RecordOutputs,
    SettleRun,
)
from holded_pipeline.transforms.workers.write_objects import WrittenObject

Parts = tuple[tuple[beam.PCollection, Sink], ...]
"""The PCollections of one sink, each with what it is the output of."""


class SettleObjects(SeveralInputs):
    """Settles the objects that `ReadMinIO(new_only=ledger)` read, when everything that came of them is durable.

    Takes a tuple or list of what the sinks returned: `WriteMinIO`, `WritePostgres` (the `Outcome` or its `passed`) and
    `WriteRejected`, in any order. A tuple in it, such as `(stored, (invoices, others), written)`, has the parts of one
    sink: each event is in one of them. Gives a PCollection of one `Settlement`.

    At the end of a run it checks of each object that records read = stored + duplicates + rejected + dropped, writes
    that to `pipeline_run_objects`, makes the entries of the ledger, and writes a manifest of the objects with events
    below the prefix of each `WriteMinIO` (see `ReadMinIO(manifest=True)`).

    Args:
        ledger: the one that `ReadMinIO` was given.

    Example:
        >>> ledger = hp.Ledger(db, "orders")
        >>> with beam.Pipeline(runner="FnApiRunner") as p:
        ...     raw = p | hp.ReadMinIO(lake, "raw/", new_only=ledger)
        ...     stored = raw.passed | hp.WriteMinIO(lake, "enriched/")
        ...     loaded = raw.passed | hp.WritePostgres(db)
        ...     written = (raw.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
        ...     settled = (stored, loaded, written) | hp.SettleObjects(ledger)

    Raises:
        TypeError: a PCollection is not what a sink returned, or none is of a sink for events.
        ConfigurationError: (applying) nothing in the pipeline reads with this ledger; (running) a table or a grant is
            missing, or a run with this id was settled before.
        UnbalancedError: (running) records are not accounted for; the message names their objects.
        AlreadySettledError: (running) another run settled the same objects in the meantime.
        TransientError: (running) the database or the store did not answer within its `retry`.

    **Guarantees:** all objects of a run are settled, or none. What a run that died has written is in no manifest, and
    its objects are read again. Only counts are shuffled. Rows and objects made of elements without a source cannot be
    counted by object: a sink that has only such is waited for, and not checked.
    """

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        require_ledger(ledger, "SettleObjects")
        self._ledger = ledger

    def expand(self, written: Any) -> beam.PCollection:
        """Joins the counts by object; the step that joins them waits for everything before it."""
        sinks, dead_letters = _divide(written)
        pipeline = sinks[0][0][0].pipeline
        read = self._reads(pipeline)
        size = FIRST_SINK_AT + COUNTS_PER_SINK * len(sinks)
        dropped = counts_of(pipeline, DROPPED)
        entries = [
            *by_object(read, "Read", partial(read_at, READ_AT, size)),
            *by_object(dropped, "Dropped", partial(counted_at, DROPPED_AT, size)),
            *by_object([part for part, _ in dead_letters], "Rejected", partial(objects_at, DEAD_LETTERS_AT, size)),
        ]
        for number, parts in enumerate(sinks):
            place = FIRST_SINK_AT + COUNTS_PER_SINK * number
            entries += by_object([part for part, _ in parts], f"Sink{number}", partial(received_at, place, size))
        accounts_go_to = self._accounts(pipeline, sinks)
        summed = entries | "JoinCounts" >> beam.Flatten() | "AddCounts" >> beam.CombinePerKey(add_counts)
        sums = summed | "AddAll" >> beam.CombineGlobally(AddAll())
        accounts = summed | "RecordAccounts" >> beam.ParDo(
            RecordAccounts(accounts_go_to), beam.pvalue.AsSingleton(sums)
        ).with_output_types(int)
        outputs = self._outputs(sinks, accounts_go_to, sums)
        settled = (
            (accounts, *outputs, *counts_of(pipeline, CHECKED))
            | "JoinRecorded" >> beam.Flatten()
            | "AwaitAll" >> beam.CombineGlobally(sum)
            | "Settle" >> beam.ParDo(SettleRun(accounts_go_to)).with_output_types(Settlement)
        )
        remember_counts(SETTLED, self._names, settled)
        return settled

    def _accounts(self, pipeline: beam.Pipeline, sinks: list[Parts]) -> Accounts:
        """Where the accounts go; those of a share of a run are added up with the others'."""
        steps = tuple(tuple(sink.step for _, sink in parts) for parts in sinks)
        places = tuple(_place_of(sink) for parts in sinks for _, sink in parts if sink.lake is not None)
        attempt = attempt_of(pipeline)
        if attempt is not None:
            remember_settling(pipeline, Settling(self._ledger, steps, places))
            return AccountsOfShare(attempt)
        settlement = RunSettlement(self._ledger.db, self._ledger.name, run_id_of(pipeline))
        return AccountsOfRun(settlement, tuple(map(sink_name, steps)), places)

    @property
    def _names(self) -> tuple[str, str]:
        return self._ledger.db.url, self._ledger.name

    def _reads(self, pipeline: beam.Pipeline) -> tuple[beam.PCollection, ...]:
        """What was read with the ledger, if nothing settles it yet."""
        for earlier in counts_of(pipeline, SETTLED, self._names):
            step = earlier.producer.full_label.rpartition("/")[0]
            raise ConfigurationError(
                f"{step} settles the ledger {self._ledger.name!r} already, and would not wait for these sinks; give "
                "all sinks to one hp.SettleObjects, in one tuple"
            )
        read = counts_of(pipeline, READ, self._names)
        if not read:
            raise ConfigurationError(
                f"nothing in this pipeline reads with the ledger {self._ledger.name!r} of this database; pass it to "
                "hp.ReadMinIO(..., new_only=ledger)"
            )
        return read

    def _outputs(
        self, sinks: Iterable[Parts], accounts_go_to: Accounts, sums: beam.PCollection
    ) -> list[beam.PCollection]:
        """What records the objects with events."""
        recorded = []
        stored = [(part, sink) for parts in sinks for part, sink in parts if sink.lake is not None]
        for number, (part, sink) in enumerate(stored):
            recorded.append(
                part
                | f"AllWindowsOfOutputs{number}" >> beam.WindowInto(GlobalWindows())
                | f"Outputs{number}" >> beam.Map(partial(_output_of, _place_of(sink))).with_output_types(StoredOutput)
                | f"RecordOutputs{number}"
                >> beam.ParDo(RecordOutputs(accounts_go_to), beam.pvalue.AsSingleton(sums)).with_output_types(int)
            )
        return recorded


def _place_of(sink: Sink) -> ManifestPlace:
    """Where the manifests of a sink belong that has a store."""
    return ManifestPlace(cast("MinIO", sink.lake), join_key(sink.prefix, "", ""))


def _divide(written: Any) -> tuple[list[Parts], Parts]:
    """The sinks for events, each with its parts, and the parts with dead letters."""
    given = (written,) if isinstance(written, beam.PCollection | Outcome) else tuple(written)
    sinks: list[Parts] = []
    dead_letters: list[tuple[beam.PCollection, Sink]] = []
    for each in given:
        parts = tuple(_parts_of(each))
        kinds = {sink.kind == "rejected" for _, sink in parts}
        if kinds == {True}:
            dead_letters += parts
        elif kinds == {False}:
            sinks.append(parts)
        else:
            raise TypeError("an inner tuple of SettleObjects has parts of one sink; give WriteRejected's beside it")
    if not sinks:
        raise TypeError("SettleObjects takes at least one sink for events: what WriteMinIO or WritePostgres returned")
    return sinks, tuple(dead_letters)


def _parts_of(given: Any) -> Iterator[tuple[beam.PCollection, Sink]]:
    if isinstance(given, beam.PCollection):
        sink = sink_of(given)
        if sink is None:
            raise TypeError(
                f"{given} is not what a sink returned; give SettleObjects what WriteMinIO, WritePostgres and "
                "WriteRejected returned, as they returned it, in a tuple"
            )
        yield given, sink
    elif isinstance(given, Outcome):
        yield from _parts_of(given.passed)
    elif isinstance(given, tuple | list) and given:
        for each in given:
            yield from _parts_of(each)
    else:
        raise TypeError(f"SettleObjects takes PCollections of sinks, got {type(given).__name__}")


def _output_of(place: ManifestPlace, written: WrittenObject) -> StoredOutput:
    return StoredOutput(place.lake.bucket, place.prefix, written.key, written.etag, written.records, written.bytes)
