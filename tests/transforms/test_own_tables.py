"""Tables of the user's own, as SQLAlchemy lets them be declared: generated keys, named keys, defaults of every kind."""

from __future__ import annotations

import itertools
import re
import uuid
from datetime import UTC, datetime
from decimal import Decimal

import apache_beam as beam
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

import holded_pipeline as hp

TYPES = {"serial": sa.Integer, "identity": sa.BigInteger, "uuid": sa.Uuid, "sql": sa.Uuid, "sequence": sa.BigInteger}
CHOICES = ["ignore", "update", "reject"]


def load(run, db, table, rows, **settings):
    def build(pipeline):
        made = pipeline | beam.Create(rows, reshuffle=False) | hp.WritePostgres(db, table=table, row=dict, **settings)
        return {"receipts": made.passed, "rejected": made.rejected}

    ran = run(build)
    names = ("inserted", "updated", "duplicates", "rejected")
    counts = tuple(sum(getattr(receipt, name) for receipt in ran["receipts"]) for name in names)
    return counts, [(each.reason, each.message) for each in ran["rejected"]]


def create(db, table):
    engine = db.engine(poolclass=sa.NullPool)
    table.metadata.create_all(engine)
    return table


def query(db, text):
    engine = db.engine(poolclass=sa.NullPool)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(text))]


def a_table(*columns):
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
    table = create(db, a_table(generated_key(kind), sa.Column("v", sa.Integer, sa.CheckConstraint("v <> 3"))))
    rows = [{"v": v} for v in (5, 5, 3, 4)]
    counts, rejected = load(run, db, table, rows, on_conflict=on_conflict)
    assert (counts, [reason for reason, _ in rejected]) == ((3, 0, 0, 1), ["check_violation"])
    assert sorted(query(db, "SELECT v FROM own")) == [(4,), (5,), (5,)]
    if kind not in ("uuid", "sql"):
        assert query(db, "SELECT v FROM own ORDER BY id") == [(5,), (5,), (4,)]


def test_rows_with_and_without_the_key_can_be_mixed(run, db):
    table = create(db, a_table(sa.Column("id", sa.Integer, primary_key=True), sa.Column("v", sa.Text)))
    load(run, db, table, [{"v": "old"}])
    counts, _ = load(run, db, table, [{"id": 1, "v": "changed"}, {"v": "new"}], on_conflict="update")
    assert counts == (1, 1, 0, 0)
    assert query(db, "SELECT * FROM own ORDER BY 1") == [(1, "changed"), (2, "new")]


@pytest.mark.parametrize("on_conflict", CHOICES)
def test_a_part_of_the_key_may_be_left_out(run, db, on_conflict):
    """Whether the database makes the same key again is its own affair: then the row is refused, never dropped."""
    table = create(
        db,
        a_table(
            sa.Column("a", sa.Text, primary_key=True),
            sa.Column("b", sa.Integer, primary_key=True, server_default="7"),
            sa.Column("v", sa.Integer),
        ),
    )
    rows = [{"a": "x", "v": 1}, {"a": "y", "v": 2}, {"a": "x", "v": 3}]
    counts, rejected = load(run, db, table, rows, on_conflict=on_conflict)
    assert (counts, [reason for reason, _ in rejected]) == ((2, 0, 0, 1), ["unique_violation"])
    assert query(db, "SELECT * FROM own ORDER BY 1") == [("x", 7, 1), ("y", 7, 2)]


def test_a_sequence_that_lags_behind_costs_no_row_in_silence(run, db):
    table = create(db, a_table(sa.Column("id", sa.Integer, primary_key=True), sa.Column("v", sa.Text)))
    load(run, db, table, [{"id": 1, "v": "there"}])
    counts, rejected = load(run, db, table, [{"v": "first"}], on_conflict="ignore")
    assert (counts, [reason for reason, _ in rejected]) == ((0, 0, 0, 1), ["unique_violation"])


@pytest.mark.parametrize("on_conflict", CHOICES)
def test_another_unique_constraint_than_the_key_refuses_the_later_row(run, db, on_conflict):
    columns = sa.Column("id", sa.Integer, primary_key=True), sa.Column("v", sa.Text, unique=True)
    table = create(db, a_table(*columns))
    rows = [{"id": 1, "v": "x"}, {"id": 2, "v": "x"}, {"id": 3, "v": "y"}]
    counts, ((reason, message),) = load(run, db, table, rows, on_conflict=on_conflict)
    assert (counts, reason) == ((2, 0, 0, 1), "unique_violation")
    assert "constraint 'own_v_key'" in message
    assert query(db, "SELECT * FROM own ORDER BY 1") == [(1, "x"), (3, "y")]


# Names


NAMED = (sa.Column("the id", sa.Integer, primary_key=True, key="id"), sa.Column("val", sa.Integer, key="value"))


@pytest.mark.parametrize("on_conflict", CHOICES)
def test_rows_name_columns_as_the_database_does(run, db, on_conflict):
    table = create(db, a_table(*(column._copy() for column in NAMED)))
    load(run, db, table, [{"the id": 1, "val": 5}])
    rows = [{"the id": 1, "val": 6}, {"the id": 2, "val": {}}, {"the id": 3, "val": 2**40}]
    counts, rejected = load(run, db, table, rows, on_conflict=on_conflict)
    assert sorted(reason for reason, _ in rejected) == sorted(
        ["invalid_value", "numeric_value_out_of_range", *(["unique_violation"] if on_conflict == "reject" else [])]
    )
    assert any("column 'val' of own" in message for _, message in rejected)
    assert query(db, "SELECT * FROM own") == [(1, 6 if on_conflict == "update" else 5)]
    assert counts[1] == (on_conflict == "update")


def test_a_row_that_names_a_column_by_its_key_is_told_the_name(run, db):
    table = create(db, a_table(*(column._copy() for column in NAMED)))
    with pytest.raises(hp.ConfigurationError, match=r"the row has 'value', .*; .* 'val', not by the key 'value'"):
        load(run, db, table, [{"the id": 1, "value": 5}])


# Defaults


def test_defaults_on_the_client_are_made_for_each_row(run, db):
    numbers = itertools.count(1)
    columns = (
        sa.Column("id", sa.Uuid, primary_key=True, default=uuid.uuid4),
        sa.Column("n", sa.Integer),
        sa.Column("state", sa.Text, nullable=False, default="new\t\\"),
        sa.Column("place", sa.Integer, default=lambda: next(numbers)),
        sa.Column("tags", JSONB, default=dict),
        sa.Column("at", sa.TIMESTAMP(timezone=True), default=lambda: datetime(2026, 3, 1, tzinfo=UTC)),
    )
    table = create(db, a_table(*columns))
    rows = [{"n": 1}, {"n": 2}, {"n": 3, "state": None}, {"n": 4, "state": "sent", "place": 99}]
    counts, rejected = load(run, db, table, rows)
    assert (counts, [reason for reason, _ in rejected]) == ((3, 0, 0, 1), ["not_null_violation"])
    assert query(db, "SELECT n, state, tags, at = '2026-03-01 00:00Z' FROM own ORDER BY 1") == [
        (1, "new\t\\", {}, True),
        (2, "new\t\\", {}, True),
        (4, "sent", {}, True),
    ]
    assert query(db, "SELECT count(DISTINCT id), count(DISTINCT place) FROM own") == [(3, 3)]


def test_defaults_in_sql_are_made_by_the_server(run, db):
    columns = (
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.TIMESTAMP(timezone=True), default=sa.func.now()),
        sa.Column("number", sa.Integer, sa.Sequence("numbers", start=7)),
        sa.Column("tags", JSONB, default=sa.text("""'{"a": 1}'""")),
        sa.Column("most", sa.Integer, default=sa.select(sa.func.max(sa.column("n"))).select_from(sa.text("most"))),
        sa.Column("odd", sa.Text, default=sa.func.lower("50% \\ OFF")),
    )
    table = a_table(*columns)
    with db.engine(poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text("CREATE TABLE most AS SELECT 12 AS n"))
    create(db, table)
    assert load(run, db, table, [{"id": 1}, {"id": 2}, {"id": 2}, {"id": 2**40}])[0] == (2, 0, 1, 1)
    assert query(db, "SELECT id, at IS NOT NULL, number >= 7, tags, most, odd FROM own ORDER BY 1") == [
        (1, True, True, {"a": 1}, 12, "50% \\ off"),
        (2, True, True, {"a": 1}, 12, "50% \\ off"),
    ]


def test_a_default_is_for_new_rows_and_changes_no_stored_one(run, db):
    columns = (
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("v", sa.Integer),
        sa.Column("state", sa.Text, default="new"),
        sa.Column("mark", sa.Uuid, default=uuid.uuid4),
        sa.Column("price", sa.Numeric, default=sa.text("1.5")),
    )
    table = create(db, a_table(*columns))
    load(run, db, table, [{"id": 1, "v": 1, "state": "done", "price": Decimal(2)}])
    before = query(db, "SELECT * FROM own")
    assert load(run, db, table, [{"id": 1, "v": 1}], on_conflict="update")[0] == (0, 0, 1, 0)
    assert query(db, "SELECT * FROM own") == before
    assert load(run, db, table, [{"id": 1, "v": 2}], on_conflict="update")[0] == (0, 1, 0, 0)
    assert query(db, "SELECT state, price, v FROM own") == [("done", Decimal(2), 2)]


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
def test_onupdate_is_set_where_a_row_is_updated_and_nowhere_else(run, db, kind, onupdate, expected, poison):
    columns = (
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("v", sa.Integer),
        sa.Column("w", kind, onupdate=onupdate, server_default=sa.null()),
    )
    table = create(db, a_table(*columns))
    load(run, db, table, [{"id": 1, "v": 1}, {"id": 2, "v": 2}])
    assert query(db, "SELECT count(w) FROM own") == [(0,)]
    rows = [{"id": 1, "v": 1}, {"id": 2, "v": 3}, {"id": 3, "v": 3}, *([{"id": 4, "v": 2**40}] if poison else [])]
    assert load(run, db, table, rows, on_conflict="update")[0] == (1, 1, 1, int(poison))
    assert query(db, "SELECT id, w FROM own ORDER BY 1") == [(1, None), (2, expected), (3, None)]


def test_a_default_that_cannot_be_written_says_which(run, db):
    columns = sa.Column("id", sa.Integer, primary_key=True), sa.Column("v", sa.Integer)
    wrong = create(db, a_table(*columns, sa.Column("w", JSONB, default=object)))
    ((reason, message),) = load(run, db, wrong, [{"id": 1, "v": 1}])[1]
    assert (reason, "column 'w' of own" in message) == ("invalid_value", True)
    wrong = a_table(*(column._copy() for column in columns), sa.Column("w", JSONB, onupdate=object))
    with pytest.raises(hp.ConfigurationError, match=r"onupdate of column 'w' of own .*cannot hold the value"):
        load(run, db, wrong, [{"id": 1, "v": 1}], on_conflict="update")


def test_a_default_that_reads_the_statements_context_is_told_that_there_is_none(run, db):
    column = sa.Column("v", sa.Integer, default=lambda context: context.get_current_parameters()["id"])
    table = create(db, a_table(sa.Column("id", sa.Integer, primary_key=True), column))
    with pytest.raises(hp.ConfigurationError, match=r"reads get_current_parameters of the statement.*row function"):
        load(run, db, table, [{"id": 1}])


@pytest.mark.parametrize("place", ["default", "onupdate"])
def test_sql_that_cannot_be_written_out_fails_when_it_is_written(db, place):
    expression = sa.func.f(sa.literal(object()))
    table = a_table(sa.Column("id", sa.Integer, primary_key=True), sa.Column("v", sa.Integer, **{place: expression}))
    with pytest.raises(ValueError, match=re.escape(f"the {place} of column 'v' of own cannot be written as SQL")):
        hp.WritePostgres(db, table=table, row=dict)
