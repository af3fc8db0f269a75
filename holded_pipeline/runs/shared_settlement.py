"""Settling a run whose shares were read by several processes: the accounts of all shares are added up first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import attrs
import sqlalchemy as sa

from holded_pipeline.model.object_counts import ObjectVersion
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.runs.ledger import Ledger
from holded_pipeline.runs.manifests import write_manifests
from holded_pipeline.runs.object_accounts import COUNTS_PER_SINK, FIRST_SINK_AT, Counts, accounts_of
from holded_pipeline.runs.run_database import in_transaction
from holded_pipeline.runs.settlement import RunSettlement, Settlement
from holded_pipeline.runs.share_results import ShareAccounts, sink_name

T = TypeVar("T")

_AT_ONCE: Final = 2_000
_FIND_LOADS: Final = """
SELECT step, inserted, updated, objects FROM pipeline_run_loads
WHERE run_id = :run_id AND NOT attempt = ANY(CAST(:counted AS text[]))"""
_FORGET_LOADS: Final = "DELETE FROM pipeline_run_loads WHERE run_id = :run_id"
_FORGET_OLD_LOADS: Final = "DELETE FROM pipeline_run_loads WHERE loaded_at < now() - interval '7 days'"
_DUPLICATES: Final = 1  # the place in the counts of a sink


@attrs.frozen(hash=False)
class EarlierLoad:
    """What a transaction of an attempt that does not count has loaded, and is there all the same.

    Attributes:
        step: the label of the transform that loaded.
        inserted: rows that were new.
        updated: rows that replaced an older one.
        objects: both together, by object, as far as it is known.
    """

    step: str
    inserted: int
    updated: int
    objects: Mapping[ObjectVersion, int]


def earlier_loads(db: Postgres, run_id: str, counted: Sequence[str]) -> list[EarlierLoad]:
    """What attempts of a run have loaded that do not count: killed ones, and those that ran beside another.

    Args:
        db: the database of the ledger.
        run_id: the run.
        counted: the names of the attempts that count.
    """
    arguments = {"run_id": run_id, "counted": list(counted)}
    found = in_transaction(db, lambda each: each.execute(sa.text(_FIND_LOADS), arguments).all())
    return [EarlierLoad(row.step, row.inserted, row.updated, _by_object(row.objects)) for row in found]


def _by_object(objects: Sequence[Sequence[Any]]) -> dict[ObjectVersion, int]:
    return {(bucket, key, etag): number for bucket, key, etag, number in objects}


def with_earlier_counts(counts: Mapping[str, int], loads: Sequence[EarlierLoad]) -> dict[str, int]:
    """The counters of a run, in which rows of earlier attempts are new and not duplicates."""
    inserted, updated = sum(load.inserted for load in loads), sum(load.updated for load in loads)
    was_duplicate = min(inserted + updated, counts.get("write.duplicates", 0))
    changed = {
        "write.inserted": inserted,
        # A table with columns that differ each time has updated such a row again.
        "write.updated": updated - (inserted + updated - was_duplicate),
        "write.duplicates": -was_duplicate,
    }
    total = dict(counts)
    for name, change in changed.items():
        if change:
            total[name] = max(0, total.get(name, 0) + change)
    return total


def with_earlier_accounts(accounts: ShareAccounts, loads: Sequence[EarlierLoad]) -> ShareAccounts:
    """The same for the accounts of objects."""
    counts = dict(accounts.counts)
    for load in loads:
        for number, steps in enumerate(accounts.sinks):
            if load.step in steps:
                place = FIRST_SINK_AT + COUNTS_PER_SINK * number + _DUPLICATES
                for version, new in load.objects.items():
                    if version in counts:
                        counts[version] = _less(counts[version], place, new)
    return attrs.evolve(accounts, counts=counts)


def _in_batches(elements: Sequence[T]) -> Iterator[Sequence[T]]:
    return (elements[start : start + _AT_ONCE] for start in range(0, len(elements), _AT_ONCE))


def _less(counts: Counts, place: int, number: int) -> Counts:
    return (*counts[:place], max(0, counts[place] - number), *counts[place + 1 :])


@attrs.frozen
class SharedSettlement:
    """The settling of a run of several shares in a ledger.

    Args:
        ledger: the ledger.
        run_id: the run.
    """

    ledger: Ledger
    run_id: str

    def begin(self) -> None:
        """Creates the tables, and forgets what an attempt of the same run wrote down that died.

        Raises:
            ConfigurationError: a run with this id is settled, or a table or a grant is missing.
            TransientError: the database did not answer within its `retry`.
        """
        self.ledger.create_tables()
        self._settlement.begin()
        in_transaction(self.ledger.db, lambda each: each.execute(sa.text(_FORGET_OLD_LOADS)))

    def settle(self, accounts: ShareAccounts) -> Settlement:
        """Makes entries of all objects, and writes the manifests that are due.

        Args:
            accounts: those of all shares together.

        Raises:
            UnbalancedError, AlreadySettledError: as `RunSettlement.settle`.
            ConfigurationError, TransientError: as `begin`.
        """
        for elements in _in_batches(list(accounts.counts.items())):
            sums = (accounts.of_objects, accounts.without_source)
            self._settlement.add_objects(*accounts_of(elements, sums, [sink_name(each) for each in accounts.sinks]))
        for outputs in _in_batches(accounts.outputs):
            self._settlement.add_outputs(outputs)
        settled = self._settlement.settle()
        write_manifests(self.ledger.db, self.ledger.name, accounts.places)
        in_transaction(self.ledger.db, lambda each: each.execute(sa.text(_FORGET_LOADS), {"run_id": self.run_id}))
        return settled

    @property
    def _settlement(self) -> RunSettlement:
        return RunSettlement(self.ledger.db, self.ledger.name, self.run_id)
