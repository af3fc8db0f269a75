"""`conflict_on`: another unique constraint, a partial index, an index of expressions; and tables of any kind."""

from __future__ import annotations

import attrs
import pytest
import sqlalchemy as sa
from table_contents import load_rows, rows_of, run_statements

import holded_pipeline as hp
from holded_pipeline.postgres import table_loader

CONSTRAINTS = {
    "columns": ("CONSTRAINT a_b UNIQUE (a, b)", ("b", "a")),
    "a constraint": ("CONSTRAINT a_b UNIQUE (a, b)", "a_b"),
    "NULL as a value": ("CONSTRAINT a_b UNIQUE NULLS NOT DISTINCT (a, b)", "a_b"),
}


def table_in(db, *statements):
    """The table `t` that the statements create."""
    run_statements(db, *statements)
    return sa.Table("t", sa.MetaData(), autoload_with=db.engine(poolclass=sa.NullPool))


def load_updates(db, table, *rows, **choices):
    choices = {"on_conflict": "update", "keep": "last"} | choices
    loaded = load_rows(db, table, rows, **choices)
    return (loaded.inserted, loaded.updated, loaded.duplicates), [each.reason for _, each in loaded.rejected]


@pytest.mark.parametrize(("constraint", "conflict_on"), CONSTRAINTS.values(), ids=CONSTRAINTS)
def test_rows_conflict_on_another_constraint(db, constraint, conflict_on):
    table = table_in(db, f"CREATE TABLE t (id serial PRIMARY KEY, a int, b text, n int, {constraint})")
    rows = [{"a": 1, "b": "x", "n": 1}, {"a": 1, "b": "y", "n": 2}, {"a": 1, "b": "x", "n": 3}]
    assert load_updates(db, table, *rows, conflict_on=conflict_on) == ((2, 0, 1), [])
    assert load_updates(db, table, {"a": 1, "b": "y", "n": 4}, conflict_on=conflict_on) == ((0, 1, 0), [])
    assert rows_of(db, "SELECT a, b, n FROM t ORDER BY b") == [(1, "x", 3), (1, "y", 4)]


@pytest.mark.parametrize(("nulls", "stored"), [("", 3), ("NULLS NOT DISTINCT", 2)])
def test_null_conflicts_only_where_it_is_a_value(db, nulls, stored):
    table = table_in(db, f"CREATE TABLE t (id serial PRIMARY KEY, a int, n int, UNIQUE {nulls} (a))")
    rows = [{"a": None, "n": 1}, {"a": None, "n": 1}, {"a": 1, "n": 1}]
    counts, rejected = load_updates(db, table, *rows, on_conflict="ignore", keep="first", conflict_on="a", same=("n",))
    assert (counts, rejected) == ((stored, 0, 3 - stored), [])
    assert rows_of(db, "SELECT count(*) FROM t") == [(stored,)]


PARTIAL = ("CREATE TABLE t (id serial PRIMARY KEY, a int, ended int DEFAULT 7, n int)",
           "CREATE UNIQUE INDEX one_open ON t (a) WHERE ended IS NULL")  # fmt: skip


@pytest.mark.parametrize("conflict_on", ["one_open", ("a",)])
def test_rows_outside_a_partial_index_are_all_inserted(db, conflict_on):
    table = table_in(db, *PARTIAL)
    rows = [{"a": 1, "ended": ended, "n": n} for n, ended in enumerate([None, 5, 5, None, 6])]
    assert load_updates(db, table, *rows, conflict_on=conflict_on) == ((4, 0, 1), [])
    assert load_updates(db, table, {"a": 1, "ended": None, "n": 9}, conflict_on=conflict_on) == ((0, 1, 0), [])
    assert rows_of(db, "SELECT ended, n FROM t ORDER BY n") == [(5, 1), (5, 2), (6, 4), (None, 9)]


def test_the_condition_is_asked_of_the_default_of_an_omitted_column(db):
    table = table_in(db, *PARTIAL)  # by its default a row is outside the index
    assert load_updates(db, table, {"a": 1, "n": 1}, {"a": 1, "n": 2}, conflict_on="one_open") == ((2, 0, 0), [])
    run_statements(db, "ALTER TABLE t ALTER ended DROP DEFAULT")
    assert load_updates(db, table, {"a": 1, "n": 1}, {"a": 1, "n": 2}, conflict_on="one_open") == ((1, 0, 1), [])


def test_another_content_is_found_by_a_partial_index(db):
    table = table_in(db, *PARTIAL)
    choices = {"on_conflict": "ignore", "keep": "first", "conflict_on": "one_open", "same": ("n",)}
    rows = [{"a": 1, "ended": ended, "n": n} for ended, n in ((None, 1), (3, 2), (None, 1), (None, 3))]
    assert load_updates(db, table, *rows, **choices) == ((2, 0, 1), ["id_conflict"])


def test_rows_conflict_on_an_expression(db):
    table = table_in(db, "CREATE TABLE t (id serial PRIMARY KEY, mail text, n int)",
                     "CREATE UNIQUE INDEX mails ON t (lower(mail))")  # fmt: skip
    rows = [{"mail": "A@x", "n": 1}, {"mail": "a@X", "n": 2}, {"mail": None, "n": 3}, {"mail": None, "n": 3}]
    assert load_updates(db, table, *rows, conflict_on="mails") == ((3, 0, 1), [])
    assert load_updates(db, table, {"mail": "a@x", "n": 5}, conflict_on="mails") == ((0, 1, 0), [])
    choices = {"on_conflict": "ignore", "keep": "first", "conflict_on": "mails", "same": ("n",)}
    found = load_updates(db, table, {"mail": "A@X", "n": 5}, {"mail": "A@X", "n": 6}, **choices)
    assert found == ((0, 0, 1), ["id_conflict"])


def test_the_primary_key_still_rejects_and_is_not_updated(db):
    table = table_in(db, "CREATE TABLE t (id int PRIMARY KEY, a int UNIQUE, n int)")
    assert load_updates(db, table, {"id": 1, "a": 1, "n": 1}, conflict_on=["a"]) == ((1, 0, 0), [])
    assert load_updates(db, table, {"id": 2, "a": 1, "n": 2}, conflict_on=["a"]) == ((0, 1, 0), [])
    assert load_updates(db, table, {"id": 1, "a": 2, "n": 2}, conflict_on=["a"]) == ((0, 0, 0), ["unique_violation"])
    assert rows_of(db, "SELECT * FROM t") == [(1, 1, 2)]


@pytest.mark.parametrize(
    ("conflict_on", "words"), [(("n",), "no unique constraint or index"), ("late", "DEFERRABLE"), ("x", "it has: late")]
)
def test_an_index_that_finds_no_conflict_is_named(db, conflict_on, words):
    table = table_in(db, "CREATE TABLE t (id int PRIMARY KEY, a int CONSTRAINT late UNIQUE DEFERRABLE, n int)")
    with pytest.raises(hp.ConfigurationError, match=words):
        load_updates(db, table, {"id": 1, "a": 1, "n": 1}, conflict_on=conflict_on)


KINDS = {
    "partitioned": (
        "CREATE TABLE t (k int, d date, v text, PRIMARY KEY (k, d)) PARTITION BY RANGE (d)",
        "CREATE TABLE t26 PARTITION OF t FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
        "CREATE TABLE t27 PARTITION OF t FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')",
    ),
    "a view": (
        "CREATE TABLE base (k int, d date, v text, PRIMARY KEY (k, d))",
        "CREATE VIEW t AS SELECT k, d, v FROM base WHERE k > 0",
    ),
    "a partition": (
        "CREATE TABLE base (k int, d date, v text, PRIMARY KEY (k, d)) PARTITION BY RANGE (d)",
        "CREATE TABLE t PARTITION OF base FOR VALUES FROM ('2026-01-01') TO ('2028-01-01')",
    ),
}


@pytest.mark.parametrize("returns_old", [True, False], ids=["RETURNING old", "before PostgreSQL 18"])
@pytest.mark.parametrize("kind", KINDS)
def test_inserted_and_updated_rows_are_told_apart(db, kind, returns_old, monkeypatch):
    run_statements(db, *KINDS[kind])
    original = table_loader.table_facts
    monkeypatch.setattr(
        table_loader, "table_facts", lambda *asked: attrs.evolve(original(*asked), returns_old=returns_old)
    )
    table = sa.Table(
        "t", sa.MetaData(), sa.Column("k", sa.Integer, primary_key=True), sa.Column("d", sa.Date, primary_key=True),
        sa.Column("v", sa.Text),
    )  # fmt: skip
    assert load_updates(db, table, {"k": 1, "d": "2026-05-01", "v": "a"}) == ((1, 0, 0), [])
    rows = [{"k": k, "d": d, "v": "b"} for k, d in ((1, "2026-05-01"), (1, "2027-05-01"), (2, "2026-05-01"))]
    assert load_updates(db, table, *rows) == ((2, 1, 0), [])
    reason = "check_violation" if kind == "partitioned" else "not_null_violation"  # no partition takes it
    assert load_updates(db, table, *rows, {"k": 9, "d": None, "v": "c"}) == ((0, 0, 3), [reason])
    assert rows_of(db, "SELECT count(*), min(v) FROM t") == [(3, "b")]
