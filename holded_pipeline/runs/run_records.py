"""runs: what each run did, from the tables of runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, overload

import attrs
import sqlalchemy as sa

from holded_pipeline.model.data_frames import data_frame
from holded_pipeline.postgres.migrate import migrate
from holded_pipeline.postgres.postgres import Postgres, require_postgres
from holded_pipeline.postgres.run_tables import pipeline_run_objects, pipeline_runs
from holded_pipeline.runs.run_database import in_transaction
from holded_pipeline.runs.run_report import RunReport, RunState

KILLED_SECONDS = 60
"""A run that is `running` and was not seen for so long was killed."""

is_dead = sa.and_(
    pipeline_runs.c.state == "running",
    pipeline_runs.c.seen_at < sa.func.now() - sa.text(f"interval '{KILLED_SECONDS} seconds'"),
)
"""Of a row: its process ended without a word. The database's clock decides."""


@attrs.frozen(hash=False)
class RunObject:
    """What became of the records of one object in one run.

    Attributes:
        bucket: of the object.
        key: of the object.
        etag: the version that was read.
        records: records that were read from it.
        stored: those that are in a table or in an object now.
        duplicates: those that changed nothing.
        rejected: those that were rejected.
        dropped: those that the pipeline declared as dropped.
        imbalance: what does not add up; None if all does.
    """

    bucket: str
    key: str
    etag: str
    records: int
    stored: int
    duplicates: int
    rejected: int
    dropped: int
    imbalance: str | None


@attrs.frozen(repr=False, hash=False)
class RunRecord:
    """What is recorded of one run.

    Attributes:
        run_id: of the run.
        name: of the pipeline, mostly that of its ledger.
        state: `running`, `succeeded`, `failed`, or `killed` if its process ended without a word.
        began_at: when it began.
        seen_at: its last sign of life.
        ended_at: when it ended; None if it runs or was killed.
        settled_at: when its objects were settled; None if they were not.
        host: the machine.
        process_id: the process there.
        versions: of this library, of Beam, of Python, and of the user's code if it is known.
        arguments: the options of the pipeline, without secrets.
        counts: Beam's counters of this library, such as `read.records`.
        rejected: the rejections, by stage and reason.
        error: why it failed; None if it did not.
    """

    run_id: str
    name: str
    state: RunState
    began_at: datetime
    seen_at: datetime
    ended_at: datetime | None
    settled_at: datetime | None
    host: str
    process_id: int
    versions: Mapping[str, str]
    arguments: Mapping[str, Any]
    counts: Mapping[str, int]
    rejected: Mapping[str, Mapping[str, int]]
    error: str | None
    _db: Postgres = attrs.field(eq=False)

    @property
    def seconds(self) -> float:
        """From its begin to its end, or to its last sign of life."""
        return ((self.ended_at or self.seen_at) - self.began_at).total_seconds()

    @property
    def report(self) -> RunReport:
        """The same as a report."""
        known = (self.run_id, self.name, self.state, self.began_at, self.seconds)
        return RunReport(*known, self.counts, self.rejected, self.error)

    def objects(self) -> list[RunObject]:
        """What became of the records of each object, in the order of keys."""
        return _objects_of(self._db, self.run_id)

    def to_dict(self) -> dict[str, Any]:
        """All of it as a value that JSON can hold."""
        columns = self._columns()
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in columns.items()}

    def __repr__(self) -> str:
        return f"<RunRecord {self.run_id} of {self.name}: {self.state}, {self.report.records:,} read>"

    def _columns(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _COLUMNS}


_COLUMNS = tuple(field.name for field in attrs.fields(RunRecord) if field.name != "_db")


class RunRecords(Sequence[RunRecord]):
    """The runs of a database, the newest first; see `runs`. They are read once, when they are first needed."""

    def __init__(self, db: Postgres, name: str | None = None, limit: int | None = None) -> None:
        self._db = db
        self._name = name
        self._limit = limit
        self._loaded: list[RunRecord] | None = None

    @overload
    def __getitem__(self, which: int | str) -> RunRecord: ...
    @overload
    def __getitem__(self, which: slice) -> list[RunRecord]: ...
    def __getitem__(self, which: int | str | slice) -> RunRecord | list[RunRecord]:
        if isinstance(which, str):
            found = self.get(which)
            if found is None:
                raise KeyError(which)
            return found
        return self._records()[which]

    def __len__(self) -> int:
        return len(self._records())

    def __iter__(self) -> Iterator[RunRecord]:
        return iter(self._records())

    def get(self, run_id: str) -> RunRecord | None:
        """The run with this id, read now; None if there is none."""
        found = _read(self._db, _select_runs().where(pipeline_runs.c.run_id == run_id))
        return found[0] if found else None

    def objects(self, run_id: str) -> list[RunObject]:
        """What became of the records of each object in this run."""
        return _objects_of(self._db, run_id)

    def to_pandas(self) -> Any:
        """The runs as a `pandas.DataFrame`, a row for each.

        Raises:
            ImportError: pandas is not installed.
        """
        return data_frame((record._columns() for record in self), _COLUMNS)  # noqa: SLF001  of this file

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self))}]"

    def _records(self) -> list[RunRecord]:
        if self._loaded is None:
            query = _select_runs().order_by(pipeline_runs.c.began_at.desc(), pipeline_runs.c.run_id).limit(self._limit)
            self._loaded = _read(
                self._db, query if self._name is None else query.where(pipeline_runs.c.name == self._name)
            )
        return self._loaded


def runs(db: Postgres, name: str | None = None, *, limit: int | None = None) -> RunRecords:
    """The runs that are recorded in a database, the newest first.

    Args:
        db: the database.
        name: only those of the pipeline with this name.
        limit: at most so many, 0 or more.

    Returns:
        A sequence of `RunRecord`, with `.get(run_id)`, `[run_id]` and `to_pandas()`. Nothing is read before it is used.

    Example:
        >>> hp.runs(db).get("no such run") is None
        True

    Raises:
        ValueError: the limit is less than 0.
        ConfigurationError: (using it) the database cannot be used as it is set up.
        TransientError: (using it) the database did not answer within `db.retry`.

    **Guarantees:** a run whose process ended without a word is shown as `killed` when it was not seen for a minute, by
    the database's clock. The tables are created if they do not exist.
    """
    require_postgres(db, "runs")
    if limit is not None and limit < 0:
        raise ValueError(f"limit must be 0 or more, got {limit}")
    return RunRecords(db, name, limit)


def _select_runs() -> sa.Select[Any]:
    columns = [column for column in pipeline_runs.c if column.name != "state"]
    return sa.select(*columns, sa.case((is_dead, "killed"), else_=pipeline_runs.c.state).label("state"))


def _read(db: Postgres, query: sa.Select[Any]) -> list[RunRecord]:
    return [RunRecord(**row, db=db) for row in _fetch(db, query)]


def _objects_of(db: Postgres, run_id: str) -> list[RunObject]:
    table = pipeline_run_objects
    columns = [table.c[field.name] for field in attrs.fields(RunObject)]
    query = sa.select(*columns).where(table.c.run_id == run_id).order_by(table.c.bucket, table.c.key, table.c.etag)
    return [RunObject(**row) for row in _fetch(db, query)]


def _fetch(db: Postgres, query: sa.Select[Any]) -> list[dict[str, Any]]:
    migrate(db)
    return in_transaction(db, lambda each: [dict(row) for row in each.execute(query).mappings()])
