"""Which timestamps are accepted: the unit of numbers, and the times that cannot be true."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.model.timestamp_rules import ImplausibleTimestampError, Timestamps
from holded_pipeline.model.timestamps import parse_timestamp

SECONDS = 1_718_031_415


@pytest.mark.parametrize(
    "value",
    [
        *(SECONDS, float(SECONDS), SECONDS + 0.926, str(SECONDS), f"{SECONDS}.926", Decimal(f"{SECONDS}.926535")),
        *(2024, "2024", 202406, "202406", 20240610, 2024061014, "2024061014", 202406101456, "202406101456"),
        *(0, "0", -1, 19_884, SECONDS // 60, "1970-01-01T00:00:00Z", "1900-01-01", "0001-01-01T00:00:00", "1979-365"),
    ],
)
def test_what_is_no_plausible_time_in_milliseconds_is_not_accepted(value):
    with pytest.raises(ImplausibleTimestampError, match="earliest that is accepted"):
        Timestamps().read(value)


@pytest.mark.parametrize(
    "value", [SECONDS * 1000, str(SECONDS * 1000), "2024-06-10T14:56:55Z", "1980-01-01", "20240610"]
)
def test_what_is_plausible_is_accepted(value):
    assert Timestamps().read(value) == parse_timestamp(value)


@pytest.mark.parametrize(
    ("value", "unit", "advice"),
    [
        (SECONDS, "ms", 'in seconds it is 2024-06-10T14:56:55+00:00: pass timestamps=hp.Timestamps(unit="s")'),
        (str(SECONDS), "ms", 'unit="s"'),
        (SECONDS * 1000, "us", 'unit="ms"'),
        (SECONDS * 1000, "ns", 'unit="ms"'),
        (2024061014, "ms", "its digits may be a date"),
    ],
)
def test_the_message_says_in_which_unit_it_would_be_plausible(value, unit, advice):
    with pytest.raises(ImplausibleTimestampError) as caught:
        Timestamps(unit=unit).read(value)
    assert advice in str(caught.value)


def test_the_unit_is_the_one_that_was_asked_for():
    for unit, factor in (("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)):
        assert Timestamps(unit=unit).read(SECONDS * factor) == datetime.fromtimestamp(SECONDS, UTC)
        assert Timestamps(unit="auto").read(SECONDS * factor) == datetime.fromtimestamp(SECONDS, UTC)


def test_the_limits_are_the_users():
    assert Timestamps(earliest=None).read(0) == datetime(1970, 1, 1, tzinfo=UTC)
    late = Timestamps(earliest=datetime(2025, 1, 1, tzinfo=UTC))
    assert late.read(1_735_689_600_000) == datetime(2025, 1, 1, tzinfo=UTC)
    with pytest.raises(ImplausibleTimestampError, match="before 2025"):
        late.read(1_735_689_599_999)


def test_what_is_too_far_ahead_is_rejected_where_that_was_asked_for():
    now = datetime(2024, 6, 10, tzinfo=UTC)

    def milliseconds(**ahead):
        return int((now + timedelta(**ahead)).timestamp() * 1000)

    assert Timestamps().at(now).read(milliseconds(days=400))
    assert Timestamps(max_ahead=timedelta.max).at(now).read(253402160399000) is not None  # nothing lies so far ahead
    day = Timestamps(max_ahead=timedelta(days=1)).at(now)
    assert day.read(milliseconds(hours=24))
    for value in (milliseconds(hours=25), str(milliseconds(hours=25)), "2024-06-12"):
        with pytest.raises(ImplausibleTimestampError, match="ahead"):
            day.read(value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"unit": "seconds"},
        {"unit": None},
        {"earliest": datetime(2000, 1, 1)},  # noqa: DTZ001  that it is naive is the point
        {"earliest": "2000-01-01"},
        {"max_ahead": 86_400},
        {"max_ahead": timedelta(days=-1)},
    ],
)
def test_a_wrong_setting_is_refused_at_once(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Timestamps(**arguments)


def test_it_travels_to_workers():
    rules = Timestamps(unit="s", max_ahead=timedelta(days=1))
    assert pickle.loads(pickle.dumps(rules)) == rules


@given(st.integers(-(10**15), 10**15), st.sampled_from(["s", "ms", "us", "ns", "auto"]))
def test_the_quick_way_says_what_the_careful_one_says(number, unit):
    def outcome(rules, value):
        try:
            return rules.read(value)
        except ValueError as error:
            return str(error)

    rules = Timestamps(unit=unit)
    assert outcome(rules, number) == outcome(rules, Decimal(number))
