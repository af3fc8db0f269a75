"""Tables of the user's own, as SQLAlchemy lets them be declared: generated keys, named keys, defaults of every kind."""

from __future__ import annotations

import itertools
import re
import uuid
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa
from pipeline_runs import run_load
from sqlalchemy.dialects.postgresql import JSONB
from table_contents import rows_of, run_statements

import holded_pipeline as hp

TYPES = {"serial": sa.Integer, "identity": sa.BigInteger, "uuid": sa.Uuid, "sql": sa.Uuid, "sequence": sa.BigInteger}
CHOICES = ["ignore", "update", "reject"]


def load_counts(run, db, table, rows, **settings):
    """Loads rows: inserted, updated, duplicates and rejected, then the reason and message of each rejection."""
    ran = run_load(run, db, rows, table=table, row=dict, **settings)
    names = ("inserted", "updated", "duplicates", "rejected")
    counts = tuple(sum(getattr(receipt, name) for receipt in ran["receipts"]) for name in names)
    return counts, [(each.reason, each.message) for each in ran["rejected"]]


def create(db, table):
    table.metadata.create_all(db.engine(poolclass=sa.NullPool))
    return table


def own_table(*columns):
    return sa.Table("own", sa.MetaData(), *columns)


# Keys


def generated_key(kind):
    makers = {
        "serial": (),
        "identity": (sa.Identity(always=True),),
        "sequence": (sa.Sequence("numbers"),),
    }
    settings = {
        "uuid": {"server_default": sa.text("gen_random_uuid()")},
        "sql": {"default": sa.func.gen_random_uuid()},
    }
    return sa.Column("id", TYPES[kind], *makers.get(kind, ()), primary_key=True, **settings.get(kind, {}))


@pytest.mark.parametrize("on_conflict", CHOICES)
@pytest.mark.parametrize("kind", TYPES)
def test_rows_without_the_key_are_all_inserted_in_their_order(run, db, kind, on_conflict):
    table = create(db, own_table(generated_key(kind), sa.Column("v", sa.Integer, sa.CheckConstraint("v <> 3"))))
    rows = [{"v": v} for v in (5, 5, 3, 4)]
    counts, rejected = load_counts(run, db, table, rows, on_conflict=on_conflict)
    assert (counts, [reason for reason, _ in rejected]) == ((3, 0, 0, 1), ["check_violation"])
    assert sorted(rows_of(db, "SELECT v FROM own")) == [(4,), (5,), (5,)]
    if kind not in ("uuid", "sql"):
        assert rows_of(db, "SELECT v FROM own ORDER BY id") == [(5,), (5,), (4,)]


def test_rows_with_and_without_the_key_can_be_mixed(run, db):
    table = create(db, own_table(sa.Column("id", sa.Integer, primary_key=True), sa.Column("v", sa.Text)))
    load_counts(run, db, table, [{"v": "old"}])
    counts, _ = load_counts(run, db, table, [{"id": 1, "v": "changed"}, {"v": "new"}], on_conflict="update")
    assert counts == (1, 1, 0, 0)
    assert rows_of(db, "SELECT * FROM own ORDER BY 1") == [(1, "changed"), (2, "new")]


@pytest.mark.parametrize("on_conflict", CHOICES)
def test_rows_may_omit_a_part_of_the_key(run, db, on_conflict):
    """If the database generates a key that is taken, the row is rejected, never dropped."""
    table = create(
        db,
        own_table(
            sa.Column("a", sa.Text, primary_key=True),
            sa.Column("b", sa.Integer, primary_key=True, server_default="7"),
            sa.Column("v", sa.Integer),
        ),
    )
    rows = [{"a": "x", "v": 1}, {"a": "y", "v": 2}, {"a": "x", "v": 3}]
    counts, rejected = load_counts(run, db, table, rows, on_conflict=on_conflict)
    assert (counts, [reason for reason, _ in rejected]) == ((2, 0, 0, 1), ["unique_violation"])
    assert rows_of(db, "SELECT * FROM own ORDER BY 1") == [("x", 7, 1), ("y", 7, 2)]


def test_a_generated_key_that_is_taken_rejects_the_row(run, db):
    table = create(db, own_table(sa.Column("id", sa.Integer, primary_key=True), sa.Column("v", sa.Text)))
    load_counts(run, db, table, [{"id": 1, "v": "there"}])
    counts, rejected = load_counts(run, db, table, [{"v": "first"}], on_conflict="ignore")
    assert (counts, [reason for reason, _ in rejected]) == ((0, 0, 0, 1), ["unique_violation"])


@pytest.mark.parametrize("on_conflict", CHOICES)
def test_a_unique_constraint_beside_the_key_rejects_the_later_row(run, db, on_conflict):
    columns = sa.Column("id", sa.Integer, primary_key=True), sa.Column("v", sa.Text, unique=True)
    table = create(db, own_table(*columns))
    rows = [{"id": 1, "v": "x"}, {"id": 2, "v": "x"}, {"id": 3, "v": "y"}]
    counts, ((reason, message),) = load_counts(run, db, table, rows, on_conflict=on_conflict)
    assert (counts, reason) == ((2, 0, 0, 1), "unique_violation")
    assert "constraint 'own_v_key'" in message
    assert rows_of(db, "SELECT * FROM own ORDER BY 1") == [(1, "x"), (3, "y")]


# Names


NAMED = (sa.Column("the id", sa.Integer, primary_key=True, key="id"), sa.Column("val", sa.Integer, key="value"))


@pytest.mark.parametrize("on_conflict", CHOICES)
def test_rows_name_columns_as_the_database_does(run, db, on_conflict):
    table = create(db, own_table(*(column._copy() for column in NAMED)))
    load_counts(run, db, table, [{"the id": 1, "val": 5}])
    rows = [{"the id": 1, "val": 6}, {"the id": 2, "val": {}}, {"the id": 3, "val": 2**40}]
    counts, rejected = load_counts(run, db, table, rows, on_conflict=on_conflict)
    assert sorted(reason for reason, _ in rejected) == sorted(
        ["invalid_value", "numeric_value_out_of_range", *(["unique_violation"] if on_conflict == "reject" else [])]
    )
    assert any("column 'val' of own" in message for _, message in rejected)
    assert rows_of(db, "SELECT * FROM own") == [(1, 6 if on_conflict == "update" else 5)]
    assert counts[1] == (on_conflict == "update")


def test_the_error_for_a_column_named_by_its_key_says_the_name(run, db):
    table = create(db, own_table(*(column._copy() for column in NAMED)))
    with pytest.raises(hp.ConfigurationError, match=r"the row has 'value', .*; .* 'val', not by the key 'value'"):
        load_counts(run, db, table, [{"the id": 1, "value": 5}])


# Defaults


def test_python_defaults_are_evaluated_for_each_row(run, db):
    numbers = itertools.count(1)
    columns = (
        sa.Column("id", sa.Uuid, primary_key=True, default=uuid.uuid4),
        sa.Column("n", sa.Integer),
        sa.Column("state", sa.Text, nullable=False, default="new\t\\"),
        sa.Column("place", sa.Integer, default=lambda: next(numbers)),
        sa.Column("tags", JSONB, default=dict),
        sa.Column("at", sa.TIMESTAMP(timezone=True), default=lambda: datetime(2026, 3, 1, tzinfo=UTC)),
    )
    table = create(db, own_table(*columns))
    rows = [{"n": 1}, {"n": 2}, {"n": 3, "state": None}, {"n": 4, "state": "sent", "place": 99}]
    counts, rejected = load_counts(run, db, table, rows)
    assert (counts, [reason for reason, _ in rejected]) == ((3, 0, 0, 1), ["not_null_violation"])
    assert rows_of(db, "SELECT n, state, tags, at = '2026-03-01 00:00Z' FROM own ORDER BY 1") == [
        (1, "new\t\\", {}, True),
        (2, "new\t\\", {}, True),
        (4, "sent", {}, True),
    ]
    assert rows_of(db, "SELECT count(DISTINCT id), count(DISTINCT place) FROM own") == [(3, 3)]


def test_sql_defaults_are_evaluated_by_the_server(run, db):
    columns = (
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.TIMESTAMP(timezone=True), default=sa.func.now()),
        sa.Column("number", sa.Integer, sa.Sequence("numbers", start=7)),
        sa.Column("tags", JSONB, default=sa.text("""'{"a": 1}'""")),
        sa.Column("most", sa.Integer, default=sa.select(sa.func.max(sa.column("n"))).select_from(sa.text("most"))),
        sa.Column("odd", sa.Text, default=sa.func.lower("50% \\ OFF")),
    )
    table = own_table(*columns)
    run_statements(db, "CREATE TABLE most AS SELECT 12 AS n")
    create(db, table)
    assert load_counts(run, db, table, [{"id": 1}, {"id": 2}, {"id": 2}, {"id": 2**40}])[0] == (2, 0, 1, 1)
    assert rows_of(db, "SELECT id, at IS NOT NULL, number >= 7, tags, most, odd FROM own ORDER BY 1") == [
        (1, True, True, {"a": 1}, 12, "50% \\ off"),
        (2, True, True, {"a": 1}, 12, "50% \\ off"),
    ]


def test_a_default_changes_no_stored_row(run, db):
    columns = (
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("v", sa.Integer),
        sa.Column("state", sa.Text, default="new"),
        sa.Column("mark", sa.Uuid, default=uuid.uuid4),
        sa.Column("price", sa.Numeric, default=sa.text("1.5")),
    )
    table = create(db, own_table(*columns))
    load_counts(run, db, table, [{"id": 1, "v": 1, "state": "done", "price": Decimal(2)}])
    before = rows_of(db, "SELECT * FROM own")
    assert load_counts(run, db, table, [{"id": 1, "v": 1}], on_conflict="update")[0] == (0, 0, 1, 0)
    assert rows_of(db, "SELECT * FROM own") == before
    assert load_counts(run, db, table, [{"id": 1, "v": 2}], on_conflict="update")[0] == (0, 1, 0, 0)
    assert rows_of(db, "SELECT state, price, v FROM own") == [("done", Decimal(2), 2)]


ODD = "50% '\\ \t\v\r\b\f\x01\n é\u00a0 {x} $$"


@pytest.mark.parametrize(
    ("kind", "onupdate", "expected"),
    [
        (sa.Text, lambda: ODD, ODD),
        (sa.Text, ODD, ODD),
        (JSONB, lambda: {"a": ODD}, {"a": ODD}),
        (sa.Integer, 7, 7),
        (sa.Text, sa.func.lower("50% \\ OFF"), "50% \\ off"),
        (sa.TIMESTAMP(timezone=True), lambda: datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)),
        (sa.Integer, lambda: None, None),
    ],
    ids=["function", "text", "json", "number", "sql", "time", "null"],
)
@pytest.mark.parametrize("poison", [False, True], ids=["clean", "with a bad row"])
def test_onupdate_is_set_in_updated_rows_only(run, db, kind, onupdate, expected, poison):
    columns = (
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("v", sa.Integer),
        sa.Column("w", kind, onupdate=onupdate, server_default=sa.null()),
    )
    table = create(db, own_table(*columns))
    load_counts(run, db, table, [{"id": 1, "v": 1}, {"id": 2, "v": 2}])
    assert rows_of(db, "SELECT count(w) FROM own") == [(0,)]
    rows = [{"id": 1, "v": 1}, {"id": 2, "v": 3}, {"id": 3, "v": 3}, *([{"id": 4, "v": 2**40}] if poison else [])]
    assert load_counts(run, db, table, rows, on_conflict="update")[0] == (1, 1, 1, int(poison))
    assert rows_of(db, "SELECT id, w FROM own ORDER BY 1") == [(1, None), (2, expected), (3, None)]


def test_the_error_for_a_default_that_cannot_be_written_names_it(run, db):
    columns = sa.Column("id", sa.Integer, primary_key=True), sa.Column("v", sa.Integer)
    wrong = create(db, own_table(*columns, sa.Column("w", JSONB, default=object)))
    ((reason, message),) = load_counts(run, db, wrong, [{"id": 1, "v": 1}])[1]
    assert (reason, "column 'w' of own" in message) == ("invalid_value", True)
    wrong = own_table(*(column._copy() for column in columns), sa.Column("w", JSONB, onupdate=object))
    with pytest.raises(hp.ConfigurationError, match=r"onupdate of column 'w' of own .*cannot hold the value"):
        load_counts(run, db, wrong, [{"id": 1, "v": 1}], on_conflict="update")


def test_a_default_that_reads_the_statements_context_is_an_error(run, db):
    column = sa.Column("v", sa.Integer, default=lambda context: context.get_current_parameters()["id"])
    table = create(db, own_table(sa.Column("id", sa.Integer, primary_key=True), column))
    with pytest.raises(hp.ConfigurationError, match=r"reads get_current_parameters of its statement.*row function"):
        load_counts(run, db, table, [{"id": 1}])


@pytest.mark.parametrize("kind", ["default", "onupdate"])
def test_an_sql_default_that_cannot_be_written_raises_at_construction(db, kind):
    expression = sa.func.f(sa.literal(object()))
    table = own_table(sa.Column("id", sa.Integer, primary_key=True), sa.Column("v", sa.Integer, **{kind: expression}))
    with pytest.raises(ValueError, match=re.escape(f"the {kind} of column 'v' of own cannot be written as SQL")):
        hp.WritePostgres(db, table=table, row=dict)
