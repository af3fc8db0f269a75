"""Elements to rows in a table: what WritePostgres does on a worker."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
import attrs
import sqlalchemy as sa
from apache_beam.transforms.window import BoundedWindow
from apache_beam.utils.timestamp import Timestamp

from holded_pipeline.model.errors import ConfigurationError, RejectRecord
from holded_pipeline.model.held_events import held_for_rejection
from holded_pipeline.model.object_counts import ObjectCount, SourceTally, object_of
from holded_pipeline.model.values import Event
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.load_transaction import LoadResult
from holded_pipeline.postgres.migrate import migrate
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.postgres.run_loads import LoadNotes
from holded_pipeline.postgres.stored_columns import missing_columns
from holded_pipeline.postgres.table_loader import Keep, OnConflict, TableLoader
from holded_pipeline.rejected.rejections import raw_of, reject
from holded_pipeline.transforms.beam.batches import GLOBAL_WINDOW, BatchDoFn, Waiting, placed
from holded_pipeline.transforms.beam.event_batches import OutOfEventBatches
from holded_pipeline.transforms.beam.outcome import Counters
from holded_pipeline.transforms.workers.pending_rows import PendingRows, Place, windowed_element
from holded_pipeline.user_code.errors import pipeline_error_for, result_or_error

_STAGE = "write"
_MAX_LOADING = 2  # batches passed to the writer thread and not loaded yet; more would only hold memory

RowFunction = Callable[[Any], Mapping[str, Any]]
LineFunction = Callable[[Any], bytes | None]
_UNTIMED: Place = (None, GLOBAL_WINDOW)


@attrs.frozen
class LoadReceipt:
    """What became of a batch, or of elements that the row function rejected: `rows` is the sum of the four counts.

    Attributes:
        table: the table's name.
        rows: elements in the batch.
        inserted: rows that were new.
        updated: rows that replaced an older one that differed.
        duplicates: rows whose key was in the table or in the batch already, and that changed nothing: with the same
            content where `WritePostgres` compares it (see `same`), or older ones with `newer_by`.
        rejected: rows that were rejected; each is an element of the `rejected` output.
        objects: the rows by the objects that their events were read from; rows of anything else are in none. A batch of
            several objects has their duplicates only where it was loaded into `business_events`.
    """

    table: str
    rows: int
    inserted: int
    updated: int
    duplicates: int
    rejected: int
    objects: tuple[ObjectCount, ...] = attrs.field(default=(), repr=False)


@attrs.frozen
class LoadSettings:
    """How rows are made and loaded; see `WritePostgres`.

    Attributes:
        line_of: a fast way beside `row`, asked first: the element's line for COPY, which fills `line_columns` and has
            its line end; or None for an element that `row` is to be asked for.
        line_columns: the columns that a line of `line_of` fills, by their names, in the table's order.
        notes: notes in each transaction what is new; for a share of a run.
    """

    table: sa.Table
    row: RowFunction
    migrate: bool
    on_conflict: OnConflict
    keep: Keep
    batch_rows: int
    batch_bytes: int
    batch_seconds: float
    same: tuple[str, ...] = ()
    newer_by: str | None = None
    conflict_on: str | tuple[str, ...] | None = None
    line_of: LineFunction | None = None
    line_columns: tuple[str, ...] = ()
    notes: LoadNotes | None = None


def _no_line(_: Any) -> None:
    """Where each line is made of its row."""


class LoadRows(BatchDoFn):
    """Formats rows of events while its writer thread loads earlier batches.

    For events in the global window. What is output after an event's turn has the event's own time as its timestamp:
    to be passed the timestamp costs more than it is worth (see `LoadWindowedRows`).
    """

    def __init__(self, db: Postgres, settings: LoadSettings, run_id: str, step: str) -> None:
        self._db = db
        self._settings = settings
        self.most_seconds = min(self.most_seconds, settings.batch_seconds)
        self._run_id = run_id
        self._step = step
        self._counters = Counters(_STAGE)

    def setup(self) -> None:
        if self._settings.migrate:
            migrate(self._db)
        own_table = self._settings.line_of is None
        missing = missing_columns(self._db, self._settings.table) if own_table else frozenset[str]()
        self._row_format = RowFormat(self._settings.table, missing)
        self._loader = TableLoader(
            self._db,
            self._settings.table,
            on_conflict=self._settings.on_conflict,
            keep=self._settings.keep,
            same=self._settings.same,
            newer_by=self._settings.newer_by,
            conflict_on=self._settings.conflict_on,
            tells_duplicates=not own_table,
        )
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="write-postgres")

    def start_bundle(self) -> None:
        super().start_bundle()
        self._rows = PendingRows(time.monotonic())
        self._without_row = SourceTally()
        self._elements_without_row = 0
        self._loading: deque[tuple[PendingRows, Future[LoadResult]]] = deque()

    def process(self, element: Any) -> Iterable[Any]:
        return self.add(element, _UNTIMED)

    def work_on(self, batch: Sequence[Waiting]) -> list[Any]:
        outputs: list[Any] = []
        settings, rows = self._settings, self._rows
        line_of = settings.line_of or _no_line
        for element, place in batch:
            columns, line = settings.line_columns, line_of(element)
            if line is None:
                try:
                    columns, line = self._line_of_row(element)
                except RejectRecord as rejection:
                    outputs.append(self._reject_without_row(element, place, rejection))
                    continue
            if not rows.lines:
                rows.started = self._batch_since
            is_event = isinstance(element, Event)
            rows.add((is_event, held_for_rejection(element) if is_event else element, place), columns, line)
            if rows.size >= settings.batch_bytes or len(rows.lines) >= settings.batch_rows:
                outputs.extend(self._load())
                rows = self._rows
        if rows.lines and time.monotonic() - rows.started >= self._settings.batch_seconds:
            outputs.extend(self._load())
        return outputs

    def finish_bundle(self) -> Iterator[Any]:
        yield from super().finish_bundle()
        if self._rows.lines:
            yield from self._load()
        while self._loading:
            yield from self._finish_oldest()
        if self._elements_without_row:
            yield placed(self._receipt_without_row(), self._place_without_row)
        self._counters.flush()

    def teardown(self) -> None:
        if hasattr(self, "_writer"):
            self._writer.shutdown(cancel_futures=True)
            self._loader.close()

    def _reject_without_row(self, element: Any, place: Place, rejection: RejectRecord) -> Any:
        self._without_row.add([object_of(element)])
        self._elements_without_row += 1
        self._place_without_row = windowed_element(element, place)
        return placed(self._reject(element, rejection), self._place_without_row)

    def _line_of_row(self, element: Any) -> tuple[tuple[str, ...], bytes]:
        """The columns that the element's row fills, and its line."""
        values = self._row_of(element)
        columns = self._row_format.columns(values)
        return columns, self._row_format.line(values, columns)

    def _row_of(self, element: Any) -> Mapping[str, Any]:
        values = result_or_error(self._call_row_function, element)
        if isinstance(values, dict) and values:
            return values
        name = f"the row function for {self._settings.table.name}"
        if isinstance(values, BaseException):
            raise pipeline_error_for("row_error", values, name, "could not read the element") from values
        what = "no column" if isinstance(values, dict) else type(values).__name__
        raise ConfigurationError(
            f"{name} returned {what}; it must return {{column: value}}, "
            "or raise hp.RejectRecord for an element that has no row"
        )

    def _call_row_function(self, element: Any) -> Any:
        values = self._settings.row(element)
        # Reading a mapping of another kind may run user code.
        return dict(values) if isinstance(values, Mapping) and not isinstance(values, dict) else values

    def _load(self) -> Iterator[Any]:
        """Passes the rows to the writer thread and begins others."""
        rows, self._rows = self._rows, PendingRows(time.monotonic())
        while len(self._loading) >= _MAX_LOADING:
            yield from self._finish_oldest()
        note = rows.noted_by(self._settings.notes)
        self._loading.append((rows, self._writer.submit(self._loader.load_mixed, rows.columns, rows.lines, note)))

    def _finish_oldest(self) -> Iterator[Any]:
        """Waits for the oldest batch; if it failed, the bundle fails."""
        rows, future = self._loading.popleft()
        result = future.result()
        for position, rejection in result.rejected:
            element, place = rows.element(position)
            yield placed(self._reject(element, rejection), windowed_element(element, place))
        for name in ("inserted", "updated", "duplicates"):
            if amount := getattr(result, name):
                self._counters.add(name, amount)
        receipt = LoadReceipt(
            table=self._settings.table.name,
            rows=len(rows.items),
            inserted=result.inserted,
            updated=result.updated,
            duplicates=result.duplicates,
            rejected=len(result.rejected),
            objects=rows.objects(result),
        )
        yield placed(receipt, windowed_element(*rows.element(-1)))

    def _receipt_without_row(self) -> LoadReceipt:
        number = self._elements_without_row
        objects = tuple(attrs.evolve(each, rejected=each.records) for each in self._without_row.counts())
        return LoadReceipt(self._settings.table.name, number, 0, 0, 0, number, objects)

    def _reject(self, element: Any, rejection: RejectRecord) -> beam.pvalue.TaggedOutput:
        return self._counters.rejected(
            reject(
                rejection,
                stage=_STAGE,
                raw=raw_of(element),
                payload_kind="element",
                run_id=self._run_id,
                step=self._step,
                rejected_at=datetime.now(UTC),
                event=element if isinstance(element, Event) else None,
            )
        )


class LoadEventBatches(OutOfEventBatches, LoadRows):
    """The same for events that come in batches."""

    place = _UNTIMED


class LoadWindowedRows(LoadRows):
    """The same for any element in any window."""

    def process(
        self,
        element: Any,
        timestamp: Timestamp = beam.DoFn.TimestampParam,
        window: BoundedWindow = beam.DoFn.WindowParam,
    ) -> Iterable[Any]:
        return self.add(element, (timestamp, window))
