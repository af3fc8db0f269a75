"""Rows of one batch that fill different columns: loaded together, each stored as it would be alone."""

from __future__ import annotations

import itertools

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from table_contents import many_loads, rows_of, run_statements

from holded_pipeline.postgres.column_sets import rounds_by_key
from holded_pipeline.postgres.load_transaction import LoadResult, LoadTransaction
from holded_pipeline.postgres.table_loader import TableLoader

NULLABLE = [f"c{number}" for number in range(10)]
wide = sa.Table(
    "wide",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    *(sa.Column(name, sa.Text) for name in NULLABLE),
)
# The database has a default and a domain with one that this definition does not know of.
mixed = sa.Table(
    "mixed",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("plain", sa.Text),
    sa.Column("number", sa.Integer, sa.CheckConstraint("number <> 13")),
    sa.Column("needed", sa.Text, nullable=False, default="of Python"),
    sa.Column("server", sa.Text),
    sa.Column("domain", sa.Text),
    sa.Column("sql", sa.Text, default=sa.func.lower("OF SQL")),
    sa.Column("changed", sa.Text, onupdate="changed"),
)
CREATE_MIXED = (
    "CREATE DOMAIN word AS text DEFAULT 'of the domain'",
    """CREATE TABLE mixed (id int PRIMARY KEY, plain text, number int CHECK (number <> 13), needed text NOT NULL,
    server text DEFAULT 'of the server', domain word, sql text, changed text)""",
)


def load_mixed(db, table, rows, **choices):
    with many_loads(db, table, **choices) as load:
        return load(rows)


def counts(result):
    return result.inserted, result.updated, result.duplicates, [position for position, _ in result.rejected]


@pytest.fixture
def transactions(monkeypatch):
    ran = []
    original = LoadTransaction.run
    monkeypatch.setattr(LoadTransaction, "run", lambda *arguments: ran.append(1) or original(*arguments))
    return ran


def test_rows_with_a_thousand_sets_of_columns_are_one_transaction(db, transactions):
    wide.create(db.engine(poolclass=sa.NullPool))
    chosen = itertools.product([False, True], repeat=10)
    rows = [{"id": n, **dict.fromkeys(itertools.compress(NULLABLE, each), str(n))} for n, each in enumerate(chosen)]
    assert counts(load_mixed(db, wide, rows)) == (1024, 0, 0, [])
    assert len(transactions) == 1
    stored = {row[0]: row[1:] for row in rows_of(db, "SELECT * FROM wide")}
    assert stored == {row["id"]: tuple(row.get(name) for name in NULLABLE) for row in rows}


def test_an_update_by_a_thousand_sets_of_columns_is_one_transaction(db, transactions):
    wide.create(db.engine(poolclass=sa.NullPool))
    chosen = list(itertools.product([False, True], repeat=10))
    load_mixed(db, wide, [{"id": n, **dict.fromkeys(NULLABLE, "old")} for n, _ in enumerate(chosen)])
    transactions.clear()
    rows = [{"id": n, **dict.fromkeys(itertools.compress(NULLABLE, each), "new")} for n, each in enumerate(chosen)]
    assert counts(load_mixed(db, wide, rows, on_conflict="update")) == (0, 1023, 1, [])
    assert len(transactions) == 1
    stored = {row[0]: row[1:] for row in rows_of(db, "SELECT * FROM wide")}
    assert stored == {row["id"]: tuple(row.get(name, "old") for name in NULLABLE) for row in rows}


def test_the_order_of_rows_decides_between_equal_keys(db):
    wide.create(db.engine(poolclass=sa.NullPool))
    rows = [{"id": 1, "c0": "first"}, {"id": 1, "c1": "second"}, {"id": 1, "c0": "third"}]
    assert counts(load_mixed(db, wide, rows)) == (1, 0, 2, [])
    assert rows_of(db, "SELECT id, c0, c1 FROM wide") == [(1, "first", None)]


def test_an_update_touches_no_column_that_its_row_omits(db):
    wide.create(db.engine(poolclass=sa.NullPool))
    load_mixed(db, wide, [{"id": n, "c0": "old", "c1": "old"} for n in (1, 2)])
    rows = [{"id": 1, "c0": "new"}, {"id": 2, "c1": None}, {"id": 1, "c1": "new"}]
    assert counts(load_mixed(db, wide, rows, on_conflict="update", keep="last")) == (0, 3, 0, [])
    assert rows_of(db, "SELECT id, c0, c1 FROM wide ORDER BY 1") == [(1, "new", "new"), (2, "old", None)]


def test_a_bad_row_among_sets_of_columns_is_rejected_alone(db):
    run_statements(db, *CREATE_MIXED)
    rows = [{"id": 1, "plain": "a\tb\\"}, {"id": 2, "number": 13}, {"id": 3}, {"id": 4, "server": None}]
    assert counts(load_mixed(db, mixed, rows)) == (3, 0, 0, [1])
    assert rows_of(db, "SELECT id, plain, needed, server, domain, sql FROM mixed ORDER BY 1") == [
        (1, "a\tb\\", "of Python", "of the server", "of the domain", "of sql"),
        (3, None, "of Python", "of the server", "of the domain", "of sql"),
        (4, None, "of Python", None, "of the domain", "of sql"),
    ]


def test_an_update_with_a_bad_row_among_many_sets_is_two_transactions(db, transactions):
    wide.create(db.engine(poolclass=sa.NullPool))
    run_statements(db, "ALTER TABLE wide ADD CHECK (c3 <> 'bad')")
    chosen = list(itertools.product([False, True], repeat=10))
    load_mixed(db, wide, [{"id": n, **dict.fromkeys(NULLABLE, "old")} for n, _ in enumerate(chosen)])
    transactions.clear()
    rows = [{"id": n, **dict.fromkeys(itertools.compress(NULLABLE, each), "new")} for n, each in enumerate(chosen)]
    bad = {"id": 500, "c3": "bad"}
    result = load_mixed(db, wide, [*rows[:500], bad, *rows[501:]], on_conflict="update")
    assert counts(result) == (0, 1022, 1, [500])
    assert len(transactions) == 2
    stored = {row[0]: row[1:] for row in rows_of(db, "SELECT * FROM wide")}
    rows[500] = {"id": 500}
    assert stored == {row["id"]: tuple(row.get(name, "old") for name in NULLABLE) for row in rows}


# The type of a default may be another one than its column's, and its length is checked where it is inserted.
DEFAULTS = {
    "a_text": "text DEFAULT 5",
    "short": "varchar(3) DEFAULT 'abc'",
    "too_short": "varchar(3) DEFAULT 'abcdef'",
    "padded": "char(5) DEFAULT 'ab'",
    "whole": "int DEFAULT 1.5",
    "cents": "numeric(5, 2) DEFAULT 1.239",
    "day": "date DEFAULT '2026-03-01 12:00+00'::timestamptz",
    "hour": "time DEFAULT '2026-03-01 12:00'::timestamp",
    "document": """jsonb DEFAULT '{"a%s": "{}"}'""",
    "words": "text[] DEFAULT ARRAY['a', 'b']",
    "mood": "mood DEFAULT 'so so'",
    "counted": "serial",
    "needed": "text NOT NULL DEFAULT lower('X')",
    "double": "int GENERATED ALWAYS AS (id * 2) STORED",
    "identity": "int GENERATED ALWAYS AS IDENTITY",
}
with_defaults = sa.Table(
    "with_defaults",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    *(sa.Column(name, sa.Text) for name in DEFAULTS),
)


@pytest.mark.parametrize("on_conflict", ["ignore", "update", "reject"])
def test_a_row_that_omits_a_column_gets_the_default_of_the_database(db, transactions, on_conflict):
    columns = ", ".join(f"{name} {definition}" for name, definition in DEFAULTS.items())
    run_statements(
        db, "CREATE TYPE mood AS ENUM ('so so')", f"CREATE TABLE with_defaults (id int PRIMARY KEY, {columns})"
    )
    rows = [
        {"id": 1, "too_short": "abc"},
        {"id": 2},
        {"id": 3, **dict.fromkeys([*DEFAULTS][:11]), "day": "5874897-12-31"},
        {"id": 4, "too_short": None, "needed": None},
        {"id": 5, "a_text": "x", "whole": "3", "day": "5874897-12-31", "mood": None, "too_short": "a"},
    ]
    result = load_mixed(db, with_defaults, rows, on_conflict=on_conflict)
    assert counts(result) == (3, 0, 0, [1, 3])
    assert len(transactions) == 2
    defaults = ("5", "abc", "ab   ", 2, "1.24", "2026-03-01", "12:00:00", {"a%s": "{}"}, ["a", "b"], "so so", "x")
    query = """SELECT id, too_short, a_text, short, padded, whole, cents::text, day::text, hour::text, document, words,
        mood::text, needed, counted IS NULL, double, identity IS NOT NULL FROM with_defaults ORDER BY id"""
    assert rows_of(db, query) == [
        (1, "abc", *defaults, False, 2, True),
        (3, None, None, None, None, None, None, "5874897-12-31", None, None, None, None, "x", False, 6, True),
        (5, "a", "x", "abc", "ab   ", 3, "1.24", "5874897-12-31", *defaults[6:9], None, "x", False, 10, True),
    ]


@pytest.mark.parametrize("key", ["text", "float8", "numeric(4, 2)"])
def test_an_update_keeps_what_a_row_omits_and_not_the_default(db, transactions, key):
    run_statements(
        db, f"CREATE TABLE wide (id {key} PRIMARY KEY, c0 text DEFAULT 'default', c1 text DEFAULT 'default')"
    )
    load_mixed(db, wide, [{"id": n, "c0": "old", "c1": "old"} for n in (1, 2, 3)])
    transactions.clear()
    rows = [{"id": 1, "c0": "new"}, {"id": 2, "c1": None}, {"id": 3}, {"id": 4, "c1": "new"}, {"id": 5}]
    assert counts(load_mixed(db, wide, rows, on_conflict="update")) == (2, 2, 1, [])
    # Texts of other types do not tell which keys are equal: a transaction for each set of columns.
    assert len(transactions) == (1 if key == "text" else 3)
    assert rows_of(db, "SELECT id::int, c0, c1 FROM wide ORDER BY 1") == [
        (1, "new", "old"),
        (2, "old", None),
        (3, "old", "old"),
        (4, "default", "new"),
        (5, "default", "default"),
    ]


@pytest.mark.parametrize("second", ["text", "float8"])
def test_an_update_by_a_key_of_two_columns_keeps_what_a_row_omits(db, transactions, second):
    run_statements(db, f"CREATE TABLE pairs (a text, b {second}, x int, y int DEFAULT 7, PRIMARY KEY (a, b))")
    key = [sa.Column(name, sa.Text, primary_key=True) for name in ("a", "b")]
    pairs = sa.Table("pairs", sa.MetaData(), *key, sa.Column("x", sa.Integer), sa.Column("y", sa.Integer))
    load_mixed(db, pairs, [{"a": a, "b": b, "x": 0, "y": 0} for a, b in (("k,1", "1"), ("k", "11"))])
    transactions.clear()
    rows = [{"a": "k,1", "b": "1", "x": 1}, {"a": "k", "b": "11", "y": 1}, {"a": 'k"', "b": "1", "x": 1}]
    assert counts(load_mixed(db, pairs, rows, on_conflict="update")) == (1, 2, 0, [])
    assert len(transactions) == (1 if second == "text" else 2)
    assert sorted(rows_of(db, "SELECT a, x, y FROM pairs")) == [("k", 0, 1), ('k"', 1, 7), ("k,1", 1, 0)]


def test_a_trigger_on_a_column_fires_only_for_rows_that_have_it(db):
    wide.create(db.engine(poolclass=sa.NullPool))
    load_mixed(db, wide, [{"id": n, "c0": "old", "c1": "old"} for n in (1, 2)])
    run_statements(
        db,
        "CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.c9 := 'fired'; RETURN NEW; END $$",
        "CREATE TRIGGER marks BEFORE UPDATE OF c0 ON wide FOR EACH ROW EXECUTE FUNCTION mark()",
    )
    load_mixed(db, wide, [{"id": 1, "c0": "new"}, {"id": 2, "c1": "new"}], on_conflict="update")
    assert rows_of(db, "SELECT id, c9 FROM wide ORDER BY 1") == [(1, "fired"), (2, None)]


def optional_row(n):
    texts = st.one_of(st.none(), st.sampled_from(["x", "a\tb", "\\N", ""]))
    optional = dict.fromkeys(("plain", "server", "domain", "sql", "changed"), texts)
    numbers = st.sampled_from([None, 1, 13, 2**40])
    return st.fixed_dictionaries({"id": st.just(n)}, optional=optional | {"needed": texts, "number": numbers})


ROWS = st.lists(st.integers(0, 9), max_size=8, unique=True).flatmap(lambda ids: st.tuples(*map(optional_row, ids)))


@pytest.mark.parametrize("on_conflict", ["ignore", "update", "reject"])
def test_a_batch_stores_what_its_rows_store_one_by_one(db, on_conflict):
    run_statements(db, *CREATE_MIXED)

    @settings(max_examples=15, deadline=None)
    @given(before=ROWS, rows=ROWS)
    def check(before, rows):
        found = []
        for batches in ([rows] if rows else [], [[row] for row in rows]):
            run_statements(db, "TRUNCATE mixed")
            for row in before:
                load_before([row])
            results = [load(batch) for batch in batches]
            total = sum(results, LoadResult())
            rejected = sorted(rejection.message for result in results for _, rejection in result.rejected)
            found.append((*counts(total)[:3], rejected, rows_of(db, "SELECT * FROM mixed ORDER BY 1")))
        assert found[0] == found[1]

    with many_loads(db, mixed) as load_before, many_loads(db, mixed, on_conflict=on_conflict) as load:
        check()


@pytest.mark.parametrize("on_conflict", ["ignore", "update"])
def test_a_bad_row_is_named_by_its_position_in_the_whole_batch(db, on_conflict):
    run_statements(db, *CREATE_MIXED)
    rows = [{"id": 1}, {"id": 2, "server": "x"}, {"id": 3}, {"id": 4, "server": "y", "number": 13}]
    assert counts(load_mixed(db, mixed, rows, on_conflict=on_conflict)) == (3, 0, 0, [3])


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("numeric", ("1", "1.0")),
        ("uuid", ("0F8FAD5B-D9CB-469F-A165-70867728950E", "0f8fad5b-d9cb-469f-a165-70867728950e")),
        ("timestamptz", ("2026-01-01T12:00:00+00:00", "2026-01-01T13:00:00+01:00")),
    ],
)
def test_rows_of_one_key_in_two_spellings_all_count(db, kind, texts):
    run_statements(db, f"CREATE TABLE k (k {kind} PRIMARY KEY, a int, b int)")
    types = {"numeric": sa.Numeric(), "uuid": sa.Uuid(as_uuid=False), "timestamptz": sa.DateTime(timezone=True)}
    columns = (sa.Column("k", types[kind], primary_key=True), sa.Column("a", sa.Integer), sa.Column("b", sa.Integer))
    table = sa.Table("k", sa.MetaData(), *columns)
    loader = TableLoader(db, table, on_conflict="update", keep="last")
    names = [("k", "a"), ("k", "b")]
    lines = [f"{text}\t{number}\n".encode() for number, text in enumerate(texts, 5)]
    result = loader.load_mixed(names, lines)
    loader.close()
    assert (result.inserted, result.updated, result.duplicates, result.rejected) == (1, 1, 0, ())
    assert [row[1:] for row in rows_of(db, "SELECT k, a, b FROM k")] == [(5, 6)]


def test_the_last_row_counts_whatever_columns_those_before_it_have():
    keys = [b"1", b"2", b"1", b"1"]
    filled = [("k", "a"), ("k", "a"), ("k", "a", "b"), ("k", "a")]
    assert rounds_by_key(keys, filled, in_order=True) == [[0, 1], [2], [3]]
    assert rounds_by_key(keys, filled, in_order=False) == [[0, 1, 3], [2]]
    assert rounds_by_key(None, filled, in_order=True) == [[0, 1, 3], [2]]
