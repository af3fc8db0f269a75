"""WritePostgres: elements to rows of a table."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
import attrs
import sqlalchemy as sa

from holded_pipeline.model.values import Outcome
from holded_pipeline.postgres.column_defaults import validate_defaults
from holded_pipeline.postgres.conflict_columns import validate_conflict_columns
from holded_pipeline.postgres.dialect import OWN_NAMES
from holded_pipeline.postgres.event_row import EVENT_COLUMNS, PRODUCED_COLUMNS, event_line, event_row
from holded_pipeline.postgres.postgres import Postgres, require_postgres
from holded_pipeline.postgres.run_loads import LoadNotes
from holded_pipeline.postgres.table_loader import Keep, OnConflict
from holded_pipeline.postgres.tables import business_events
from holded_pipeline.transforms.beam.accounted import Sink, ledgers_read, remember_sink
from holded_pipeline.transforms.beam.event_batches import comes_in_batches
from holded_pipeline.transforms.beam.inputs import require_collection, require_events
from holded_pipeline.transforms.beam.outcome import PASSED, REJECTED, RejectingTransform
from holded_pipeline.transforms.beam.pickling import check_function_picklable
from holded_pipeline.transforms.beam.run_id import run_id_of, step_of
from holded_pipeline.transforms.beam.share_of_run import attempt_of
from holded_pipeline.transforms.workers.load_rows import (
    LoadEventBatches,
    LoadReceipt,
    LoadRows,
    LoadSettings,
    LoadWindowedRows,
    RowFunction,
)
from holded_pipeline.user_code.functions import require_function

_RENAMED_CHOICES = {("on_conflict", "error"): "reject", ("keep", "newest"): "last"}


class WritePostgres(RejectingTransform[LoadReceipt]):
    """Loads elements into PostgreSQL by COPY and merge.

    Takes a PCollection of `Event` for the table `business_events`, or of any element with `table` and `row`.
    Returns an `Outcome`: `passed` is a PCollection of `LoadReceipt`, one for each batch, `rejected` one of `Rejected`
    with stage `write`.

    Args:
        db: the database.
        table: a SQLAlchemy table that exists in the database. None for `business_events`, which is created and
            migrated as needed (see `migrate`), with triggers that maintain `company_analytics` and
            `event_type_summaries`.
        row: a function `(element) -> {column: value}` for `table`, with the columns' names in the database; it may
            raise `RejectRecord`. An element of another shape than it expects (`KeyError`, `TypeError` and the like) is
            rejected with reason `row_error`. Columns it omits get their defaults, the client's and the server's.
        on_conflict: what happens to a row whose key is in the table already: `ignore` keeps the stored row, `update`
            replaces it where they differ (in columns without `Column.info["volatile"]`), `reject` rejects the new row
            with reason `unique_violation`. Rows that omit a part of the key, for the database to generate, are all
            inserted.
        keep: which of several rows with one key in one batch counts: the `first`, or with `update` also the `last`.
        same: for `ignore`, the columns that make the content of a row. A row whose key is known, in the table or in
            its batch, is a duplicate if it has the same values there, and otherwise rejected with reason `id_conflict`.
            JSON and numbers are compared by value, all else byte by byte; columns that the row omits are not compared.
            By default the producer's columns of `business_events` (`PRODUCED_COLUMNS`), and none of another table:
            there a row whose key is known is a duplicate. `()` for the same in `business_events`.
        newer_by: for `update`, a column, such as a version or a time: a row replaces the stored one only if its value
            there is greater, and of the rows with one key in a batch the greatest counts. Any value is greater than
            NULL; a row with NULL there, or without the column, replaces none.
        conflict_on: the key, if it is not the primary key: the columns of a unique constraint or index of the table,
            or its name, e.g. of a partial index. Rows that it does not cover, by its condition or a NULL, are inserted.
        migrate: whether the workers create and migrate `business_events`.
        batch_rows: rows loaded together at most.
        batch_bytes: bytes loaded together at most; also the most that one worker collects before it loads a batch.
        batch_seconds: a batch this old is loaded when the next element arrives.

    Example:
        >>> with beam.Pipeline(runner="FnApiRunner") as p:
        ...     raw = p | hp.ReadMinIO(lake, "raw/")
        ...     enriched = raw.passed | hp.Enrich("business_context", "quality")
        ...     loaded = enriched.passed | hp.WritePostgres(db, on_conflict="update", keep="last")
        >>> hp.verify_analytics(db)
        []

    Raises:
        ValueError: an argument is wrong, or the table has an SQL default that cannot be written into a statement.
        ConfigurationError: (running) a grant, the table, a column or the database is missing; the message says which.
        TransientError: (running) the server did not answer within `db.retry`.

    **Guarantees:** a row is committed before its bundle ends; a bundle that is retried changes nothing the second
    time (where rows have their primary key, and not with `on_conflict="reject"`). A row is rejected only for an error
    of its own (SQLSTATE class 22, 23 or 54, an error that a trigger or view of yours raises, or a value that its column
    cannot hold); the other rows of its batch commit. Rows without the whole key are inserted at least once. No order
    across batches. Parallel over bundles, safe for overlapping keys.
    """

    def __init__(
        self,
        db: Postgres,
        *,
        table: sa.Table | None = None,
        row: RowFunction | None = None,
        on_conflict: OnConflict = "ignore",
        keep: Keep = "first",
        same: Sequence[str] | None = None,
        newer_by: str | None = None,
        conflict_on: str | Sequence[str] | None = None,
        migrate: bool = True,
        batch_rows: int = 5_000,
        batch_bytes: int = 4 << 20,
        batch_seconds: float = 10.0,
    ) -> None:
        super().__init__()
        require_postgres(db, "WritePostgres")
        on_conflict = _current_name("on_conflict", on_conflict)
        keep = _current_name("keep", keep)
        _validate_choices(table, row, on_conflict, keep)
        if row is not None:
            require_function(row, "row", "(element) -> {column: value}")
        columns = business_events if table is None else table
        validate_conflict_columns(columns, on_conflict, same=same, newer_by=newer_by, conflict_on=conflict_on)
        if same is None:
            same = PRODUCED_COLUMNS if table is None and on_conflict == "ignore" else ()
        for name, value in (("batch_rows", batch_rows), ("batch_bytes", batch_bytes)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self._db = db
        self._settings = LoadSettings(
            table=columns,
            row=row or event_row,
            line_of=None if row else event_line,
            line_columns=EVENT_COLUMNS,
            migrate=migrate and table is None,
            on_conflict=on_conflict,
            keep=keep,
            same=tuple(same),
            newer_by=newer_by,
            conflict_on=conflict_on if conflict_on is None or isinstance(conflict_on, str) else tuple(conflict_on),
            batch_rows=batch_rows,
            batch_bytes=batch_bytes,
            batch_seconds=batch_seconds,
        )

    def expand(self, elements: beam.PCollection) -> Outcome:
        """One ParDo; elements are not shuffled."""
        require_input = require_collection if self._settings.line_of is None else require_events
        require_input(elements, "WritePostgres")
        if self._settings.line_of is None:
            check_function_picklable(self._settings.row, "row function")
        loads_read_events = self._settings.line_of is not None and elements.windowing.is_default()
        in_global = LoadEventBatches if comes_in_batches(elements) else LoadRows
        kind = in_global if loads_read_events else LoadWindowedRows
        settings = attrs.evolve(self._settings, notes=self._notes(elements.pipeline))
        load = kind(self._db, settings, run_id_of(elements.pipeline), step_of(elements.pipeline))
        outputs = elements | "LoadRows" >> beam.ParDo(load).with_outputs(REJECTED, main=PASSED)
        remember_sink(outputs[PASSED], Sink("rows", step_of(elements.pipeline)))
        outcome: Outcome = self._outcome(outputs[PASSED], outputs[REJECTED], LoadReceipt)
        return outcome

    def _notes(self, pipeline: beam.Pipeline) -> LoadNotes | None:
        """Of a share of a run: what notes what is new, if the tables of the ledger are in this database."""
        attempt = attempt_of(pipeline)
        if attempt is None or self._db.url not in {url for url, _ in ledgers_read(pipeline)}:
            return None
        return LoadNotes(attempt.run_id, attempt.name, step_of(pipeline))


def _current_name(argument: str, choice: Any) -> Any:
    """The current name of a choice; old names are accepted until 0.2."""
    current = _RENAMED_CHOICES.get((argument, choice)) if isinstance(choice, str) else None
    if current is None:
        return choice
    message = f'WritePostgres({argument}="{choice}") is now {argument}="{current}"; the old name goes in 0.2'
    warnings.warn(message, DeprecationWarning, stacklevel=3)
    return current


def _validate_choices(table: Any, row: Any, on_conflict: str, keep: str) -> None:
    if (table is None) != (row is None):
        raise ValueError("table and row go together: a table of your own needs a function that returns its rows")
    if table is not None and not isinstance(table, sa.Table):
        raise TypeError(f"table must be a sqlalchemy.Table, got {type(table).__name__}")
    if table is not None:
        validate_defaults(table)
        for column in table.columns:
            if column.name.startswith(OWN_NAMES):
                raise ValueError(
                    f"the column {column.name!r} of {table.name} begins as the names that a load itself uses, "
                    f"{OWN_NAMES}; rename it"
                )
    if on_conflict not in ("ignore", "update", "reject"):
        raise ValueError(f'on_conflict must be "ignore", "update" or "reject", got {on_conflict!r}')
    if keep not in ("first", "last"):
        raise ValueError(f'keep must be "first" or "last", got {keep!r}')
    if keep == "last" and on_conflict != "update":
        raise ValueError('keep="last" needs on_conflict="update": otherwise the first row is kept')
