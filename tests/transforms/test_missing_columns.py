"""A row function that gives columns which the table in the database lacks is told what to do, before anything loads."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from pipeline_runs import run_load
from table_contents import rows_of, run_statements

import holded_pipeline as hp

ORDERS = sa.Table("orders", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("note", sa.Text))


@pytest.fixture(autouse=True)
def _an_older_table(db):
    run_statements(db, "CREATE TABLE orders (id int PRIMARY KEY)")


def test_the_first_row_with_a_column_that_the_database_lacks_says_what_to_do(run, db):
    with pytest.raises(hp.ConfigurationError, match=r'column "note".* orders lacks a column .*hp\.evolve\(db, table\)'):
        # Each row is a batch, so those before it would be loaded if only the server noticed.
        run_load(run, db, [1, 2], table=ORDERS, row=lambda n: {"id": n, "note": "x"}, batch_rows=1)
    assert rows_of(db, "SELECT * FROM orders") == []
    hp.evolve(db, ORDERS, apply=True)
    run_load(run, db, [1, 2], table=ORDERS, row=lambda n: {"id": n, "note": "x"})
    assert rows_of(db, "SELECT * FROM orders ORDER BY id") == [(1, "x"), (2, "x")]


def test_rows_without_the_column_load_as_before(run, db):
    run_load(run, db, [1, 2], table=ORDERS, row=lambda n: {"id": n})
    assert rows_of(db, "SELECT * FROM orders ORDER BY id") == [(1,), (2,)]


def test_a_column_that_the_sqlalchemy_table_lacks_says_what_to_do(run, db):
    with pytest.raises(hp.ConfigurationError, match=r"'colour'.*no column for; add .*hp\.evolve"):
        run_load(run, db, [1], table=ORDERS, row=lambda n: {"id": n, "colour": "red"})
