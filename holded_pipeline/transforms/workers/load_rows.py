"""Elements to rows in a table: what WritePostgres does on a worker."""

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

from holded_pipeline.model.errors import ConfigurationError, RejectRecord
from holded_pipeline.model.values import Event
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.load_transaction import Loaded
from holded_pipeline.postgres.migrate import migrate
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.postgres.table_loader import Keep, OnConflict, TableLoader
from holded_pipeline.rejected.rejections import raw_of, reject
from holded_pipeline.transforms.beam.outcome import Counters
from holded_pipeline.user_code.errors import pipeline_error_for, result_or_error

_STAGE = "write"
_IN_FLIGHT = 2  # batches handed to the writer thread and not yet done; more would only hold memory

RowFunction = Callable[[Any], Mapping[str, Any]]


@attrs.frozen
class LoadReceipt:
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


@attrs.frozen
class LoadSettings:
    """How rows are made and loaded; see `WritePostgres`."""

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


class LoadRows(beam.DoFn):
    """Formats rows while a thread of its own loads the batches before."""

    def __init__(self, db: Postgres, settings: LoadSettings, run_id: str, step: str) -> None:
        self._db = db
        self._settings = settings
        self._run_id = run_id
        self._step = step
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
        values = self._values(row.element)
        columns = self._format.columns(values)
        line = self._format.line(values, columns)
        if columns not in self._batches:
            self._batches[columns] = _Batch(time.monotonic())
        self._batches[columns].add(row, line)

    def _values(self, element: Any) -> Mapping[str, Any]:
        values = result_or_error(self._made, element)
        if isinstance(values, dict) and values:
            return values
        name = f"the row function for {self._settings.table.name}"
        if isinstance(values, BaseException):
            raise pipeline_error_for("row_error", values, name, "could not read the element") from values
        what = "no column" if isinstance(values, dict) else type(values).__name__
        raise ConfigurationError(
            f"{name} returned {what}; it must return {{column: value}}, "
            "or raise hp.RejectRecord for an element that makes no row"
        )

    def _made(self, element: Any) -> Any:
        values = self._settings.row(element)
        # Looking into a mapping of another kind may run a stranger's code.
        return dict(values) if isinstance(values, Mapping) and not isinstance(values, dict) else values

    def _load_due(self, now: float) -> Iterator[Any]:
        settings = self._settings
        for columns, batch in list(self._batches.items()):
            if len(batch.rows) >= settings.batch_rows or now - batch.begun >= settings.batch_seconds:
                yield from self._load(columns)
        # Rows that fill different columns are different batches, and there may be as many as rows.
        while sum(batch.size for batch in self._batches.values()) >= settings.batch_bytes:
            yield from self._load(max(self._batches, key=lambda columns: self._batches[columns].size))

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
        receipt = LoadReceipt(
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
            payload_kind="element",
            run_id=self._run_id,
            step=self._step,
            rejected_at=datetime.now(UTC),
            event=event,
        )
        output = self._counters.rejected(rejected)
        output.value = WindowedValue(output.value, row.timestamp, (row.window,))
        return output
