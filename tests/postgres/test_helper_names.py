"""A column may have any name, also one that the statements of a load use for their own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from table_contents import load_rows, rows_of, run_statements

import holded_pipeline as hp
from holded_pipeline.postgres.dialect import quote_name

ROOM = Path(hp.__file__).parent / "postgres"
OWN = re.findall(r"hp\$(\w+)", "".join(path.read_text() for path in ROOM.glob("*.py")))
ALIASES = "stored merged staged typed excluded known is_new of_row r position bits state".split()  # noqa: SIM905
NAMES = sorted({*(f"holded_{name}" for name in OWN), "holded_place", *ALIASES})


@pytest.mark.parametrize("on_conflict", ["ignore", "update"])
def test_columns_may_be_named_as_what_a_load_uses(db, on_conflict):
    assert len(NAMES) > 30
    columns = [sa.Column(name, sa.Text) for name in NAMES]
    table = sa.Table("t", sa.MetaData(), sa.Column("k", sa.Integer, primary_key=True), *columns)
    definitions = ", ".join(f"{quote_name(name)} text" for name in NAMES)
    run_statements(db, f"CREATE TABLE t (k int PRIMARY KEY, {definitions}, CHECK (holded_start <> 'bad'))")
    for value in ("a", "b"):
        rows = [{"k": number, **dict.fromkeys(NAMES, value)} for number in range(20)]
        rows[7]["holded_start"] = "bad"  # found among texts, by code of the load in the database
        loaded = load_rows(db, table, rows, on_conflict=on_conflict)
        assert [position for position, _ in loaded.rejected] == [7]
    kept = "b" if on_conflict == "update" else "a"
    assert rows_of(db, "SELECT DISTINCT holded_position, stored, holded_end FROM t") == [(kept, kept, kept)]


def test_the_names_of_a_load_itself_are_refused_with_words(db):
    table = sa.Table("t", sa.MetaData(), sa.Column("k", sa.Integer, primary_key=True), sa.Column("hp$start", sa.Text))
    with pytest.raises(ValueError, match=r"the column 'hp\$start' of t .* rename it"):
        hp.WritePostgres(db, table=table, row=dict)
