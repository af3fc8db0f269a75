"""evolve: what differs from the database is printed, and changed only where nothing is lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from table_contents import rows_of, run_statements

import holded_pipeline as hp
from holded_pipeline.postgres.retried_call import call_postgres

STORED_TYPES = (
    "SELECT column_name, format_type(atttypid, atttypmod), is_nullable FROM information_schema.columns "
    "JOIN pg_attribute ON attrelid = to_regclass('orders') AND attname = column_name "
    "WHERE table_name = 'orders' ORDER BY attnum"
)


def orders(*columns, **options):
    return sa.Table("orders", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), *columns, **options)


def test_nothing_differs_from_a_table_that_was_just_created(db, capsys):
    table = orders(
        sa.Column("a", sa.String(20)),
        sa.Column("b", sa.Numeric(12, 2), nullable=False),
        sa.Column("c", sa.TIMESTAMP(timezone=True)),
        sa.Column("d", JSONB, server_default="{}"),
        sa.Column("e", sa.ARRAY(sa.Text)),
        sa.Column("f 'x%", sa.Float, unique=True),
        sa.Column("g" * 70, sa.Text),
    )
    table.create(db.engine())
    assert hp.evolve(db, table) == []
    assert capsys.readouterr().out == ""


def test_what_differs_is_printed_and_nothing_is_changed(db, capsys):
    run_statements(db, "CREATE TABLE orders (id int PRIMARY KEY)")
    (difference,) = hp.evolve(db, orders(sa.Column("note", sa.Text)))
    assert (difference.table, difference.column, difference.applied) == ("orders", "note", False)
    assert capsys.readouterr().out == (
        "orders.note: the database has no such column; "
        "would run: ALTER TABLE orders ADD COLUMN IF NOT EXISTS note TEXT\n"
    )
    assert rows_of(db, STORED_TYPES) == [("id", "integer", "NO")]


def test_columns_that_may_be_null_are_added_on_request(db, capsys):
    run_statements(db, "CREATE TABLE orders (id int PRIMARY KEY)", "INSERT INTO orders VALUES (1)")
    table = orders(sa.Column("Note %", sa.Text), sa.Column("n", sa.Integer, server_default="7"), sa.Column("d", JSONB))
    assert [each.applied for each in hp.evolve(db, table, apply=True)] == [True] * 3
    assert "; done: ALTER TABLE orders ADD COLUMN IF NOT EXISTS n INTEGER DEFAULT '7'\n" in capsys.readouterr().out
    assert rows_of(db, 'SELECT id, "Note %", n, d FROM orders') == [(1, None, 7, None)]
    assert hp.evolve(db, table, apply=True) == []


@pytest.mark.parametrize(
    ("there", "wanted", "widened"),
    [
        ("smallint", sa.Integer(), "integer"),
        ("integer", sa.BigInteger(), "bigint"),
        ("bigint", sa.Numeric(), "numeric"),
        ("varchar(5)", sa.String(9), "character varying(9)"),
        ("varchar(5)", sa.String(), "character varying"),
        ("varchar(5)", sa.Text(), "text"),
        ("varchar", sa.Text(), "text"),
        ("numeric(9,2)", sa.Numeric(), "numeric"),
    ],
)
def test_types_are_widened_on_request(db, there, wanted, widened):
    run_statements(db, f"CREATE TABLE orders (id int PRIMARY KEY, x {there})", "INSERT INTO orders VALUES (1, '12')")
    (difference,) = hp.evolve(db, orders(sa.Column("x", wanted)), apply=True)
    assert difference.applied
    assert rows_of(db, STORED_TYPES)[1] == ("x", widened, "YES")
    assert rows_of(db, "SELECT x::text::numeric FROM orders") == [(12,)]


@pytest.mark.parametrize(
    ("there", "wanted", "word"),
    [
        ("bigint", sa.Integer(), "never narrowed"),
        ("text", sa.String(9), "never narrowed"),
        ("varchar", sa.String(9), "never narrowed"),
        ("varchar(9)", sa.String(5), "never narrowed"),
        ("numeric", sa.Numeric(9, 2), "never narrowed"),
        ("numeric(9,2)", sa.Numeric(9, 3), "cannot be widened to that"),
        ("numeric", sa.BigInteger(), "never narrowed"),
        ("char(5)", sa.Text(), "cannot be widened to that"),
        ("real", sa.Double(), "cannot be widened to that"),
        ("integer", sa.Text(), "cannot be widened to that"),
        ("text", sa.Integer(), "cannot be widened to that"),
        ("timestamp", sa.TIMESTAMP(timezone=True), "cannot be widened to that"),
        ("date", sa.TIMESTAMP(timezone=True), "cannot be widened to that"),
        ("json", JSONB(), "cannot be widened to that"),
    ],
)
def test_nothing_is_narrowed_or_made_another_type(db, there, wanted, word):
    run_statements(db, f"CREATE TABLE orders (id int PRIMARY KEY, x {there})")
    before = rows_of(db, STORED_TYPES)
    (difference,) = hp.evolve(db, orders(sa.Column("x", wanted)), apply=True)
    assert difference.sql is None
    assert word in difference.message
    assert rows_of(db, STORED_TYPES) == before


def test_what_is_not_changed_is_said(db):
    run_statements(
        db,
        "CREATE TABLE orders (id int, a text, b text NOT NULL, old text, old_needed text NOT NULL, nr serial)",
    )
    table = orders(
        sa.Column("a", sa.Text, nullable=False), sa.Column("b", sa.Text), sa.Column("c", sa.Text, nullable=False)
    )
    before = rows_of(db, STORED_TYPES)
    found = hp.evolve(db, table, apply=True)
    assert [each.sql for each in found] == [None] * len(found)
    assert [(each.column, each.message.partition(";")[0]) for each in found] == [
        ("id", "it may be NULL in the database and not in the table"),
        ("a", "it may be NULL in the database and not in the table"),
        ("b", "it may be NULL in the table, and the database rejects such rows"),
        (
            "c",
            "the database has no such column, and one that is NOT NULL or a key cannot be added to stored rows",
        ),
        ("old", "only the database has this column"),
        ("old_needed", "only the database has this column"),
        ("nr", "only the database has this column"),
        (None, "its key is no column in the database and id in the table"),
    ]
    assert [each.message.rpartition("; ")[2] for each in found[4:7]] == [
        "it gets its default",
        "every row will be rejected",
        "it gets its default",
    ]
    assert rows_of(db, STORED_TYPES) == before


def test_a_sequence_grows_with_its_column(db):
    run_statements(db, "CREATE TABLE orders (id serial PRIMARY KEY)")
    table = sa.Table("orders", sa.MetaData(), sa.Column("id", sa.BigInteger, primary_key=True))
    hp.evolve(db, table, apply=True)
    run_statements(db, "SELECT setval('orders_id_seq', 2147483647)", "INSERT INTO orders DEFAULT VALUES")
    assert rows_of(db, "SELECT id FROM orders") == [(2**31,)]


def test_a_missing_table_is_created_on_request(db, capsys):
    state = sa.Column("state", sa.Enum("open", "paid", name="order_state"))
    table = orders(state, sa.Column("n", sa.Integer, index=True))
    assert [each.applied for each in hp.evolve(db, table)] == [False]
    assert rows_of(db, STORED_TYPES) == []
    assert [each.applied for each in hp.evolve(db, table, apply=True)] == [True]
    assert "orders: the database has no such table; done: CREATE TABLE orders (" in capsys.readouterr().out
    assert hp.evolve(db, table) == []


def test_all_changes_are_made_or_none(db):
    run_statements(db, "CREATE TABLE orders (id int PRIMARY KEY, x int)", "CREATE VIEW uses_x AS SELECT x FROM orders")
    table = orders(sa.Column("a", sa.Text), sa.Column("x", sa.BigInteger))
    with pytest.raises(hp.ConfigurationError, match="PostgreSQL refuses ALTER TABLE orders .*view uses_x"):
        hp.evolve(db, table, apply=True)
    assert [name for name, *_ in rows_of(db, STORED_TYPES)] == ["id", "x"]


def test_a_table_of_another_schema_is_found(db):
    run_statements(db, 'CREATE SCHEMA "My Sales"', 'CREATE TABLE "My Sales".orders (id int PRIMARY KEY)')
    table = orders(sa.Column("note", sa.Text), schema="My Sales")
    assert [each.applied for each in hp.evolve(db, table, apply=True)] == [True]
    assert rows_of(db, 'SELECT note FROM "My Sales".orders') == []


def test_a_column_without_a_type_is_not_compared(db):
    run_statements(db, "CREATE TABLE orders (id int PRIMARY KEY, x int)")
    assert hp.evolve(db, orders(sa.Column("x"))) == []


def test_many_processes_may_evolve_one_table(db):
    run_statements(db, "CREATE TABLE orders (id int PRIMARY KEY, x int)")
    table = orders(sa.Column("x", sa.BigInteger), sa.Column("a", sa.Text))
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: hp.evolve(db, table, apply=True), range(6)))
    assert sorted(map(len, found)) == [0, 0, 0, 0, 0, 2]


def test_a_schema_that_grew_evolves_its_table(db):
    first = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string", "maxLength": 5}}}
    table, row = hp.table_from_schema({"s": first}, "s", key="id")
    hp.evolve(db, table, apply=True)
    more = {"id": {"type": "string"}, "total": {"type": "number"}}
    table, row = hp.table_from_schema({"s": first | {"properties": more}}, "s", key="id")
    hp.evolve(db, table, apply=True)
    with db.engine().begin() as connection:
        connection.execute(table.insert(), [row({"id": "longer", "total": Decimal("1.5")})])
    assert rows_of(db, "SELECT * FROM s") == [("longer", Decimal("1.5"))]


def test_changes_whose_commit_was_not_answered_are_returned(db, monkeypatch, capsys):
    run_statements(db, "CREATE TABLE orders (id int PRIMARY KEY, old text)")

    def call_twice(server, attempt):
        """As if the connection broke after the commit of the first attempt."""
        return call_postgres(server, lambda deadline: (attempt(deadline), attempt(deadline))[1])

    monkeypatch.setattr("holded_pipeline.postgres.evolve.call_postgres", call_twice)
    found = hp.evolve(db, orders(sa.Column("note", sa.Text)), apply=True)
    assert {each.column: each.applied for each in found} == {"note": True, "old": False}
    assert "orders.note: the database has no such column; done: ALTER TABLE" in capsys.readouterr().out
