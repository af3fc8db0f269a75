"""Errors of rows and of settings: one that depends on a value rejects its row, one of every row ends the run."""

from __future__ import annotations

import contextlib

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from table_contents import load_rows, many_loads, rows_of, run_statements

import holded_pipeline as hp
from holded_pipeline.postgres.load_transaction import LoadTransaction

COLUMNS = ("k", "n", "v")
table = sa.Table(
    "t",
    sa.MetaData(),
    sa.Column("k", sa.Integer, primary_key=True),
    sa.Column("n", sa.Integer),
    sa.Column("v", sa.Text),
)


def table_rows(db, what="k, v::text"):
    return rows_of(db, f"SELECT {what} FROM t ORDER BY k")


def load_tuples(db, rows, **settings):
    dicts = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    return load_rows(db, table, dicts, columns=COLUMNS, **settings)


def reasons(loaded):
    """The reasons of rejected rows, by position."""
    return {position: rejection.reason for position, rejection in loaded.rejected}


TYPES = {
    "bit(3)": ("101", "10111", "abc", "1"),
    "d_bit": ("101", "10111", "1"),
    "d_varbit": ("101", "10111"),
    "varchar(3)": ("abc", "abcdef", "abc   "),
    "d_varchar": ("abc", "abcdef", "abc   "),
    "dd_varchar": ("abc", "abcdef", "ABC"),
    "varchar(3)[]": ("{abc}", "{abcdef}", "{a", "{NULL}"),
    "d_varchars": ("{abc}", "{abcdef}", "{{abc},{def}}"),
    "char(3)": ("a", "abcdef", "abc   "),
    "d_char": ("a", "abcdef"),
    "char(3)[]": ("{a}", "{abcdef}"),
    "d_chars": ("{a}", "{abcdef}"),
    '"char"': ("a", "abc", "\\101"),
    "name": ("a", "a" * 70),
    "numeric(4, 1)": ("1.25", "123456", "NaN", "1e3"),
    "d_numerics": ("{1.25}", "{123456}"),
    "interval hour": ("1", "90", "1 day 02:03:04", "x"),
    "interval(1)": ("1.26", "-1 day +00:00:01.55"),
    "timestamptz(0)": ("2026-03-01 12:00:00.5+00", "2026-02-31", "now-ish"),
    "time(0)": ("12:00:00.5", "25:00"),
    "regclass": ("t", "1259", "nothing", "nope.t", "a.b.c.d"),
    "regnamespace": ("public", "nope"),
    "regproc": ("now", "nothing", "nope.f"),
    "tsquery": ("a & b", "a b"),
    "jsonpath": ("$.a", "$$$ b"),
    "json": ('{"a": 1, "a": 2}', "{", '"text"', "text", "null"),
    "jsonb": ('{"a": 1, "a": 2}', '"\\u0000"', '"text"', "text"),
    "d_json": ('{"a":  1}', "[1]", "{"),
    "jsonb[]": ('{"{\\"a\\": 1}"}', "{x}"),
    "pair": ("(1,abc)", "(1,abcdef)", "(x,)"),
    "bytea": ("\\x00ff", "\\xzz", "\\000"),
    "int4range": ("[1,3)", "[5,1)"),
    "mood": ("fine", "bored"),
    "d_needed": ("x", None),
}
DOMAINS = (
    "CREATE DOMAIN d_bit AS bit(3)",
    "CREATE DOMAIN d_varbit AS varbit(3)",
    "CREATE DOMAIN d_varchar AS varchar(3)",
    "CREATE DOMAIN dd_varchar AS d_varchar CHECK (VALUE = lower(VALUE))",
    "CREATE DOMAIN d_varchars AS varchar(3)[]",
    "CREATE DOMAIN d_char AS char(3)",
    "CREATE DOMAIN d_chars AS char(3)[]",
    "CREATE DOMAIN d_numerics AS numeric(4, 1)[]",
    "CREATE DOMAIN d_json AS json CHECK (json_typeof(VALUE) = 'object')",
    "CREATE DOMAIN d_needed AS text NOT NULL",
    "CREATE TYPE pair AS (n int, v varchar(3))",
    "CREATE TYPE mood AS ENUM ('', 'fine')",
)
CASES = [(kind, text) for kind, texts in TYPES.items() for text in texts]


class TypedTables:
    """A table of one database for each type; it and its loader are made once for all texts.

    Its columns are those of `table`, its name is another one.
    """

    def __init__(self, db, closing):
        self._db, self._closing, self._loads = db, closing, {}
        self._session = closing.enter_context(db.engine(isolation_level="AUTOCOMMIT").connect())
        run_statements(db, *DOMAINS, "CREATE TABLE t ()")

    def load_alone_and_beside(self, kind, text):
        """The rejection and the stored rows of a row on its own, and of it beside one that a check rejects."""
        name = f"t{list(TYPES).index(kind)}"
        if name not in self._loads:
            run_statements(self._db, f"CREATE TABLE {name} (k int PRIMARY KEY, n int CHECK (n > 0), v {kind})")
            typed = table.to_metadata(sa.MetaData(), name=name)
            self._loads[name] = self._closing.enter_context(many_loads(self._db, typed, columns=COLUMNS))
        found = []
        for rows in ([(1, 1, text)], [(1, 1, text), (2, -1, TYPES[kind][0])]):
            loaded = self._loads[name](dict(zip(COLUMNS, row, strict=True)) for row in rows)
            rejected = {position: (each.reason, each.message) for position, each in loaded.rejected}
            assert (1 in rejected) == (len(rows) == 2)
            stored = self._session.exec_driver_sql(f"SELECT k, v::text FROM {name} ORDER BY k").all()
            found.append((rejected.get(0), stored))
            self._session.exec_driver_sql(f"TRUNCATE {name}")
        return found


@pytest.fixture(scope="module")
def typed_tables(stack):
    with contextlib.ExitStack() as closing:
        yield TypedTables(stack.new_database(), closing)


@pytest.mark.parametrize("kind", TYPES)
def test_a_bad_row_beside_it_does_not_change_how_a_value_is_stored(typed_tables, kind):
    for text in TYPES[kind]:
        alone, beside = typed_tables.load_alone_and_beside(kind, text)
        assert beside == alone, text


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(sorted(set(TYPES) - {"d_needed"})),
    text=st.sampled_from(sorted({text for _, text in CASES if text is not None}))
    | st.text("ab1 {}(),.:\\\"'-é", max_size=8),
)
def test_a_bad_row_beside_it_does_not_change_any_text_of_any_type(typed_tables, kind, text):
    alone, beside = typed_tables.load_alone_and_beside(kind, text)
    assert beside == alone


ROW_ERRORS = {
    "a check's own cast": ("k int PRIMARY KEY, n int, v text CHECK (v::jsonpath IS NOT NULL)", "$.a", "$$$ b", "42601"),
    "a generated column": (
        "k int PRIMARY KEY, n int, v text, g tsquery GENERATED ALWAYS AS (to_tsquery('simple', v)) STORED",
        "a", "a b", "42601",
    ),
    "a name that a check looks up": (
        "k int PRIMARY KEY, n int, v text CHECK (to_tsvector(v::regconfig, 'x') IS NOT NULL)",
        "simple", "klingon", "42704",
    ),
    "a missing schema": ("k int PRIMARY KEY, n int, v regnamespace", "public", "nope", "3F000"),
    "what a jsonpath lacks": (
        "k int PRIMARY KEY, n int, v jsonpath", "$", '$ ? (@ like_regex "a" flag "x")', "0A000"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ROW_ERRORS)
def test_an_error_that_depends_on_the_value_rejects_its_row(db, kind):
    columns, good, bad, state = ROW_ERRORS[kind]
    run_statements(db, f"CREATE TABLE t ({columns})")
    loaded = load_tuples(db, [(1, 1, good), (2, 1, bad), (3, 1, good)])
    ((position, rejection),) = loaded.rejected
    assert (loaded.inserted, position) == (2, 1)
    assert f"SQLSTATE {state}" in rejection.message


@pytest.mark.parametrize("kind", ["a check's own cast", "a generated column", "a missing schema"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_syntax_error_of_a_value_rejects_its_row_without_good_rows(db, kind, count):
    columns, _, bad, _ = ROW_ERRORS[kind]
    run_statements(db, f"CREATE TABLE t ({columns})")
    assert list(reasons(load_tuples(db, [(k, 1, bad) for k in range(count)]))) == list(range(count))


@pytest.fixture
def limited(db):
    """`limited(*grants)`: the database for a user who has these grants and no others."""
    name = "limited_" + db.url.rpartition("_")[2]
    run_statements(db, f"CREATE ROLE {name} LOGIN PASSWORD '{db.password.reveal()}'")

    def grant(*grants):
        run_statements(db, *(f"GRANT {each} TO {name}" for each in grants))
        return hp.Postgres(db.url.replace("holded@", f"{name}@"), retry=hp.Retry(2))

    return grant


@pytest.mark.parametrize("bad", [[(2, -2, "")], [(k, -k, "") for k in range(1, 200)]], ids=["one", "all"])
def test_a_row_level_policy_rejects_its_row(db, limited, bad):
    run_statements(
        db,
        "CREATE TABLE t (k int PRIMARY KEY, n int, v text)",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY seen ON t FOR SELECT USING (true)",
        "CREATE POLICY positive ON t FOR INSERT WITH CHECK (n > 0)",
    )
    user = limited("SELECT, INSERT, UPDATE ON t")
    good = [] if len(bad) > 1 else [(1, 1, ""), (3, 3, "")]
    loaded = load_tuples(user, good + bad)
    assert (loaded.inserted, set(reasons(loaded).values())) == (len(good), {"insufficient_privilege"})
    assert len(loaded.rejected) == len(bad)
    assert reasons(load_tuples(user, bad[:1])) == {0: "insufficient_privilege"}


ROWS = {"alone": [(1, 1, "")], "together": [(1, 1, ""), (2, 2, "")], "beside a bad row": [(1, 1, ""), (2, 2**40, "")]}
SETTINGS = {
    "a grant on a sequence": (
        (
            "CREATE SEQUENCE numbers",
            "CREATE TABLE t (k int PRIMARY KEY, n int, v text, m int DEFAULT nextval('numbers'))",
        ),
        "sequence numbers.*42501.*grant",
    ),
    "a grant on a function": (
        (
            "CREATE FUNCTION fine(n int) RETURNS boolean LANGUAGE sql AS 'SELECT n > 0'",
            "REVOKE EXECUTE ON FUNCTION fine FROM public",
            "CREATE TABLE t (k int PRIMARY KEY, n int CHECK (fine(n)), v text)",
        ),
        "function fine.*42501.*grant",
    ),
    "a parameter of the user's own": (
        ("CREATE TABLE t (k int PRIMARY KEY, n int, v text, tenant text DEFAULT current_setting('app.tenant'))",),
        "app.tenant.*42704",
    ),
    "a sequence that is looked up by name": (
        ("CREATE TABLE t (k int PRIMARY KEY, n int, v text, m int DEFAULT nextval('numbers'::text))",),
        "numbers.*42P01",
    ),
    "the right to insert": (
        ("CREATE TABLE t (k int PRIMARY KEY, n int, v text)", "REVOKE INSERT ON t FROM public"),
        "table t .*42501.*grant",
    ),
}  # fmt: skip


@pytest.mark.parametrize("missing", SETTINGS)
def test_a_setting_that_every_row_misses_rejects_none(db, limited, missing):
    setup, words = SETTINGS[missing]
    run_statements(db, *setup)
    user = limited("SELECT, UPDATE ON t" if missing == "the right to insert" else "SELECT, INSERT, UPDATE ON t")
    for how, rows in ROWS.items():
        with pytest.raises(hp.ConfigurationError, match=words):
            load_tuples(user, rows)
        assert table_rows(db) == [], how


def test_an_error_of_statements_around_the_rows_rejects_none(stack, db):
    run_statements(db, "CREATE TABLE t (k int PRIMARY KEY, n int, v text)")
    run_statements(
        stack.superuser(db),
        "CREATE FUNCTION forbid() RETURNS event_trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'no tables today'; END $$",
        "CREATE EVENT TRIGGER forbid ON ddl_command_start EXECUTE FUNCTION forbid()",
    )
    for rows in ROWS.values():
        with pytest.raises(hp.ConfigurationError, match="no tables today"):
            load_tuples(db, rows)


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


@pytest.mark.parametrize("count", [1, 200])
def test_an_assertion_of_a_trigger_rejects_its_row(db, transactions, count):
    run_statements(
        db,
        "CREATE TABLE t (k int PRIMARY KEY, n int, v text)",
        "CREATE FUNCTION check_row() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN ASSERT new.n > 0, 'negative'; RETURN new; END $$",
        "CREATE TRIGGER check_row BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION check_row()",
    )
    loaded = load_tuples(db, [(k, -1 if k < count else 1, "") for k in range(400)])
    assert (loaded.inserted, len(loaded.rejected)) == (400 - count, count)
    assert set(reasons(loaded).values()) == {"assert_failure"}
    assert len(transactions) == 2


def test_a_row_that_takes_too_long_is_not_rejected(db):
    run_statements(
        db,
        "CREATE TABLE t (k int PRIMARY KEY, n int CHECK (n > 0), v text)",
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF new.n = 9 THEN PERFORM pg_sleep(60); END IF; RETURN new; END $$",
        "CREATE TRIGGER wait BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION wait()",
    )
    impatient = hp.Postgres(db.url, connect_timeout=1, retry=hp.Retry(1, first_wait=0.05))
    with pytest.raises(hp.TransientError, match="statement timeout|no answer in 1.0 s"):
        load_tuples(impatient, [(1, -1, ""), (2, 9, "")])
    assert table_rows(db) == []
