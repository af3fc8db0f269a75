"""WritePostgres on a real database: every element is a row, a duplicate or a rejection."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa
from event_factory import make_event
from pipeline_runs import run_load
from sqlalchemy.dialects.postgresql import JSONB
from table_contents import rows_of, run_statements

import holded_pipeline as hp

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def account_created(number, **fields):
    defaults = {
        "type": r"Holded\Wallet\Domain\Account\Events\AccountCreatedEvent",
        "company_id": f"c{number % 3}",
        "user_id": "u",
        "occurred_at": NOON + timedelta(microseconds=number),
        "metadata": {"quality": {"score": 0.25}},
        "source": hp.Source("b", "k", "t", number + 1),
        "raw": b'{"as": "sent"}',
    }
    return make_event(number, **(defaults | fields))


def totals(ran):
    names = ("rows", "inserted", "updated", "duplicates", "rejected")
    return {name: sum(getattr(receipt, name) for receipt in ran["receipts"]) for name in names}


def test_every_field_of_an_event_is_stored(run, db):
    ran = run_load(run, db, [account_created(7)])
    assert totals(ran) == {"rows": 1, "inserted": 1, "updated": 0, "duplicates": 0, "rejected": 0}
    columns = "event_id, event_type, company_id, user_id, occurred_at, business_context, data_quality_score, source"
    ((*row, source),) = rows_of(db, f"SELECT {columns} FROM business_events")
    event = account_created(7)
    assert row == ["e7", event.type, "c1", "u", event.occurred_at, "account_management", Decimal("0.25")]
    assert source == {"bucket": "b", "key": "k", "etag": "t", "line": 8, "item": None}


def test_numbers_of_any_size_and_any_text_are_stored_unaltered(run, db):
    data = {
        "big": 10**200 + 1,
        "long": Decimal("0.1234567890123456789012345678901234567890"),
        "tiny": Decimal("1e-300"),
        "text": "\\ \t \n \r \x08 \x0c \x0b \x7f \u2028 ñ 😀 \\N \\. null",
        "nested": {"a": [1, {"b": None}], "": True},
        "key\twith\\odd\nthings": 1,
    }
    run_load(run, db, [account_created(1, data=data)])
    ((big, long, text, nested, odd),) = rows_of(
        db,
        "SELECT data->>'big', data->>'long', data->>'text', data->'nested', "
        r"data ? E'key\twith\\odd\nthings' FROM business_events",
    )
    assert (int(big), Decimal(long), text, nested, odd) == (
        data["big"], data["long"], data["text"], data["nested"], True
    )  # fmt: skip


def test_a_repeated_load_changes_nothing(run, db):
    events = [account_created(number) for number in range(50)]
    run_load(run, db, events)
    before = rows_of(db, "SELECT * FROM business_events ORDER BY 1"), rows_of(db, "SELECT * FROM company_analytics")
    ran = run_load(run, db, [*events, *events[:10]], batch_rows=17)
    assert totals(ran) == {"rows": 60, "inserted": 0, "updated": 0, "duplicates": 60, "rejected": 0}
    assert (
        rows_of(db, "SELECT * FROM business_events ORDER BY 1"),
        rows_of(db, "SELECT * FROM company_analytics"),
    ) == (before)
    assert hp.verify_analytics(db) == []


@pytest.mark.parametrize(
    ("settings", "kept", "counts"),
    [
        ({}, "old", (0, 0)),
        ({"same": ()}, "old", (0, 2)),
        ({"on_conflict": "update"}, "first", (1, 1)),
        ({"on_conflict": "update", "keep": "last"}, "last", (1, 1)),
    ],
)
def test_a_row_with_a_known_key_is_kept_or_replaced(run, db, settings, kept, counts):
    run_load(run, db, [account_created(1, data={"v": "old"})])
    ran = run_load(
        run, db, [account_created(1, data={"v": "first"}), account_created(1, data={"v": "last"})], **settings
    )
    assert rows_of(db, "SELECT data->>'v' FROM business_events") == [(kept,)]
    assert (totals(ran)["updated"], totals(ran)["duplicates"]) == counts
    assert hp.verify_analytics(db) == []


def test_an_update_with_equal_values_updates_no_row(run, db):
    run_load(run, db, [account_created(1)])
    before = rows_of(db, "SELECT updated_at FROM business_events")
    again = account_created(1, metadata={"quality": {"score": 0.25}, "processing": {"run_id": "another"}})
    ran = run_load(run, db, [again], on_conflict="update")
    assert totals(ran)["duplicates"] == 1
    assert rows_of(db, "SELECT updated_at FROM business_events") == before
    changed = account_created(1, company_id="c9")
    assert totals(run_load(run, db, [changed], on_conflict="update"))["updated"] == 1
    assert rows_of(db, "SELECT updated_at FROM business_events") > before
    assert hp.verify_analytics(db) == []


def test_a_conflict_can_reject_the_new_row(run, db):
    run_load(run, db, [account_created(1)])
    ran = run_load(run, db, [account_created(0), account_created(1), account_created(2)], on_conflict="reject")
    assert totals(ran) == {"rows": 3, "inserted": 2, "updated": 0, "duplicates": 0, "rejected": 1}
    (rejected,) = ran["rejected"]
    assert (rejected.stage, rejected.reason, rejected.event_id) == ("write", "unique_violation", "e1")
    assert rejected.raw == b'{"as": "sent"}'
    assert "(e1) already exists" in rejected.message


def test_postgresql_rejects_bad_rows_and_stores_the_others(run, db):
    events = [account_created(number) for number in range(500)]
    events[123] = account_created(123, data={"n": Decimal("1e-20000")})
    events[377] = account_created(377, data={"n": [Decimal("-1e-20000")]})
    ran = run_load(run, db, events)
    assert totals(ran) == {"rows": 500, "inserted": 498, "updated": 0, "duplicates": 0, "rejected": 2}
    assert {rejected.event_id for rejected in ran["rejected"]} == {"e123", "e377"}
    assert {rejected.reason for rejected in ran["rejected"]} == {"numeric_value_out_of_range"}
    assert all("SQLSTATE 22003" in rejected.message for rejected in ran["rejected"])
    assert hp.verify_analytics(db) == []


parts = sa.Table(
    "odd parts",
    metadata := sa.MetaData(),
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("Name", sa.String(5), nullable=False),
    sa.Column("price", sa.Numeric(6, 2), sa.CheckConstraint("price > 0", name="price_positive")),
    sa.Column("parent", sa.BigInteger, sa.ForeignKey("odd parts.id", name="parent_exists")),
    sa.Column("tags", sa.ARRAY(sa.Text)),
    sa.Column("made", sa.Date),
    sa.Column("extra", JSONB, server_default=sa.text("'{}'")),
)


def make_part(number, **changes):
    return {"id": number, "Name": "ok", "price": Decimal("1.50"), **changes}


def with_half_a_pair(row):
    """Made here, since Beam itself cannot carry such text."""
    return {**row, "Name": "\ud800"} if row["Name"] == "half a pair" else row


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"Name": None}, "not_null_violation"),
        ({"Name": "far too long"}, "string_data_right_truncation"),
        ({"Name": "a\0b"}, "invalid_value"),
        ({"Name": "half a pair"}, "invalid_value"),
        ({"price": Decimal("123456.00")}, "numeric_value_out_of_range"),
        ({"price": Decimal(-1)}, "check_violation"),
        ({"price": "cheap"}, "invalid_text_representation"),
        ({"parent": 999}, "foreign_key_violation"),
        ({"id": 2**70}, "numeric_value_out_of_range"),
        ({"made": "yesterday-ish"}, "invalid_datetime_format"),
        ({"tags": 7}, "invalid_value"),
        ({"extra": {"a": object()}}, "invalid_value"),
        ({"extra": {"a": float("nan")}}, "invalid_value"),
        ({"extra": {"a": "\0"}}, "untranslatable_character"),
    ],
)
def test_each_kind_of_bad_row_is_rejected_alone(run, db, bad, reason):
    metadata.create_all(db.engine())
    rows = [make_part(number) for number in range(20)]
    rows[13] = make_part(13, **bad)
    ran = run_load(run, db, rows, table=parts, row=with_half_a_pair)
    assert rows_of(db, 'SELECT count(*) FROM "odd parts"') == [(19,)]
    (rejected,) = ran["rejected"]
    assert rejected.reason == reason
    assert rejected.event_id is None


def test_omitted_columns_of_any_table_get_their_defaults(run, db):
    metadata.create_all(db.engine())
    rows = [
        make_part(1, tags=["a", 'b"c', "d,e", None], made=NOON.date()),
        make_part(2, parent=1, extra={"x": [1, None]}),
        {"id": 3, "Name": "bare"},
    ]
    assert totals(run_load(run, db, rows, table=parts, row=dict))["inserted"] == 3
    assert rows_of(db, 'SELECT id, "Name", price, parent, tags, made, extra FROM "odd parts" ORDER BY 1') == [
        (1, "ok", Decimal("1.50"), None, ["a", 'b"c', "d,e", None], NOON.date(), {}),
        (2, "ok", Decimal("1.50"), 1, None, None, {"x": [1, None]}),
        (3, "bare", None, None, None, None, {}),
    ]


def test_a_row_function_may_reject_its_element(run, db):
    metadata.create_all(db.engine())

    def row(number):
        if number == 2:
            raise hp.RejectRecord("unlucky", "no twos")
        return make_part(number)

    ran = run_load(run, db, [1, 2, 3], table=parts, row=row)
    (rejected,) = ran["rejected"]
    assert (rejected.reason, rejected.raw) == ("unlucky", b"2")
    assert rows_of(db, 'SELECT id FROM "odd parts" ORDER BY 1') == [(1,), (3,)]


def test_a_table_without_a_key_stores_every_row(run, db):
    table = sa.Table("log", sa.MetaData(), sa.Column("n", sa.Integer))
    table.metadata.create_all(db.engine())
    assert totals(run_load(run, db, [1, 1, 2], table=table, row=lambda n: {"n": n}))["inserted"] == 3


def test_a_missing_table_column_or_constraint_fails_at_once(run, db):
    table = sa.Table("nowhere", sa.MetaData(), sa.Column("n", sa.Integer, primary_key=True))
    with pytest.raises(hp.ConfigurationError, match='"nowhere" does not exist.*42P01.*create the table .hp.evolve'):
        run_load(run, db, [1], table=table, row=lambda n: {"n": n})
    run_statements(db, "CREATE TABLE nowhere (m int)")
    with pytest.raises(hp.ConfigurationError, match='column "n".*42703.*lacks a column'):
        run_load(run, db, [1], table=table, row=lambda n: {"n": n})
    run_statements(db, "DROP TABLE nowhere", "CREATE TABLE nowhere (n int)")
    with pytest.raises(hp.ConfigurationError, match="42P10.*unique constraint"):
        run_load(run, db, [1], table=table, row=lambda n: {"n": n})


def test_the_error_for_a_user_without_grants_names_them(run, db):
    name = "poor_" + db.url.rpartition("_")[2]
    hp.migrate(db)
    run_statements(db, f"CREATE ROLE {name} LOGIN PASSWORD 'hunter2hunter2'")
    poor = hp.Postgres(db.url.replace("holded@", f"{name}:hunter2hunter2@"))
    with pytest.raises(hp.ConfigurationError, match="permission denied.*42501.*grant") as error:
        run_load(run, poor, [account_created(1)])
    assert "hunter2" not in str(error.value)
    run_statements(db, f"DROP ROLE {name}")


def test_a_missing_database_or_user_fails_at_once(run, db):
    for wrong, why in (
        (db.url + "_not", "does not exist"),
        (db.url.replace("holded@", "nobody:hunter2hunter2@"), "password authentication failed"),
    ):
        with pytest.raises(hp.ConfigurationError, match=why) as error:
            run_load(run, hp.Postgres(wrong), [account_created(1)])
        assert "hunter2" not in str(error.value)


def test_a_row_with_an_unknown_column_fails_the_run(run, db):
    metadata.create_all(db.engine())
    with pytest.raises(hp.ConfigurationError, match="the row has 'colour', which the table odd parts has no"):
        run_load(run, db, [1], table=parts, row=lambda n: make_part(n, colour="red"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"table": parts}, "table and row go together"),
        ({"on_conflict": "merge"}, "on_conflict must be"),
        ({"keep": "middle"}, "keep must be"),
        ({"keep": "last"}, 'needs on_conflict="update"'),
        ({"batch_rows": 0}, "batch_rows must be at least 1"),
    ],
)
def test_a_wrong_argument_raises_at_construction(db, settings, words):
    with pytest.raises(ValueError, match=words):
        hp.WritePostgres(db, **settings)


def test_an_element_that_the_row_function_cannot_read_is_rejected(run, db):
    metadata.create_all(db.engine())
    ran = run_load(run, db, [{"n": 1}, {"m": 2}, {"n": 3}], table=parts, row=lambda element: make_part(element["n"]))
    (rejected,) = ran["rejected"]
    assert (rejected.reason, rejected.raw) == ("row_error", b'{"m":2}')
    assert "KeyError: 'n'" in rejected.message
    assert rows_of(db, 'SELECT id FROM "odd parts" ORDER BY 1') == [(1,), (3,)]


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (None, "the row function for odd parts returned NoneType; it must return {column: value}"),
        ([1], "returned list"),
        ({}, "returned no column"),
        ({1: 2}, "the row has 1, which the table odd parts has no column for"),
    ],
)
def test_a_row_function_that_returns_no_row_fails_the_run(run, db, returned, words):
    with pytest.raises(hp.ConfigurationError, match=words):
        run_load(run, db, [1], table=parts, row=lambda _: returned)


def test_batches_with_different_columns_share_one_limit_of_bytes(run, db):
    columns = [sa.Column(f"c{number}", sa.Text) for number in range(10)]
    table = sa.Table("wide", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), *columns)
    table.metadata.create_all(db.engine())
    row = lambda n: {"id": n, f"c{n % 10}": "x" * 100}  # noqa: E731  a row function is often one
    ran = run_load(run, db, range(40), table=table, row=row, batch_bytes=500)
    assert totals(ran)["inserted"] == 40
    assert {receipt.rows for receipt in ran["receipts"]} == {5}  # each line has about 120 bytes


def test_a_batch_has_no_more_rows_than_it_may(run, db):
    ran = run_load(run, db, [account_created(number) for number in range(5)], batch_rows=2)
    assert totals(ran)["inserted"] == 5
    assert sorted(receipt.rows for receipt in ran["receipts"]) == [1, 2, 2]


def test_events_in_partitions_by_month_are_loaded_as_into_one_table(run, db):
    hp.migrate(db, partition_by="month")
    events = [account_created(number, occurred_at=NOON + timedelta(days=40 * number)) for number in range(3)]
    assert totals(run_load(run, db, events))["inserted"] == len(events)
    again = run_load(run, db, [*events, account_created(1, occurred_at=NOON)])
    assert totals(again) == {"rows": 4, "inserted": 0, "updated": 0, "duplicates": 3, "rejected": 1}
    assert [each.reason for each in again["rejected"]] == ["id_conflict"]
    moved = run_load(run, db, [account_created(1, occurred_at=NOON)], on_conflict="update", keep="last")
    assert totals(moved)["updated"] == 1
    assert hp.verify_analytics(db) == []
