"""A duplicate has the same content as the stored row; another content under a known key is rejected."""

from __future__ import annotations

from decimal import Decimal

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql import JSON, JSONB
from table_contents import load_rows, many_loads, rows_of, run_statements

from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.table_loader import TableLoader


def table_of(db, *columns, name="t"):
    table = sa.Table(name, sa.MetaData(), sa.Column("k", sa.Integer, primary_key=True), *columns)
    table.metadata.create_all(db.engine(poolclass=sa.NullPool))
    return table


def counts_of(loaded):
    return loaded.inserted, loaded.duplicates, [(position, each.reason) for position, each in loaded.rejected]


EQUAL = {
    "the order of names": (JSONB, {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}),
    "the order of names in JSON": (JSON, {"a": 1, "b": [{"c": 2, "d": 3}]}, {"b": [{"d": 3, "c": 2}], "a": 1}),
    "a number's spelling in a document": (JSONB, {"n": Decimal("1.0")}, {"n": Decimal("1.00")}),
    "a number's spelling": (sa.Numeric, Decimal("1.5"), Decimal("1.50")),
    "zero": (sa.Float, 0.0, -0.0),
    "NULL": (sa.Text, None, None),
}
DIFFERENT = {
    "a value in a document": (JSONB, {"a": [1, 2]}, {"a": [2, 1]}),
    "a type in a document": (JSON, {"a": 1}, {"a": "1"}),
    "a null in a document": (JSONB, {"a": None}, {}),
    "a number": (sa.Numeric, Decimal("1.5"), Decimal("1.51")),
    "a capital": (sa.Text, "a", "A"),
    "a space": (sa.Text, "a", "a "),
    "NULL": (sa.Text, None, ""),
}


@pytest.mark.parametrize("column_type_and_values", EQUAL.values(), ids=EQUAL)
def test_an_equal_content_is_a_duplicate(db, column_type_and_values):
    kind, first, second = column_type_and_values
    table = table_of(db, sa.Column("v", kind))
    load_rows(db, table, [{"k": 1, "v": first}], same=("v",))
    rows = [{"k": 1, "v": second}, {"k": 2, "v": first}, {"k": 2, "v": second}]
    assert counts_of(load_rows(db, table, rows, same=("v",))) == (1, 2, [])


@pytest.mark.parametrize("column_type_and_values", DIFFERENT.values(), ids=DIFFERENT)
def test_another_content_is_a_conflict(db, column_type_and_values):
    kind, first, second = column_type_and_values
    table = table_of(db, sa.Column("v", kind))
    load_rows(db, table, [{"k": 1, "v": first}], same=("v",))
    rows = [{"k": 1, "v": second}, {"k": 2, "v": first}, {"k": 2, "v": second}, {"k": 2, "v": first}]
    assert counts_of(load_rows(db, table, rows, same=("v",))) == (1, 1, [(0, "id_conflict"), (2, "id_conflict")])
    assert rows_of(db, "SELECT count(*) FROM t") == [(2,)]


def test_only_the_named_columns_that_a_row_has_are_compared(db):
    table = table_of(db, sa.Column("a", sa.Integer), sa.Column("b", sa.Text, server_default="none"))
    load_rows(db, table, [{"k": 1, "a": 1, "b": "x"}])
    rows = [{"k": 1, "a": 1, "b": "y"}, {"k": 1, "a": 2, "b": "x"}]
    assert counts_of(load_rows(db, table, rows, same=("a",))) == (0, 1, [(1, "id_conflict")])
    assert counts_of(load_rows(db, table, [{"k": 1, "a": 1}], same=("a", "b"))) == (0, 1, [])


@pytest.mark.parametrize("default", ["none", None])
def test_what_each_row_of_a_mixed_batch_has_is_compared(db, default):
    table = table_of(db, sa.Column("a", sa.Integer), sa.Column("b", sa.Text, server_default=default))
    load_rows(db, table, [{"k": k, "a": 1, "b": "x"} for k in range(4)])
    rows = [{"k": 0, "a": 1}, {"k": 1, "b": "y"}, {"k": 2, "a": 2}, {"k": 3, "a": 1, "b": "x"}, {"k": 4}, {"k": 4}]
    form, loader = RowFormat(table), TableLoader(db, table, on_conflict="ignore", keep="first", same=("a", "b"))
    loaded = loader.load_mixed([tuple(row) for row in rows], [form.line(row, tuple(row)) for row in rows])
    loader.close()
    assert counts_of(loaded) == (1, 3, [(1, "id_conflict"), (2, "id_conflict")])


def test_a_conflict_says_which_row_and_which_columns(db):
    table = table_of(db, sa.Column("it's \\ a", sa.Integer), sa.Column("b", sa.Text), sa.Column("source", JSONB))
    place = {"bucket": "lake", "key": "raw/x.jsonl", "etag": "e", "line": 7, "item": 2}
    rows = [{"k": 1, "it's \\ a": n, "b": b, "source": place} for n, b in ((1, "x"), (2, "x"), (2, "y"))]
    (_, one), (_, two) = load_rows(db, table, rows, same=("it's \\ a", "b")).rejected
    assert "(k) = (1)" in one.message
    assert "lake/raw/x.jsonl, line 7, item 2" in one.message
    assert [violation.pointer for violation in one.violations] == ["/it's \\ a"]
    assert [violation.pointer for violation in two.violations] == ["/it's \\ a", "/b"]


def test_a_conflict_shows_the_first_differing_values_of_both(db):
    kinds = {"d": JSONB, "j": JSON, "t": sa.Text, "b": sa.LargeBinary}
    table = table_of(db, *(sa.Column(name, kind) for name, kind in kinds.items()))
    old = {"d": {"a/b": [1, {"c": Decimal("1.50")}], "e": {}, "s": "x"}, "j": [1, 2], "t": None, "b": b"1"}
    new = {"d": {"a/b": [1, {"c": "1"}], "f": None, "s": "y" * 500}, "j": [1], "t": "z", "b": b"2"}
    ((_, rejected),) = load_rows(db, table, [{"k": 1, **old}, {"k": 1, **new}], same=tuple(kinds)).rejected
    assert [(each.pointer, each.message) for each in rejected.violations] == [
        ("/d/a~1b/1/c", '"1" here, 1.50 in the stored row'),
        ("/d/e", "nothing here, an object in the stored row"),
        ("/d/f", "null here, nothing in the stored row"),
        ("/j/1", "nothing here, 2 in the stored row"),
        ("/t", "z here, NULL in the stored row"),
        ("/b", "differs from the stored row"),
    ]
    assert rejected.violations[0].message in rejected.message
    ((_, rejected),) = load_rows(db, table, [{"k": 2, "t": "a"}, {"k": 2, "t": "b" * 500}], same=("t",)).rejected
    assert len(rejected.message) < 300


def test_a_number_that_is_a_gigabyte_of_text_is_not_written_out(db):
    """Nine thousand numbers of 131,000 digits each: as one text they are more than PostgreSQL can make."""
    table = table_of(db, sa.Column("d", JSONB))
    bomb = "jsonb_build_object('n', jsonb_agg('1e131071'::numeric))"
    rows_of(db, f"INSERT INTO t SELECT 1, {bomb} FROM generate_series(1, 9000)")
    ((_, rejected),) = load_rows(db, table, [{"k": 1, "d": {"n": 1}}], same=("d",)).rejected
    assert [each.message for each in rejected.violations] == ["1 here, an array in the stored row"]


def test_conflicts_are_found_beside_rows_that_postgresql_rejects(db):
    table = table_of(db, sa.Column("n", sa.Integer, sa.CheckConstraint("n > 0")))
    rows = [{"k": k, "n": n} for k, n in ((1, 1), (1, 2), (2, -1), (3, 2**40), (1, 1), (3, 3), (3, 4))]
    loaded = load_rows(db, table, rows, same=("n",))
    assert (loaded.inserted, loaded.duplicates) == (2, 1)
    reasons = {position: each.reason for position, each in loaded.rejected}
    assert reasons == {
        1: "id_conflict", 2: "check_violation", 3: "numeric_value_out_of_range", 6: "id_conflict"
    }  # fmt: skip


KEYS_AND_CONTENTS = st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["a", "b", None])), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def texts(stack):
    """A database with a table of texts, and a function that loads rows into it."""
    db = stack.new_database()
    with many_loads(db, table_of(db, sa.Column("v", sa.Text)), same=("v",)) as load:
        yield db, load


@given(st.lists(KEYS_AND_CONTENTS, min_size=1, max_size=4))
@settings(max_examples=25)
def test_each_content_is_stored_a_duplicate_of_what_is_or_rejected(texts, batches):
    db, load = texts
    run_statements(db, "TRUNCATE t")
    for batch in batches:
        rows = [{"k": k, "v": v} for k, v in batch]
        loaded = load(rows)
        stored = dict(rows_of(db, "SELECT k, v FROM t"))
        differing = [position for position, row in enumerate(rows) if stored[row["k"]] != row["v"]]
        assert [position for position, _ in loaded.rejected] == differing
        assert loaded.inserted + loaded.duplicates + len(differing) == len(rows)
