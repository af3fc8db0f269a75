"""Settling a run: its objects become entries of the ledger, all or none, if every record is accounted for.

Workers write down what became of each object, and which objects with events they stored. The last step of the run
is one transaction, so a run that dies before it settles nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs
import sqlalchemy as sa

from holded_pipeline.model.errors import AlreadySettledError, ConfigurationError, UnbalancedError
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.runs.balance import ObjectAccount
from holded_pipeline.runs.run_database import in_transaction

_NAMED = 10  # objects in an error's message


@attrs.frozen
class StoredOutput:
    """An object with events that a run wrote."""

    bucket: str
    prefix: str
    key: str
    etag: str
    records: int
    bytes: int


@attrs.frozen
class Settlement:
    """A run that is settled: everything that came of its objects is durable, and every record accounted for.

    Attributes:
        run_id: the run.
        ledger: the name of the ledger.
        settled_at: when; aware.
        objects: how many objects were read.
        records: how many records they had.
        stored: records that were new.
        duplicates: records that changed nothing.
        rejected: records that were rejected.
        dropped: records that `DropEvents` left out.
    """

    run_id: str
    ledger: str
    settled_at: datetime
    objects: int
    records: int
    stored: int
    duplicates: int
    rejected: int
    dropped: int


_FORGET_ATTEMPT = "DELETE FROM {table} WHERE run_id = :run_id AND ledger = :ledger"
_ADD_OBJECTS = """
INSERT INTO pipeline_run_objects
    (run_id, ledger, bucket, key, etag, records, stored, duplicates, rejected, dropped, imbalance)
SELECT :run_id, :ledger, added.* FROM unnest(CAST(:bucket AS text[]), CAST(:key AS text[]), CAST(:etag AS text[]),
    CAST(:records AS bigint[]), CAST(:stored AS bigint[]), CAST(:duplicates AS bigint[]), CAST(:rejected AS bigint[]),
    CAST(:dropped AS bigint[]), CAST(:imbalance AS text[])) AS added
ON CONFLICT (run_id, ledger, bucket, key, etag) DO UPDATE SET records = excluded.records, stored = excluded.stored,
    duplicates = excluded.duplicates, rejected = excluded.rejected, dropped = excluded.dropped,
    imbalance = excluded.imbalance"""
_ADD_OUTPUTS = """
INSERT INTO pipeline_run_outputs (run_id, ledger, bucket, prefix, key, etag, records, bytes)
SELECT :run_id, :ledger, added.* FROM unnest(CAST(:bucket AS text[]), CAST(:prefix AS text[]), CAST(:key AS text[]),
    CAST(:etag AS text[]), CAST(:records AS bigint[]), CAST(:bytes AS bigint[])) AS added
ON CONFLICT (run_id, ledger, bucket, key) DO UPDATE SET etag = excluded.etag, records = excluded.records,
    bytes = excluded.bytes"""
_FIND_SETTLEMENT = "SELECT settled_at FROM pipeline_settlements WHERE ledger = :ledger AND run_id = :run_id"
_TOTALS = """
SELECT count(*) AS objects, coalesce(sum(records), 0)::bigint AS records, coalesce(sum(stored), 0)::bigint AS stored,
    coalesce(sum(duplicates), 0)::bigint AS duplicates, coalesce(sum(rejected), 0)::bigint AS rejected,
    coalesce(sum(dropped), 0)::bigint AS dropped, count(imbalance) AS unbalanced
FROM pipeline_run_objects WHERE run_id = :run_id AND ledger = :ledger"""
_UNBALANCED = """
SELECT bucket || '/' || key AS name, imbalance FROM pipeline_run_objects
WHERE run_id = :run_id AND ledger = :ledger AND imbalance IS NOT NULL ORDER BY bucket, key LIMIT :limit"""
# In the order of keys, so that two runs that settle the same objects cannot deadlock.
_SETTLE = """
INSERT INTO pipeline_settled_objects (ledger, bucket, key, etag, run_id, settled_at)
SELECT ledger, bucket, key, etag, run_id, now() FROM pipeline_run_objects
WHERE run_id = :run_id AND ledger = :ledger ORDER BY bucket, key, etag
ON CONFLICT DO NOTHING"""
_SETTLED_BY_OTHERS = """
SELECT settled.run_id, min(settled.bucket || '/' || settled.key) AS example, count(*) AS objects
FROM pipeline_settled_objects AS settled JOIN pipeline_run_objects AS mine USING (ledger, bucket, key, etag)
WHERE mine.run_id = :run_id AND mine.ledger = :ledger AND settled.run_id <> :run_id
GROUP BY settled.run_id ORDER BY objects DESC LIMIT 1"""
_ADD_SETTLEMENT = """
INSERT INTO pipeline_settlements (ledger, run_id, has_manifests) VALUES (:ledger, :run_id, false)
RETURNING settled_at"""
_MARK_RUN = "UPDATE pipeline_runs SET settled_at = now() WHERE run_id = :run_id"


@attrs.frozen
class RunSettlement:
    """The settling of one run in one ledger. Each call is safe to repeat.

    Args:
        db: the database of the ledger.
        ledger: its name.
        run_id: the run.
    """

    db: Postgres
    ledger: str
    run_id: str

    def begin(self) -> None:
        """Forgets what an attempt of the same run wrote down that died.

        Raises:
            ConfigurationError: a run with this id is settled.
        """

        def forget(connection: sa.Connection) -> bool:
            if connection.execute(sa.text(_FIND_SETTLEMENT), self._names).first():
                return False
            for table in ("pipeline_run_objects", "pipeline_run_outputs"):
                connection.execute(sa.text(_FORGET_ATTEMPT.format(table=table)), self._names)
            return True

        if not in_transaction(self.db, forget):
            raise ConfigurationError(
                f"the run {self.run_id!r} has settled its objects in the ledger {self.ledger!r} already; give another "
                "--run_id, or none"
            )

    def add_objects(self, accounts: Sequence[ObjectAccount], sinks: Sequence[str]) -> None:
        """Writes down what became of the records of objects."""
        columns: dict[str, list[object]] = {
            "bucket": [each.bucket for each in accounts],
            "key": [each.key for each in accounts],
            "etag": [each.etag for each in accounts],
            "records": [each.records for each in accounts],
            "stored": [each.stored for each in accounts],
            "duplicates": [each.duplicates for each in accounts],
            "rejected": [each.rejected for each in accounts],
            "dropped": [each.dropped for each in accounts],
            "imbalance": [each.imbalance(sinks) for each in accounts],
        }
        self._add(_ADD_OBJECTS, columns)

    def add_outputs(self, outputs: Sequence[StoredOutput]) -> None:
        """Writes down objects with events that were stored."""
        names = [field.name for field in attrs.fields(StoredOutput)]
        columns: dict[str, list[object]] = {name: [getattr(each, name) for each in outputs] for name in names}
        self._add(_ADD_OUTPUTS, columns)

    def _add(self, statement: str, columns: Mapping[str, Sequence[object]]) -> None:
        arguments = {**self._names, **columns}
        in_transaction(self.db, lambda connection: connection.execute(sa.text(statement), arguments))

    def settle(self) -> Settlement:
        """Makes entries of all objects of the run, in one transaction.

        Raises:
            UnbalancedError: records of an object are not accounted for.
            AlreadySettledError: another run has settled one of the objects in the meantime.
        """
        return in_transaction(self.db, self._settle)

    def _settle(self, connection: sa.Connection) -> Settlement:
        totals = dict(connection.execute(sa.text(_TOTALS), self._names).mappings().one())
        unbalanced = totals.pop("unbalanced")
        settled_at = connection.execute(sa.text(_FIND_SETTLEMENT), self._names).scalar()
        if settled_at is None:
            if unbalanced:
                self._raise_unbalanced(connection, unbalanced)
            if connection.execute(sa.text(_SETTLE), self._names).rowcount < totals["objects"]:
                self._raise_settled_by_others(connection)
            settled_at = connection.execute(sa.text(_ADD_SETTLEMENT), self._names).scalar_one()
            connection.execute(sa.text(_MARK_RUN), self._names)
        return Settlement(self.run_id, self.ledger, settled_at, **totals)

    def _raise_unbalanced(self, connection: sa.Connection, unbalanced: int) -> None:
        found = connection.execute(sa.text(_UNBALANCED), {**self._names, "limit": _NAMED}).all()
        listed = "\n".join(f"  {row.name}: {row.imbalance}" for row in found)
        more = f"\n  and {unbalanced - len(found)} more" if unbalanced > len(found) else ""
        raise UnbalancedError(
            f"the records of {unbalanced} objects are not all accounted for, so nothing is settled: a step loses or "
            "adds events, or its rejections are not written; hp.DropEvents leaves events out on purpose. The objects "
            f"are in pipeline_run_objects with run_id {self.run_id}:\n{listed}{more}"
        )

    def _raise_settled_by_others(self, connection: sa.Connection) -> None:
        other = connection.execute(sa.text(_SETTLED_BY_OTHERS), self._names).one()
        raise AlreadySettledError(
            f"the run {other.run_id} settled {other.objects} of the same objects in the ledger {self.ledger!r} in the "
            f"meantime, {other.example} among them, so this run settles nothing. Nothing is lost or doubled: its rows "
            "were there already, and its objects are in no manifest. Run again for what is left, one run at a time"
        )

    @property
    def _names(self) -> dict[str, str]:
        return {"run_id": self.run_id, "ledger": self.ledger}
