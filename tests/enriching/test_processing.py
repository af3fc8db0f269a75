"""When, by what and in which run an event was processed; and its business context."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta, timezone

from holded_pipeline.enriching.builtin import Processing, business_context
from holded_pipeline.model.values import Event

NOW = datetime(2026, 1, 12, 12, 30, tzinfo=timezone(timedelta(hours=2)))


def clock() -> datetime:
    return NOW


def user_event(event_type="user.updated"):
    return Event("e1", event_type, "c1", datetime(2026, 1, 1, tzinfo=UTC), {})


def test_processing_adds_the_time_in_utc_the_version_and_the_run():
    assert Processing("1.2.3", clock).for_run("run-7")(user_event()) == {
        "processed_at": "2026-01-12T10:30:00+00:00",
        "pipeline_version": "1.2.3",
        "run_id": "run-7",
    }


def test_processing_for_one_run_does_not_change_the_original():
    processing = Processing("1.2.3", clock)
    processing.for_run("run-7")
    assert processing(user_event())["run_id"] is None


def test_processing_can_be_pickled():
    processing = Processing("1.2.3", clock, "run-7")
    assert pickle.loads(pickle.dumps(processing)) == processing


def test_the_business_context_includes_the_aggregate():
    assert business_context(user_event()) == {"context": "user_management", "aggregate": "User"}
    assert business_context(user_event("invoice.created")) == {"context": "other", "aggregate": None}
