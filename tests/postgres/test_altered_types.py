"""A table that is altered while a loader is open gets values of its present types."""

from __future__ import annotations

from contextlib import closing

import pytest
import sqlalchemy as sa
from table_contents import rows_of

from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.table_loader import TableLoader


@pytest.mark.parametrize(
    ("before", "after", "value", "stored"),
    [
        ("timestamp", "timestamptz", "2026-01-01T10:00:00+02:00", "2026-01-01 08:00:00+00"),
        ("numeric(8, 2)", "numeric", "1.2345", "1.2345"),
        ("real", "double precision", "0.123456789012", "0.123456789012"),
        ("char(3)", "text", "a  ", "a  |"),
    ],
)
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside a bad row"])
def test_values_have_the_types_that_the_table_has_now(db, before, after, value, stored, beside):
    table = sa.Table("t", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("vt", sa.Text))
    rows_of(db, f"CREATE TABLE t (id int PRIMARY KEY, vt {before})")
    with closing(TableLoader(db, table, on_conflict="ignore", keep="first")) as loader:
        columns, form = ("id", "vt"), RowFormat(table)
        loader.load(columns, [form.line({"id": 1, "vt": value}, columns)])
        rows_of(db, f"ALTER TABLE t ALTER vt TYPE {after}")
        rows = [{"id": 2, "vt": value}, *([{"id": 2**40, "vt": value}] if beside else [])]
        assert loader.load(columns, [form.line(row, columns) for row in rows]).inserted == 1
    end = "|" if stored.endswith("|") else ""
    zone = " AT TIME ZONE 'UTC' || '+00'" if after == "timestamptz" else "::text"
    assert rows_of(db, f"SELECT (vt{zone}) || '{end}' FROM t WHERE id = 2") == [(stored,)]
