"""Events in partitions by month keep the promises of the plain table: one row for an id, conflicts, summaries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import psycopg
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from monthly_events import LAYOUTS, MARCH, event, load, migrated
from table_contents import load_rows, rows_of, run_statements

import holded_pipeline as hp
from holded_pipeline.postgres.event_row import PRODUCED_COLUMNS
from holded_pipeline.postgres.tables import business_events

TIMES = {
    "the first moment of a month": MARCH,
    "the last moment of a month": MARCH - timedelta(microseconds=1),
    "another month in the time zone of the producer": MARCH.replace(tzinfo=timezone(timedelta(hours=14))),
    "the last century": datetime(1999, 12, 31, 23, 59, tzinfo=UTC),
    "year one": datetime(1, 1, 2, tzinfo=UTC),
    "a far future": datetime(9999, 12, 30, tzinfo=UTC),
}
FIELDS = "event_id, event_type, company_id, occurred_at, data, data_quality_score"


@pytest.fixture(params=LAYOUTS)
def tables(db, request):
    return migrated(db, request.param)


@pytest.fixture
def by_month(db):
    return migrated(db, "by month")


def test_an_event_of_any_time_is_stored_once_however_often_it_comes(tables):
    rows = [event(name, at) for name, at in TIMES.items()]
    assert load(tables, rows) == ((len(rows), 0, 0), {})
    for on_conflict in ("ignore", "update"):
        assert load(tables, rows, on_conflict) == ((0, 0, len(rows)), {})
    assert dict(rows_of(tables, "SELECT event_id, occurred_at FROM business_events")) == TIMES


def test_another_content_under_a_known_id_is_a_conflict_in_whatever_month(tables):
    later = MARCH + timedelta(days=40)
    load(tables, [event("a"), event("b")])
    rows = [event("a", later), event("b", data={"n": 2}), event("a"), event("new"), event("new", later), event("new")]
    assert load(tables, rows) == ((1, 0, 2), {0: "id_conflict", 1: "id_conflict", 4: "id_conflict"})
    done = load_rows(tables, business_events, rows[:1], same=PRODUCED_COLUMNS)
    assert [each.pointer for each in done.rejected[0][1].violations] == ["/occurred_at"]
    assert load(tables, [event("a", later)], same=()) == ((0, 0, 1), {})
    assert rows_of(tables, "SELECT count(*) FROM business_events") == [(3,)]


def test_an_update_moves_an_event_to_its_new_month(tables):
    later = MARCH + timedelta(days=40)
    load(tables, [event("a"), event("b", later), event("c")])
    rows = [event("a", later), event("b", MARCH), event("c", data={"n": 2}), event("d")]
    assert load(tables, rows, "update") == ((1, 3, 0), {})
    assert load(tables, rows, "update") == ((0, 0, 4), {})
    older_and_newer = [event("a", MARCH), event("b", later), event("c")]
    assert load(tables, older_and_newer, "update", newer_by="occurred_at") == ((0, 1, 2), {})
    stored = rows_of(tables, "SELECT event_id, occurred_at, data ->> 'n' FROM business_events ORDER BY 1")
    assert stored == [("a", later, "1"), ("b", later, "1"), ("c", MARCH, "2"), ("d", MARCH, "1")]


def test_bad_rows_hurt_only_themselves_beside_conflicts_of_another_month(tables):
    later = MARCH + timedelta(days=40)
    load(tables, [event("a")])
    rows = [event("x"), event("a", later), event("bad", data_quality_score="NaN"), event("worse", event_type=None),
            event("timeless", None), event("y", later)]  # fmt: skip
    bad = {2: "check_violation", 3: "not_null_violation", 4: "not_null_violation"}
    assert load(tables, rows) == ((2, 0, 0), {1: "id_conflict", **bad})
    assert load(tables, rows, "update") == ((0, 1, 2), bad)
    again = dict.fromkeys((0, 1, 5), "unique_violation")
    assert load(tables, rows, "reject") == ((0, 0, 0), again | bad)
    pair = [event("p"), event("p", later), event("q")]
    assert load(tables, pair, "reject") == ((2, 0, 0), {1: "unique_violation"})


KEYS = st.sampled_from(["a", "b", "c", "d"])
CHANGES = st.fixed_dictionaries(
    {
        "at": st.sampled_from(
            [MARCH, MARCH + timedelta(hours=1), MARCH + timedelta(days=31), datetime(1, 2, 2, tzinfo=UTC)]
        )
    },
    optional={
        "data": st.sampled_from([{"n": 2}, {"n": 1.0}]),
        "company_id": st.sampled_from(["c1", "Ünï"]),
        "event_type": st.sampled_from(["t2", None]),
        "data_quality_score": st.sampled_from([None, 1, "NaN"]),
    },
)
BATCHES = st.lists(st.tuples(KEYS, CHANGES), min_size=1, max_size=7)
CHOICES = st.sampled_from(
    [
        {"on_conflict": "ignore"},
        {"on_conflict": "update"},
        {"on_conflict": "update", "keep": "last"},
        {"on_conflict": "update", "newer_by": "occurred_at"},
        {"on_conflict": "reject"},
    ]
)


@pytest.fixture(scope="module")
def both(stack):
    return [migrated(stack.new_database(), layout) for layout in LAYOUTS]


@settings(max_examples=12, phases=[Phase.generate])
@given(plan=st.lists(st.tuples(CHOICES, BATCHES), min_size=1, max_size=3))
def test_both_layouts_answer_and_store_the_same(both, plan):
    for db in both:
        run_statements(db, "TRUNCATE business_events")
    for choices, batch in plan:
        rows = [event(key, **change) for key, change in batch]
        if "newer_by" in choices:  # an older row of another month is a duplicate, whatever else is wrong with it
            rows = [row for row in rows if row["event_type"] and row["data_quality_score"] != "NaN"]
        if not rows:
            continue
        (counts, whole), (same_counts, parted) = (load(db, rows, **choices) for db in both)
        assert (counts, set(whole)) == (same_counts, set(parted))  # of two faults of one row, one is the reason
        stored = [rows_of(db, f"SELECT {FIELDS} FROM business_events ORDER BY 1, 4") for db in both]
        assert stored[0] == stored[1]


def test_ids_and_summaries_are_right_after_updates_by_other_clients(by_month):
    load(by_month, [event(f"e{n}", MARCH + timedelta(days=n), company_id=f"c{n % 3}") for n in range(90)])
    for statement in (
        "UPDATE business_events SET occurred_at = occurred_at + interval '31 days' WHERE event_id < 'e4'",
        "UPDATE business_events SET event_id = event_id || 'x', company_id = 'c9' WHERE event_id > 'e7'",
        "UPDATE business_events SET metadata = '{}'",
        "DELETE FROM business_events WHERE occurred_at < '2026-04-01Z'",
    ):
        run_statements(by_month, statement)
        assert hp.verify_analytics(by_month) == [], statement
    with pytest.raises(psycopg.errors.UniqueViolation, match="business_event_ids_pkey"):
        run_statements(
            by_month,
            "INSERT INTO business_events SELECT event_id, event_type, company_id, user_id, occurred_at + interval "
            "'1 hour', business_context, data_quality_score, data, metadata FROM business_events LIMIT 1",
        )
    run_statements(by_month, "UPDATE business_event_ids SET occurred_at = 'epoch' WHERE event_id = 'e50'")
    assert [(each.table, each.key) for each in hp.verify_analytics(by_month)] == [("business_event_ids", "e50")]
    run_statements(by_month, "TRUNCATE business_events")
    assert hp.verify_analytics(by_month) == []


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO {} SELECT * FROM business_events",
        "UPDATE {} SET data = '1'",
        "DELETE FROM {}",
        "TRUNCATE {}",
    ],
)
def test_a_partition_is_not_written_directly(by_month, statement):
    load(by_month, [event("a"), event("b", TIMES["year one"])])
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="Write to business_events"):
        run_statements(by_month, statement.format("business_events_other"))
    assert load(by_month, [event("a"), event("b", TIMES["year one"])]) == ((0, 0, 2), {})


def test_a_dropped_month_without_its_ids_is_no_silent_duplicate(by_month):
    load(by_month, [event("a", TIMES["year one"]), event("b")])
    run_statements(by_month, "ALTER TABLE business_events DETACH PARTITION business_events_other")
    for on_conflict in ("ignore", "update"):
        done = load_rows(by_month, business_events, [event("a"), event("b")], on_conflict=on_conflict)
        ((position, rejection),) = done.rejected
        assert (position, rejection.reason) == (0, "id_conflict")
        assert "its partition was dropped" in rejection.message
    run_statements(by_month, "DELETE FROM business_event_ids WHERE event_id = 'a'")
    assert load_rows(by_month, business_events, [event("a")]).inserted == 1


def test_paused_summaries_are_rebuilt_from_the_events(tables, caplog):
    load(tables, [event("a"), event("b", company_id="gone")])
    hp.pause_analytics(tables)
    rows = [
        event(f"e{n}", MARCH + timedelta(days=n), company_id=f"c{n % 7}", event_type=f"t{n % 3}") for n in range(60)
    ]
    rows += [event("x", business_context="y", data_quality_score=None), event("y", data_quality_score="0.123")]
    assert load_rows(tables, business_events, rows).inserted == len(rows)
    run_statements(tables, "DELETE FROM business_events WHERE event_id = 'b'")
    assert hp.verify_analytics(tables) != []
    hp.migrate(tables)
    assert "the summaries are paused" in caplog.text
    for _ in range(2):
        hp.rebuild_analytics(tables)
        assert hp.verify_analytics(tables) == []
    assert load(tables, [event("new"), event("a")]) == ((1, 0, 1), {})


def test_a_month_is_dropped_with_its_ids_and_the_summaries_are_rebuilt(by_month):
    load(by_month, [event("a"), event("b", MARCH + timedelta(days=40))])
    run_statements(
        by_month,
        "ALTER TABLE business_events DETACH PARTITION business_events_2026_03",
        "DELETE FROM business_event_ids AS k USING business_events_2026_03 AS old WHERE k.event_id = old.event_id",
        "DROP TABLE business_events_2026_03",
    )
    hp.rebuild_analytics(by_month)
    assert hp.verify_analytics(by_month) == []
    assert load(by_month, [event("a"), event("b", MARCH + timedelta(days=40))]) == ((1, 0, 1), {})


def test_a_pause_has_to_end_before_the_events_are_partitioned(db):
    hp.migrate(db)
    hp.pause_analytics(db)
    with pytest.raises(hp.ConfigurationError, match="paused summaries"):
        hp.migrate(db, partition_by="month")
