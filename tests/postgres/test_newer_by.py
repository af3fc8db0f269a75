"""`newer_by`: an older row replaces no newer one, whatever the order in which they come."""

from __future__ import annotations

from itertools import permutations

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from table_contents import load_rows, many_loads, rows_of, run_statements

from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.table_loader import TableLoader


def table_of(db, *, info=None):
    table = sa.Table(
        "t",
        sa.MetaData(),
        sa.Column("k", sa.Integer, primary_key=True),
        sa.Column("status", sa.Text),
        sa.Column("at", sa.Integer, info=info or {}),
    )
    table.metadata.create_all(db.engine(poolclass=sa.NullPool))
    return table


def load_updates(db, table, *rows, keep="first"):
    rows = [{"k": k, "status": status, "at": at} for k, status, at in rows]
    loaded = load_rows(db, table, rows, on_conflict="update", keep=keep, newer_by="at")
    assert not loaded.rejected
    return loaded.inserted, loaded.updated, loaded.duplicates


@pytest.mark.parametrize("keep", ["first", "last"])
def test_an_older_row_replaces_none(db, keep):
    table = table_of(db)
    assert load_updates(db, table, (1, "paid", 2), keep=keep) == (1, 0, 0)
    assert load_updates(db, table, (1, "draft", 1), keep=keep) == (0, 0, 1)
    assert load_updates(db, table, (1, "void", 2), keep=keep) == (0, 0, 1)
    assert load_updates(db, table, (1, "closed", 4), (1, "late", 3), keep=keep) == (0, 1, 1)
    assert rows_of(db, "SELECT * FROM t") == [(1, "closed", 4)]


@pytest.mark.parametrize("order", list(permutations([("a", 1), ("b", 2), ("c", None)])))
def test_the_newest_row_of_a_batch_counts_and_null_is_the_oldest(db, order):
    table = table_of(db)
    assert load_updates(db, table, *((1, status, at) for status, at in order)) == (1, 0, 2)
    assert rows_of(db, "SELECT status FROM t") == [("b",)]


def test_any_value_is_newer_than_null(db):
    table = table_of(db)
    seen = [
        load_updates(db, table, (1, status, at)) for status, at in (("a", None), ("b", None), ("c", -5), ("d", None))
    ]
    assert seen == [(1, 0, 0), (0, 0, 1), (0, 1, 0), (0, 0, 1)]
    assert rows_of(db, "SELECT status FROM t") == [("c",)]


def test_among_equals_keep_decides(db):
    table = table_of(db)
    load_updates(db, table, (1, "a", 1), (1, "b", 1), keep="first")
    load_updates(db, table, (2, "a", 1), (2, "b", 1), keep="last")
    assert rows_of(db, "SELECT status FROM t ORDER BY k") == [("a",), ("b",)]


def test_a_row_that_is_newer_but_equal_makes_what_lies_between_older(db):
    table = table_of(db, info={"volatile": True})
    seen = [load_updates(db, table, (1, status, at)) for status, at in (("a", 1), ("a", 3), ("b", 2))]
    assert seen == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]


@pytest.mark.parametrize("mixed", [False, True])
def test_a_row_without_the_column_replaces_none(db, mixed):
    table = table_of(db)
    load_updates(db, table, (1, "a", 1), (2, "a", 1), (3, "a", None))
    rows = [{"k": 1, "status": "b"}, {"k": 3, "status": "b"}, {"k": 4, "status": "b"}]
    rows += [{"k": 2, "status": "b", "at": 2}] * mixed
    form = RowFormat(table)
    loader = TableLoader(db, table, on_conflict="update", keep="last", newer_by="at")
    loaded = loader.load_mixed([tuple(row) for row in rows], [form.line(row, tuple(row)) for row in rows])
    loader.close()
    assert (loaded.inserted, loaded.updated, loaded.duplicates) == (1, int(mixed), 2)
    assert rows_of(db, "SELECT status FROM t ORDER BY k") == [("a",), ("b" if mixed else "a",), ("a",), ("b",)]


VERSIONS = st.lists(st.tuples(st.integers(1, 2), st.integers(0, 5) | st.none()), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def versioned(stack):
    """A database with the table, and functions that load rows into it, by what is kept among equals."""
    db = stack.new_database()
    table = table_of(db)
    choices = {"on_conflict": "update", "newer_by": "at"}
    with (
        many_loads(db, table, keep="first", **choices) as first,
        many_loads(db, table, keep="last", **choices) as last,
    ):
        yield db, {"first": first, "last": last}


@given(VERSIONS, st.integers(1, 8), st.sampled_from(["first", "last"]))
@settings(max_examples=20)
def test_the_greatest_is_stored_in_whatever_batches_they_come(versioned, versions, size, keep):
    db, loads = versioned
    run_statements(db, "TRUNCATE t")
    rows = [{"k": k, "status": f"v{at}", "at": at} for k, at in versions]
    loaded = [loads[keep](rows[start : start + size]) for start in range(0, len(rows), size)]
    assert not any(each.rejected for each in loaded)
    assert sum(each.inserted + each.updated + each.duplicates for each in loaded) == len(rows)
    newest = {k: max((at for each, at in versions if each == k and at is not None), default=None) for k, _ in versions}
    assert dict(rows_of(db, 'SELECT k, "at" FROM t')) == newest
