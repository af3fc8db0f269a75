"""WritePostgres: elements to rows, without a JVM and without losing one."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
import attrs
import sqlalchemy as sa
from apache_beam.transforms.window import BoundedWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from holded_pipeline.clients.copy_format import RowFormat
from holded_pipeline.clients.migrate import migrate
from holded_pipeline.clients.postgres import Postgres
from holded_pipeline.clients.table_loader import Keep, Loaded, OnConflict, TableLoader
from holded_pipeline.core.errors import RejectRecord
from holded_pipeline.core.event_row import event_row
from holded_pipeline.core.rejections import raw_of, reject
from holded_pipeline.core.tables import business_events
from holded_pipeline.core.values import Event, Outcome
from holded_pipeline.transforms.outcome import PASSED, REJECTED, Counters, RejectingTransform
from holded_pipeline.transforms.run_id import run_id_of

_STAGE = "write"
_IN_FLIGHT = 2  # batches handed to the writer thread and not yet done; more would only hold memory

RowFunction = Callable[[Any], Mapping[str, Any]]


@attrs.frozen
class Receipt:
    """What became of one batch: `rows` is the sum of the four counts after it.

    Attributes:
        table: the table's name.
        rows: elements in the batch.
        inserted: rows that were new.
        updated: rows that replaced an older one that differed.
        duplicates: rows whose key was there already, in the table or in the batch, and that changed nothing.
        rejected: rows that were refused; each is an element of the `rejected` output.
    """

    table: str
    rows: int
    inserted: int
    updated: int
    duplicates: int
    rejected: int


class WritePostgres(RejectingTransform[Receipt]):
    """Loads elements into PostgreSQL by COPY and merge.

    Takes a PCollection of `Event` for the table `business_events`, or with `table` and `row` one of anything, and
    gives an `Outcome`: `passed` is a PCollection of `Receipt`, one for each batch, `rejected` one of `Rejected` with
    stage `write`.

    Args:
        db: the database.
        table: a SQLAlchemy table that exists in the database. None for `business_events`, which is made and migrated
            as needed (see `migrate`), with triggers that keep `company_analytics` and `event_type_summaries`.
        row: a function `(element) -> {column: value}` for `table`; it may raise `RejectRecord`. Columns it leaves
            out get their defaults.
        on_conflict: what a row does whose primary key is there already: `ignore` leaves the stored row as it is,
            `update` replaces it where they differ (columns with `Column.info["volatile"]` are no difference),
            `error` rejects the new one with reason `unique_violation`.
        keep: which of several rows with one key in one batch counts: `first`, or with `update` also `newest`,
            the one that came last.
        migrate: whether `business_events` is made and migrated by the workers.
        batch_rows: rows loaded together at most.
        batch_bytes: bytes loaded together at most.
        batch_seconds: a batch this old is loaded when another element comes.

    Raises:
        ValueError: an argument is wrong.
        ConfigurationError: (running) a grant, the table, a column or the database is missing; the message says which.
        TransientError: (running) the server did not answer within `db.retry`.

    **Guarantees:** a row is committed before its bundle ends; a bundle that is tried again changes nothing the second
    time (for tables with a primary key, and not with `on_conflict="error"`). Only a row's own fault (SQLSTATE class
    22, 23 or 54, or a value its column cannot hold) rejects it; its neighbours commit. Without a primary key rows are
    inserted at least once. No order across batches. Parallel over bundles, safe for overlapping keys.
    """

    def __init__(
        self,
        db: Postgres,
        *,
        table: sa.Table | None = None,
        row: RowFunction | None = None,
        on_conflict: OnConflict = "ignore",
        keep: Keep = "first",
        migrate: bool = True,
        batch_rows: int = 5_000,
        batch_bytes: int = 8 << 20,
        batch_seconds: float = 10.0,
    ) -> None:
        super().__init__()
        _check_choices(table, row, on_conflict, keep)
        for name, value in (("batch_rows", batch_rows), ("batch_bytes", batch_bytes)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self._db = db
        self._settings = _Settings(
            table=business_events if table is None else table,
            row=row or event_row,
            migrate=migrate and table is None,
            on_conflict=on_conflict,
            keep=keep,
            batch_rows=batch_rows,
            batch_bytes=batch_bytes,
            batch_seconds=batch_seconds,
        )

    def expand(self, elements: beam.PCollection) -> Outcome:
        """One ParDo: elements are loaded where they are."""
        load = _LoadRows(self._db, self._settings, run_id_of(elements.pipeline))
        outputs = elements | "LoadRows" >> beam.ParDo(load).with_outputs(REJECTED, main=PASSED)
        outcome: Outcome = self._outcome(outputs[PASSED], outputs[REJECTED], Receipt)
        return outcome


def _check_choices(table: Any, row: Any, on_conflict: str, keep: str) -> None:
    if (table is None) != (row is None):
        raise ValueError("table and row go together: a table of your own needs a function that makes its rows")
    if table is not None and not isinstance(table, sa.Table):
        raise TypeError(f"table must be a sqlalchemy.Table, got {type(table).__name__}")
    if on_conflict not in ("ignore", "update", "error"):
        raise ValueError(f'on_conflict must be "ignore", "update" or "error", got {on_conflict!r}')
    if keep not in ("first", "newest"):
        raise ValueError(f'keep must be "first" or "newest", got {keep!r}')
    if keep == "newest" and on_conflict != "update":
        raise ValueError('keep="newest" needs on_conflict="update": otherwise the first row to come stays')


@attrs.frozen
class _Settings:
    table: sa.Table
    row: RowFunction
    migrate: bool
    on_conflict: OnConflict
    keep: Keep
    batch_rows: int
    batch_bytes: int
    batch_seconds: float


@attrs.frozen
class _Row:
    """An element on its way, with what its rejection would need."""

    element: Any
    timestamp: Timestamp
    window: BoundedWindow


class _Batch:
    """Rows that fill the same columns."""

    def __init__(self, now: float) -> None:
        self.begun = now
        self.rows: list[_Row] = []
        self.lines: list[bytes] = []
        self.size = 0

    def add(self, row: _Row, line: bytes) -> None:
        self.rows.append(row)
        self.lines.append(line)
        self.size += len(line)


class _LoadRows(beam.DoFn):
    """Formats rows while a thread of its own loads the batches before."""

    def __init__(self, db: Postgres, settings: _Settings, run_id: str) -> None:
        self._db = db
        self._settings = settings
        self._run_id = run_id
        self._counters = Counters(_STAGE)

    def setup(self) -> None:
        if self._settings.migrate:
            migrate(self._db)
        self._format = RowFormat(self._settings.table)
        self._loader = TableLoader(
            self._db, self._settings.table, on_conflict=self._settings.on_conflict, keep=self._settings.keep
        )
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="write-postgres")

    def start_bundle(self) -> None:
        self._batches: dict[tuple[str, ...], _Batch] = {}
        self._loading: deque[tuple[_Batch, Future[Loaded]]] = deque()

    def process(
        self,
        element: Any,
        timestamp: Timestamp = beam.DoFn.TimestampParam,
        window: BoundedWindow = beam.DoFn.WindowParam,
    ) -> Iterator[Any]:
        row = _Row(element, timestamp, window)
        try:
            self._add(row)
        except RejectRecord as fault:
            yield self._rejected(row, fault)
        yield from self._load_due(time.monotonic())

    def finish_bundle(self) -> Iterator[Any]:
        for columns in list(self._batches):
            yield from self._load(columns)
        while self._loading:
            yield from self._done()

    def teardown(self) -> None:
        if hasattr(self, "_writer"):
            self._writer.shutdown(cancel_futures=True)
            self._loader.close()

    def _add(self, row: _Row) -> None:
        values = self._settings.row(row.element)
        columns = self._format.columns(values)
        line = self._format.line(values, columns)
        if columns not in self._batches:
            self._batches[columns] = _Batch(time.monotonic())
        self._batches[columns].add(row, line)

    def _load_due(self, now: float) -> Iterator[Any]:
        settings = self._settings
        for columns, batch in list(self._batches.items()):
            if (
                len(batch.rows) >= settings.batch_rows
                or batch.size >= settings.batch_bytes
                or now - batch.begun >= settings.batch_seconds
            ):
                yield from self._load(columns)

    def _load(self, columns: tuple[str, ...]) -> Iterator[Any]:
        while len(self._loading) >= _IN_FLIGHT:
            yield from self._done()
        batch = self._batches.pop(columns)
        self._loading.append((batch, self._writer.submit(self._loader.load, columns, batch.lines)))

    def _done(self) -> Iterator[Any]:
        """Waits for the oldest batch; its failure is the bundle's."""
        batch, future = self._loading.popleft()
        loaded = future.result()
        for place, fault in loaded.refused:
            yield self._rejected(batch.rows[place], fault)
        for name in ("inserted", "updated", "duplicates"):
            if amount := getattr(loaded, name):
                self._counters.add(name, amount)
        receipt = Receipt(
            table=self._settings.table.name,
            rows=len(batch.rows),
            inserted=loaded.inserted,
            updated=loaded.updated,
            duplicates=loaded.duplicates,
            rejected=len(loaded.refused),
        )
        last = batch.rows[-1]
        yield WindowedValue(receipt, last.timestamp, (last.window,))

    def _rejected(self, row: _Row, fault: RejectRecord) -> beam.pvalue.TaggedOutput:
        event = row.element if isinstance(row.element, Event) else None
        rejected = reject(
            fault,
            stage=_STAGE,
            raw=raw_of(row.element),
            run_id=self._run_id,
            rejected_at=datetime.now(UTC),
            event=event,
        )
        output = self._counters.rejected(rejected)
        output.value = WindowedValue(output.value, row.timestamp, (row.window,))
        return output
