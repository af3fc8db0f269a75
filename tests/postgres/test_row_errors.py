"""Whose fault a refusal is: what depends on a row's value is the row's, what is the same for every row a setting's."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import holded_pipeline as hp
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.load_transaction import LoadTransaction
from holded_pipeline.postgres.table_loader import TableLoader

COLUMNS = ("k", "n", "v")
table = sa.Table(
    "t",
    sa.MetaData(),
    sa.Column("k", sa.Integer, primary_key=True),
    sa.Column("n", sa.Integer),
    sa.Column("v", sa.Text),
)


def execute(db, *texts):
    with db.engine(poolclass=sa.NullPool).begin() as connection:
        for text in texts:
            connection.exec_driver_sql(text)


def stored(db, what="k, v::text"):
    with db.engine(poolclass=sa.NullPool).connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(f"SELECT {what} FROM t ORDER BY k"))]


def load(db, rows, **wanted):
    form = RowFormat(table)
    loader = TableLoader(db, table, **({"on_conflict": "ignore", "keep": "first"} | wanted))
    try:
        return loader.load(COLUMNS, [form.line(dict(zip(COLUMNS, row, strict=True)), COLUMNS) for row in rows])
    finally:
        loader.close()


def refused(loaded):
    return {place: fault.reason for place, fault in loaded.refused}


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


def alone_and_beside(db, kind, text):
    """What becomes of a row on its own, and beside one that a check refuses."""
    found = []
    for rows in ([(1, 1, text)], [(1, 1, text), (2, -1, TYPES[kind][0])]):
        execute(db, "DROP TABLE IF EXISTS t", f"CREATE TABLE t (k int PRIMARY KEY, n int CHECK (n > 0), v {kind})")
        loaded = load(db, rows)
        faults = {place: (fault.reason, fault.message) for place, fault in loaded.refused}
        assert (1 in faults) == (len(rows) == 2)
        found.append((faults.get(0), stored(db)))
    return found


@pytest.mark.parametrize("kind", TYPES)
def test_a_value_is_stored_beside_a_bad_row_as_it_is_alone_or_refused_in_both(db, kind):
    execute(db, *DOMAINS)
    for text in TYPES[kind]:
        alone, beside = alone_and_beside(db, kind, text)
        assert beside == alone, text


def has_domains(db):
    """Whether the domains are there."""
    with db.engine(poolclass=sa.NullPool).connect() as connection:
        return connection.exec_driver_sql("SELECT to_regtype('mood') IS NOT NULL").scalar()


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(sorted(set(TYPES) - {"d_needed"})),
    text=st.sampled_from(sorted({text for _, text in CASES if text is not None}))
    | st.text("ab1 {}(),.:\\\"'-é", max_size=8),
)
def test_so_is_any_text_of_any_type(db, kind, text):
    if not has_domains(db):
        execute(db, *DOMAINS)
    alone, beside = alone_and_beside(db, kind, text)
    assert beside == alone


ROW_FAULTS = {
    "a check's own cast": ("k int PRIMARY KEY, n int, v text CHECK (v::jsonpath IS NOT NULL)", "$.a", "$$$ b", "42601"),
    "a generated column": (
        "k int PRIMARY KEY, n int, v text, g tsquery GENERATED ALWAYS AS (to_tsquery('simple', v)) STORED",
        "a", "a b", "42601",
    ),
    "a name that a check looks up": (
        "k int PRIMARY KEY, n int, v text CHECK (to_tsvector(v::regconfig, 'x') IS NOT NULL)",
        "simple", "klingon", "42704",
    ),
    "a schema that is none": ("k int PRIMARY KEY, n int, v regnamespace", "public", "nope", "3F000"),
    "what a jsonpath lacks": (
        "k int PRIMARY KEY, n int, v jsonpath", "$", '$ ? (@ like_regex "a" flag "x")', "0A000"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ROW_FAULTS)
def test_what_depends_on_the_value_rejects_its_row(db, kind):
    columns, good, bad, state = ROW_FAULTS[kind]
    execute(db, f"CREATE TABLE t ({columns})")
    loaded = load(db, [(1, 1, good), (2, 1, bad), (3, 1, good)])
    ((place, fault),) = loaded.refused
    assert (loaded.inserted, place) == (2, 1)
    assert f"SQLSTATE {state}" in fault.message


@pytest.mark.parametrize("kind", ["a check's own cast", "a generated column", "a schema that is none"])
@pytest.mark.parametrize("count", [1, 3])
def test_so_does_a_syntax_or_a_type_of_its_own_without_any_good_row(db, kind, count):
    columns, _, bad, _ = ROW_FAULTS[kind]
    execute(db, f"CREATE TABLE t ({columns})")
    assert list(refused(load(db, [(k, 1, bad) for k in range(count)]))) == list(range(count))


@pytest.fixture
def limited(db):
    """`limited(*grants)`: the database as a user sees it who has these grants and no others."""
    name = "limited_" + db.url.rpartition("_")[2]
    execute(db, f"CREATE ROLE {name} LOGIN")

    def grant(*grants):
        execute(db, *(f"GRANT {each} TO {name}" for each in grants))
        return hp.Postgres(db.url.replace("holded@", f"{name}@"), retry=hp.Retry(2))

    return grant


@pytest.mark.parametrize("bad", [[(2, -2, "")], [(k, -k, "") for k in range(1, 200)]], ids=["one", "all"])
def test_what_a_policy_refuses_rejects_its_row(db, limited, bad):
    execute(
        db,
        "CREATE TABLE t (k int PRIMARY KEY, n int, v text)",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY seen ON t FOR SELECT USING (true)",
        "CREATE POLICY positive ON t FOR INSERT WITH CHECK (n > 0)",
    )
    user = limited("SELECT, INSERT, UPDATE ON t")
    good = [] if len(bad) > 1 else [(1, 1, ""), (3, 3, "")]
    loaded = load(user, good + bad)
    assert (loaded.inserted, set(refused(loaded).values())) == (len(good), {"insufficient_privilege"})
    assert len(loaded.refused) == len(bad)
    assert refused(load(user, bad[:1])) == {0: "insufficient_privilege"}


BESIDE = {"alone": [(1, 1, "")], "together": [(1, 1, ""), (2, 2, "")], "beside a bad row": [(1, 1, ""), (2, 2**40, "")]}
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


@pytest.mark.parametrize("rows", BESIDE.values(), ids=BESIDE)
@pytest.mark.parametrize("missing", SETTINGS)
def test_what_is_missing_for_every_row_rejects_none(db, limited, missing, rows):
    setup, words = SETTINGS[missing]
    execute(db, *setup)
    user = limited("SELECT, UPDATE ON t" if missing == "the right to insert" else "SELECT, INSERT, UPDATE ON t")
    with pytest.raises(hp.ConfigurationError, match=words):
        load(user, rows)
    assert stored(db) == []


@pytest.mark.parametrize("rows", BESIDE.values(), ids=BESIDE)
def test_what_refuses_the_statements_around_the_rows_rejects_none(db, rows):
    execute(
        db,
        "CREATE TABLE t (k int PRIMARY KEY, n int, v text)",
        "CREATE FUNCTION forbid() RETURNS event_trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'no tables today'; END $$",
        "CREATE EVENT TRIGGER forbid ON ddl_command_start EXECUTE FUNCTION forbid()",
    )
    with pytest.raises(hp.ConfigurationError, match="no tables today"):
        load(db, rows)


@pytest.fixture
def transactions(monkeypatch):
    counted = []
    original = LoadTransaction.run
    monkeypatch.setattr(
        LoadTransaction, "run", lambda self, lines: (counted.append(len(lines)), original(self, lines))[1]
    )
    return counted


@pytest.mark.parametrize("count", [1, 200])
def test_what_a_trigger_asserts_is_found_like_the_rest(db, transactions, count):
    execute(
        db,
        "CREATE TABLE t (k int PRIMARY KEY, n int, v text)",
        "CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN ASSERT new.n > 0, 'negative'; RETURN new; END $$",
        "CREATE TRIGGER look BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION look()",
    )
    loaded = load(db, [(k, -1 if k < count else 1, "") for k in range(400)])
    assert (loaded.inserted, len(loaded.refused)) == (400 - count, count)
    assert set(refused(loaded).values()) == {"assert_failure"}
    assert len(transactions) == 2


def test_a_row_that_takes_too_long_is_no_bad_row(db):
    execute(
        db,
        "CREATE TABLE t (k int PRIMARY KEY, n int CHECK (n > 0), v text)",
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF new.n = 9 THEN PERFORM pg_sleep(60); END IF; RETURN new; END $$",
        "CREATE TRIGGER wait BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION wait()",
    )
    impatient = hp.Postgres(db.url, connect_timeout=1, retry=hp.Retry(1, first_wait=0.05))
    with pytest.raises(hp.TransientError, match="statement timeout"):
        load(impatient, [(1, -1, ""), (2, 9, "")])
    assert stored(db) == []
