"""The enricher `lateness`: how long events took, which are late, and whose clock runs ahead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import holded_pipeline as hp

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def lateness(metadata, **settings):
    event = hp.Event(id="e", type="t", company_id="c", occurred_at=NOON, data={}, metadata=metadata)
    return hp.Lateness(**settings)(event)


def collected(seconds):
    return {"collected_at": (NOON + timedelta(seconds=seconds)).isoformat()}


@pytest.mark.parametrize(
    ("seconds", "late", "ahead"),
    [
        (0, False, False),
        (12.25, False, False),
        (3_600, False, False),
        (3_600.000001, True, False),
        (86_400, True, False),
        (-300, False, False),
        (-300.5, False, True),
    ],
)
def test_the_time_until_collection_is_measured(seconds, late, ahead):
    assert lateness(collected(seconds)) == {
        "seconds": seconds,
        "late": late,
        "ahead": ahead,
        "measured_by": "collected_at",
    }


def test_the_threshold_and_the_tolerance_can_be_set():
    assert lateness(collected(61), threshold=60)["late"] is True
    assert lateness(collected(-2), tolerance=1)["ahead"] is True


def test_an_event_without_collection_time_is_measured_by_its_processing_time():
    processed = {"processing": {"processed_at": "2026-01-01T14:00:00+00:00"}}
    assert lateness(processed) == {"seconds": 7_200, "late": True, "ahead": False, "measured_by": "processed_at"}
    assert lateness(processed | collected(1))["measured_by"] == "collected_at"


@pytest.mark.parametrize("metadata", [{}, {"collected_at": None}, {"collected_at": "soon"}, {"processing": ["odd"]}])
def test_an_event_without_either_time_is_neither_late_nor_in_time(metadata):
    assert lateness(metadata) == {"seconds": None, "late": None, "ahead": None, "measured_by": None}


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "1", None, True])
def test_a_threshold_that_is_not_a_duration_raises(value):
    with pytest.raises(ValueError, match="threshold is a number of seconds"):
        hp.Lateness(value)
