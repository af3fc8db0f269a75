"""Rows that PostgreSQL rejects: found and reported, and every other row stored, at a cost that is counted."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from table_contents import load_rows, many_loads, rows_of, run_statements

import holded_pipeline as hp
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.event_row import event_row
from holded_pipeline.postgres.load_transaction import LoadTransaction
from holded_pipeline.postgres.table_loader import TableLoader
from holded_pipeline.postgres.tables import business_events

COLUMNS = ("k", "n", "v")
table = sa.Table(
    "t",
    sa.MetaData(),
    sa.Column("k", sa.Integer, primary_key=True),
    sa.Column("n", sa.Integer),
    sa.Column("v", sa.Text),
)


def table_rows(db, what="k, n, v"):
    return rows_of(db, f"SELECT {what} FROM t ORDER BY k")


def load_tuples(db, rows, **settings):
    dicts = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    return load_rows(db, table, dicts, columns=COLUMNS, **settings)


def reasons(loaded):
    """The reasons of rejected rows, by position."""
    return {position: rejection.reason for position, rejection in loaded.rejected}


COUNT_MERGES = (
    "CREATE SEQUENCE merges",  # not rolled back, so that trials count as well
    """CREATE FUNCTION count_merge() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM nextval('merges'); RETURN NULL; END $$""",
    "CREATE TRIGGER merges BEFORE INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION count_merge()",
)


def merges(db):
    ((count,),) = rows_of(db, "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM merges")
    return count


@pytest.fixture
def transactions(monkeypatch):
    counted = []
    original = LoadTransaction.run
    monkeypatch.setattr(
        LoadTransaction,
        "run",
        lambda self, lines, deadline: (counted.append(len(lines)), original(self, lines, deadline))[1],
    )
    return counted


CREATE = "CREATE TABLE t (k int PRIMARY KEY, n int CHECK (n <> 13), v varchar(5))"
BAD = {"overflow": (2**40, "v"), "check": (13, "v"), "too long": (1, "far too long")}


@pytest.mark.parametrize("kind", BAD)
def test_one_bad_row_in_five_thousand_costs_few_merges(db, transactions, kind):
    run_statements(db, CREATE, *COUNT_MERGES)
    loaded = load_tuples(db, [(k, *(BAD[kind] if k == 3_333 else (k + 100, "v"))) for k in range(5_000)])
    assert (loaded.inserted, list(reasons(loaded))) == (4_999, [3_333])
    assert len(transactions) == 2
    assert merges(db) <= 2 * 13 + 8


@pytest.mark.parametrize("kind", BAD)
def test_bad_rows_alone_cost_a_bounded_number_of_merges(db, transactions, kind):
    run_statements(db, CREATE, *COUNT_MERGES)
    loaded = load_tuples(db, [(k, *BAD[kind]) for k in range(5_000)])
    assert list(reasons(loaded)) == list(range(5_000))
    assert len(transactions) == 2
    assert merges(db) <= 5_000 + 5_000 // 2
    assert table_rows(db) == []


def test_rows_that_are_good_only_alone_cost_a_bounded_number_too(db, transactions):
    run_statements(db, "CREATE TABLE t (k int PRIMARY KEY, n int, v text UNIQUE)", *COUNT_MERGES)
    loaded = load_tuples(db, [(k, k, "the same") for k in range(1_000)])
    assert table_rows(db, "k") == [(0,)]
    assert set(reasons(loaded).values()) == {"unique_violation"}
    assert (loaded.inserted, len(loaded.rejected)) == (1, 999)
    assert len(transactions) <= 4 * 10
    assert merges(db) <= 10 * 1_000


BAD_ROWS = {
    "not null": ("k int PRIMARY KEY, n int NOT NULL, v text", (None, ""), "not_null_violation", "23502"),
    "check": ("k int PRIMARY KEY, n int CHECK (n > 0), v text", (-1, ""), "check_violation", "23514"),
    "foreign key": ("k int PRIMARY KEY, n int REFERENCES p, v text", (7, ""), "foreign_key_violation", "23503"),
    "deferred foreign key": (
        "k int PRIMARY KEY, n int REFERENCES p DEFERRABLE INITIALLY DEFERRED, v text",
        (7, ""), "foreign_key_violation", "23503",
    ),
    "another unique": ("k int PRIMARY KEY, n int, v text UNIQUE", (1, "0"), "unique_violation", "23505"),
    "deferred unique": (
        "k int PRIMARY KEY, n int, v text UNIQUE DEFERRABLE INITIALLY DEFERRED", (1, "0"), "unique_violation", "23505"
    ),
    "exclusion": (
        "k int PRIMARY KEY, n int, v text, EXCLUDE USING hash (v WITH =)", (1, "0"), "exclusion_violation", "23P01"
    ),
    "no partition": (
        "k int PRIMARY KEY, n int, v text) PARTITION BY RANGE (k", (1, ""), "check_violation", "23514"
    ),
    "enum": ("k int PRIMARY KEY, n int, v mood", (1, "bored"), "invalid_text_representation", "22P02"),
    "domain": ("k int PRIMARY KEY, n small, v text", (99, ""), "check_violation", "23514"),
    "domain with a length": ("k int PRIMARY KEY, n int, v code", (1, "long"), "string_data_right_truncation", "22001"),
    "varchar": ("k int PRIMARY KEY, n int, v varchar(3)", (1, "long"), "string_data_right_truncation", "22001"),
    "char": ("k int PRIMARY KEY, n int, v char(3)", (1, "long"), "string_data_right_truncation", "22001"),
    "array": ("k int PRIMARY KEY, n int, v varchar(3)[]", (1, "{long}"), "string_data_right_truncation", "22001"),
    "numeric": ("k int PRIMARY KEY, n numeric(3, 1), v text", (100, ""), "numeric_value_out_of_range", "22003"),
    "overflow": ("k int PRIMARY KEY, n smallint, v text", (70_000, ""), "numeric_value_out_of_range", "22003"),
    "date": ("k int PRIMARY KEY, n int, v date", (1, "yesterish"), "invalid_datetime_format", "22007"),
    "date out of range": ("k int PRIMARY KEY, n int, v date", (1, "2026-02-31"), "datetime_field_overflow", "22008"),
    "json": ("k int PRIMARY KEY, n int, v jsonb", (1, "{"), "invalid_text_representation", "22P02"),
    "nul in json": (
        "k int PRIMARY KEY, n int, v jsonb", (1, '"\\u0000"'), "untranslatable_character", "22P05"
    ),
    "too long for an index": ("k int PRIMARY KEY, n int, v text UNIQUE", (1, None), "program_limit_exceeded", "54000"),
    "generated column": (
        "k int PRIMARY KEY, n int, v text, g int GENERATED ALWAYS AS (1 / n) STORED", (0, ""), "division_by_zero",
        "22012",
    ),
    "a trigger": ("k int PRIMARY KEY, n int, v text", (666, ""), "raise_exception", "P0001"),
    "text that SQL calls a syntax error": ("k int PRIMARY KEY, n int, v tsquery", (1, "a b"), "syntax_error", "42601"),
    "a name of nothing": ("k int PRIMARY KEY, n int, v regclass", (1, "nothing"), "undefined_table", "42P01"),
    "a trigger that finds no row": ("k int PRIMARY KEY, n int, v text", (668, ""), "no_data_found", "P0002"),
    "a code of the user's own": ("k int PRIMARY KEY, n int, v text", (669, ""), "sqlstate_HO001", "HO001"),
    "a trigger's own code": ("k int PRIMARY KEY, n int, v text", (667, ""), "restrict_violation", "23001"),
}  # fmt: skip
SETUP = (
    "CREATE TABLE p (n int PRIMARY KEY)",
    "INSERT INTO p VALUES (1)",
    "CREATE TYPE mood AS ENUM ('', 'fine')",
    "CREATE DOMAIN small AS int CHECK (VALUE < 50)",
    "CREATE DOMAIN code AS varchar(3)",
)
TRIGGER = (
    """CREATE FUNCTION check_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF new.n = 666 THEN RAISE EXCEPTION 'not that one'; END IF;
    IF new.n = 667 THEN RAISE EXCEPTION 'nor that' USING ERRCODE = 'restrict_violation', CONSTRAINT = 'mine'; END IF;
    IF new.n = 668 THEN SELECT p.n INTO STRICT new.n FROM p WHERE p.n = 668; END IF;
    IF new.n = 669 THEN RAISE EXCEPTION 'nor this' USING ERRCODE = 'HO001'; END IF;
    RETURN new; END $$""",
    "CREATE TRIGGER check_row BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION check_row()",
)
GOOD_VALUES = {"enum": "fine", "date": "2026-01-01", "date out of range": "2026-01-01", "array": "{a}"} | {
    "a name of nothing": "pg_class"
}  # fmt: skip
UNIQUE_VALUES = {"another unique", "deferred unique", "exclusion", "json", "nul in json", "too long for an index"}


@pytest.fixture(scope="module")
def with_types(stack):
    db = stack.new_database()
    run_statements(db, *SETUP)
    return db


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_each_kind_of_bad_row_is_rejected_alone_with_the_servers_message(with_types, kind):
    db = with_types
    columns, (n, v), reason, state = BAD_ROWS[kind]
    run_statements(db, "DROP TABLE IF EXISTS t", "DROP FUNCTION IF EXISTS check_row", f"CREATE TABLE t ({columns})")
    if kind == "no partition":
        run_statements(db, "CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (13)")
        run_statements(db, "CREATE TABLE t_2 PARTITION OF t FOR VALUES FROM (14) TO (100)")
    else:
        run_statements(db, *TRIGGER)
    if kind == "too long for an index":
        v = "".join(chr(0x4E00 + (number * number * 7919) % 20_000) for number in range(8_000))
    rows = [(k, 1, str(k) if kind in UNIQUE_VALUES else GOOD_VALUES.get(kind, "ok")) for k in range(20)]
    rows[13] = (13, n, v)
    loaded = load_tuples(db, rows)
    assert reasons(loaded) == {13: reason}
    ((_, rejection),) = loaded.rejected
    assert f"SQLSTATE {state}" in rejection.message
    assert len(table_rows(db)) == loaded.inserted == 19
    if state.startswith("23") and state != "23502" and kind != "no partition":
        assert "constraint" in rejection.message


def test_a_rejection_says_the_same_for_a_row_alone_and_among_others(db):
    run_statements(db, "CREATE TABLE t (k int PRIMARY KEY, n int CONSTRAINT positive CHECK (n > 0), v text)")
    ((_, alone),) = load_tuples(db, [(1, -1, "")]).rejected
    ((_, among),) = load_tuples(db, [(1, -1, ""), (2, 2, "")]).rejected
    assert (alone.reason, alone.message, alone.violations) == (among.reason, among.message, among.violations)
    assert among.violations == (
        hp.Violation("", "positive", 'new row for relation "t" violates check constraint "positive"'),
    )


def test_of_two_rows_with_one_key_the_good_one_is_stored(db):
    run_statements(db, CREATE)
    loaded = load_tuples(db, [(1, 2**40, "bad"), (1, 1, "good"), (2, 2, "good"), (2, 13, "bad")])
    assert table_rows(db) == [(1, 1, "good"), (2, 2, "good")]
    assert reasons(loaded)[0] == "numeric_value_out_of_range"
    assert loaded.inserted + loaded.duplicates + len(loaded.rejected) == 4


@pytest.mark.parametrize(("keep", "kept"), [("first", 1), ("last", 3)])
def test_duplicate_keys_beside_a_bad_row_are_merged_and_counted(db, keep, kept):
    run_statements(db, CREATE)
    rows = [(1, 1, "a"), (2, 2**40, "bad"), (1, 2, "a"), (3, 3, "a"), (1, 3, "a"), (1, 13, "bad")]
    loaded = load_tuples(db, rows, on_conflict="update", keep=keep)
    assert table_rows(db) == [(1, kept, "a"), (3, 3, "a")]
    assert loaded.inserted + loaded.updated + loaded.duplicates + len(loaded.rejected) == 6
    assert set(reasons(loaded)) == {1, 5} if keep == "last" else set(reasons(loaded)) >= {1}


def test_a_row_may_need_another_one_of_its_batch(db):
    """Neither their order nor a bad row between them matters."""
    run_statements(db, "CREATE TABLE t (k int PRIMARY KEY, n int REFERENCES t (k), v varchar(5))")
    rows = [(k, k + 1 if k < 39 else None, "v") for k in range(40)]
    rows.insert(11, (100, None, "far too long"))
    rows.append((101, 100, "v"))
    loaded = load_tuples(db, rows)
    assert reasons(loaded) == {11: "string_data_right_truncation", 41: "foreign_key_violation"}
    assert len(table_rows(db)) == loaded.inserted == 40


def test_the_check_option_of_a_view_rejects_the_row(db):
    run_statements(db, "CREATE TABLE base (k int PRIMARY KEY, n int, v text)")
    run_statements(db, "CREATE VIEW t AS SELECT * FROM base WHERE n > 0 WITH CHECK OPTION")
    loaded = load_tuples(db, [(1, 1, ""), (2, -2, "")])
    assert (loaded.inserted, reasons(loaded)) == (1, {1: "with_check_option_violation"})


def test_any_name_of_a_table_or_column_is_accepted(db):
    odd = sa.Table(
        'o"d %s $1 {x}', sa.MetaData(), sa.Column('k"% {y}', sa.Integer, primary_key=True), sa.Column("%n", sa.Integer)
    )
    odd.metadata.create_all(db.engine())
    columns = tuple(column.name for column in odd.columns)
    rows = [dict(zip(columns, row, strict=True)) for row in [(1, 1), (2, 2**40)]]
    loaded = load_rows(db, odd, rows, on_conflict="update")
    assert (loaded.inserted, list(reasons(loaded))) == (1, [1])


def make_row(number, company, **changes):
    return event_row(
        hp.Event(f"e{number}", f"type {number % 3}", company, NOON + timedelta(seconds=number), {}, **changes)
    )


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def business_lines(rows):
    form = RowFormat(business_events)
    columns = form.columns(rows[0])
    return columns, [form.line(row, columns) for row in rows]


def test_writers_of_overlapping_poisoned_batches_do_not_deadlock(db):
    hp.migrate(db)
    run_statements(db, "ALTER TABLE business_events ADD CONSTRAINT named CHECK (company_id <> '')")
    errors, found = [], []

    def write(seed):
        loader = TableLoader(db, business_events, on_conflict="ignore", keep="first")
        try:
            for turn in range(6):
                numbers = [(seed * 37 + turn * 50 + step * (seed * 2 + 1)) % 211 for step in range(120)]
                rows = [make_row(n, "" if n % 40 == 7 else f"c{n % 5}") for n in numbers]
                found.append(loader.load(*business_lines(rows)))
        except Exception as error:  # noqa: BLE001  whatever it is, the test shows it
            errors.append(error)
        finally:
            loader.close()

    before = deadlocks(db)
    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert deadlocks(db) == before
    assert sum(loaded.inserted for loaded in found) == len({n for n in range(211) if n % 40 != 7})
    assert hp.verify_analytics(db) == []


def deadlocks(db):
    ((count,),) = rows_of(db, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return count


ANY_ROWS = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from([1, 2, 3, 13, 2**40]), st.sampled_from(["a", "b", "too long"])),
    max_size=40,
)


def test_every_row_is_stored_a_duplicate_or_rejected(db):
    run_statements(db, CREATE)

    @settings(max_examples=25, deadline=None, derandomize=True)
    @given(rows=ANY_ROWS)
    def check(rows):
        run_statements(db, "TRUNCATE t")
        loaded = load([dict(zip(COLUMNS, row, strict=True)) for row in rows])
        good = {k for k, n, v in rows if n in (1, 2, 3) and v != "too long"}
        assert {k for (k,) in table_rows(db, "k")} == good
        assert loaded.inserted == len(good)
        assert loaded.inserted + loaded.duplicates + len(loaded.rejected) == len(rows)
        bad = {position for position, (_, n, v) in enumerate(rows) if n in (13, 2**40) or v == "too long"}
        assert set(reasons(loaded)) <= bad

    with many_loads(db, table, columns=COLUMNS) as load:
        check()


def test_an_outage_during_the_search_rejects_no_row(db):
    run_statements(db, CREATE)
    run_statements(
        db,
        "CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF new.n = 5 THEN "
        "RAISE EXCEPTION 'the disk is full' USING ERRCODE = 'disk_full'; END IF; RETURN new; END $$",
        "CREATE TRIGGER away BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION away()",
    )
    impatient = hp.Postgres(db.url, retry=hp.Retry(0.3, first_wait=0.05))
    with pytest.raises(hp.TransientError, match="the disk is full"):
        load_tuples(impatient, [(1, 1, ""), (2, 13, ""), (3, 5, ""), (4, Decimal(4), "")])
    assert table_rows(db) == []


BROKEN_TRIGGERS = {
    "DECLARE c refcursor := 'missing'; r record; BEGIN FETCH c INTO r; RETURN new; END": r"34000\), which is neither",
    "BEGIN PERFORM * FROM no_such_table; RETURN new; END": r"42P01\); create the table",
    "BEGIN RAISE EXCEPTION 'so it is' USING ERRCODE = '42501'; END": r"42501\); grant",
}


@pytest.mark.parametrize("rows", [[(1, 1, "")], [(1, 13, ""), (2, 1, "")]], ids=["alone", "beside a bad row"])
@pytest.mark.parametrize("body", BROKEN_TRIGGERS)
def test_a_broken_trigger_rejects_no_row(db, body, rows):
    run_statements(
        db,
        CREATE,
        f"CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$",
        "CREATE TRIGGER broken BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION broken()",
    )
    with pytest.raises(hp.ConfigurationError, match=BROKEN_TRIGGERS[body]):
        load_tuples(db, rows)
    assert table_rows(db) == []


def test_the_grants_of_an_ordinary_load_are_enough(db):
    run_statements(db, CREATE)
    name = "plain_" + db.url.rpartition("_")[2]
    run_statements(
        db,
        f"CREATE ROLE {name} LOGIN PASSWORD '{db.password.reveal()}'",
        f"GRANT SELECT, INSERT, UPDATE ON t TO {name}",
    )
    loaded = load_tuples(hp.Postgres(db.url.replace("holded@", f"{name}@")), [(1, 1, ""), (2, 13, "")])
    assert (loaded.inserted, reasons(loaded)) == (1, {1: "check_violation"})
