"""The rows of a merge, and what is inserted for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs
import sqlalchemy as sa

from holded_pipeline.postgres.column_defaults import sql_defaults
from holded_pipeline.postgres.column_sets import staged_columns
from holded_pipeline.postgres.conflict_target import ConflictTarget, TableFacts
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.dialect import quote_name


@attrs.frozen
class MergedRows:
    """The rows of a merge.

    Attributes:
        row_format: of the table.
        columns: those that the rows fill.
        facts: what the database says of the table.
        defaults: None if each row has all of `columns`. Otherwise the staging table's column `hp$filled` has a bit
            for each of `columns`, whether the row has it; and this is the SQL of what is inserted where a row omits
            a column, if that is not what its line has. No row omits a part of the key.
        key_is_plain: equal texts of the key are equal keys.
        newer_by: the column whose greater value is the newer row; None if each row is newer than the stored one.
        same: the columns that make the content of a row: rows of one key that differ in them are in conflict.
    """

    row_format: RowFormat
    columns: tuple[str, ...]
    facts: TableFacts
    defaults: Mapping[str, str] | None = None
    key_is_plain: bool = False
    newer_by: str | None = None
    same: tuple[str, ...] = ()

    @property
    def table(self) -> sa.Table:
        """The table."""
        return self.row_format.table

    @property
    def target(self) -> ConflictTarget | None:
        """What the rows may conflict on; None if nothing identifies them: they lack a part of the key."""
        target = self.facts.target
        inserted = self.inserted()
        if target is None or any(inserted.get(name) != name for name in target.lookup):
            return None
        return target

    @property
    def lookup(self) -> Literal["none", "map", "sets"]:
        """How an update finds out what a row omits."""
        return "none" if self.defaults is None else "map" if self.key_is_plain else "sets"

    def inserted(self) -> dict[str, str]:
        """What is inserted into each column, as SQL; both quoted."""
        defaults = self.defaults or {}
        values = {quote_name(name): quote_name(name) for name in staged_columns(self.table, self.columns)}
        values |= {
            quote_name(name): f"CASE WHEN {self.is_filled(name)} THEN {quote_name(name)} ELSE {sql} END"
            for name, sql in defaults.items()
        }
        return values | {quote_name(name): sql for name, sql in sql_defaults(self.table, self.columns).items()}

    def is_filled(self, name: str) -> str:
        """Whether a row has a column, as SQL."""
        return f"pg_catalog.get_bit(hp$filled, {self.columns.index(name)}) = 1"
