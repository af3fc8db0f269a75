"""Timestamps in every form in which producers write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from holded_pipeline.model.timestamps import parse_timestamp

OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Years 2 to 9998, so that no offset leads out of what a datetime holds.
DATE_DIGITS = re.compile("(19|20)[0-9]{12}$")  # a date, which is refused where it would be in the future
MOMENTS = st.integers(-62 * 10**15, 253 * 10**15).map(lambda number: EPOCH + timedelta(microseconds=number))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1718031415926, "2024-06-10T14:56:55.926000"),
        (1718031415926.535, "2024-06-10T14:56:55.926535"),
        (Decimal("1718031415926.5359"), "2024-06-10T14:56:55.926535"),
        ("1718031415926", "2024-06-10T14:56:55.926000"),
        (" 1718031415926.5 ", "2024-06-10T14:56:55.926500"),
        (0, "1970-01-01T00:00:00.000000"),
        (-1, "1969-12-31T23:59:59.999000"),
        (-62_135_596_800_000, "0001-01-01T00:00:00.000000"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999000"),
        (Decimal("1E-999999"), "1970-01-01T00:00:00.000000"),
        ("2024-06-10T14:56:55.926535Z", "2024-06-10T14:56:55.926535"),
        ("2024-06-10T16:56:55.926+02:00", "2024-06-10T14:56:55.926000"),
        ("2024-06-10 16:56:55+0200", "2024-06-10T14:56:55.000000"),
        ("2024-06-10T14:56:55.926535897Z", "2024-06-10T14:56:55.926535"),
        ("2024-06-10T14:56:55", "2024-06-10T14:56:55.000000"),
        ("20240610T145655Z", "2024-06-10T14:56:55.000000"),
        ("2024-06-10", "2024-06-10T00:00:00.000000"),
        ("20240610", "2024-06-10T00:00:00.000000"),
        ("2024-162", "2024-06-10T00:00:00.000000"),
        ("2024162", "2024-06-10T00:00:00.000000"),
        ("2024-W24-1", "2024-06-10T00:00:00.000000"),
        ("2024-162T14:56:55Z", "2024-06-10T14:56:55.000000"),
        ("2024162T145655,926Z", "2024-06-10T14:56:55.926000"),
        ("2024-06-10t14:56:55z", "2024-06-10T14:56:55.000000"),
        ("2024-06-10_14:56:55", "2024-06-10T14:56:55.000000"),
        ("2024-06-10T24:00:00Z", "2024-06-11T00:00:00.000000"),
        ("2024-12-31T24:00", "2025-01-01T00:00:00.000000"),
        ("20240610T240000.000+0200", "2024-06-10T22:00:00.000000"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000"),
        ("2017-01-01T00:59:60.25+01:00", "2017-01-01T00:00:00.250000"),
        ("2015-06-30T19:59:60-04:00", "2015-07-01T00:00:00.000000"),
        ("2024-06-10 14:56:55 UTC", "2024-06-10T14:56:55.000000"),
        ("2024-06-10T14:56:55UTC", "2024-06-10T14:56:55.000000"),
        ("2024-06-10 14:56:55 gmt", "2024-06-10T14:56:55.000000"),
        ("2024-06-10 16:56:55.9265359 +0200 UTC", "2024-06-10T14:56:55.926535"),
        ("2024-06-10T16:56:55+02:00[Europe/Madrid]", "2024-06-10T14:56:55.000000"),
        ("2024-06-10+02:00", "2024-06-09T22:00:00.000000"),
        ("2024-06-10-05:00", "2024-06-10T05:00:00.000000"),
        ("2024-06-10Z", "2024-06-10T00:00:00.000000"),
    ],
)
def test_a_moment_is_read_to_the_microsecond(value, expected):
    assert parse_timestamp(value) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (True, "not a boolean"),
        (None, "not null"),
        ({}, "not an object"),
        ([], "not an array"),
        (float("nan"), "not a number"),
        (float("inf"), "not a number"),
        (Decimal("NaN"), "not a number"),
        (Decimal("sNaN"), "not a number"),
        (253_402_300_800_000, "outside the years"),
        (-62_135_596_800_001, "outside the years"),
        (10**400, "outside the years"),
        (1e300, "outside the years"),
        (Decimal("1E+999999"), "outside the years"),
        ("0001-01-01T00:00:00+14:00", "outside the years"),
        ("9999-12-31T23:59:59-14:00", "outside the years"),
        ("9999-12-31T24:00:00", "outside the years"),
        ("9" * 20, "outside the years"),
        (20240610145655, "may be a date"),
        (20240610145655.0, "may be a date"),
        ("2024-06-10T25:00:00Z", "neither"),
        ("2024-06-10T24:00:01Z", "neither"),
        ("2024-366T00:00:60Z", "neither"),
        ("2023-366", "neither"),
        ("2024-000", "neither"),
        ("2016-12-31T23:59:60+01:00", "neither"),
        ("2024-06-10T14:56:55+24:00", "neither"),
        ("2024-06-10T14:5655Z", "neither"),
        ("2024-06-10x14:56:55", "neither"),
        ("2024-06-10T14:56:55 CET", "neither"),
        ("\uff12024-06-10", "neither"),
        ("20240610145655", "may be a date"),
        ("", "neither"),
        ("NaN", "neither"),
        ("1e12", "neither"),
        ("yesterday", "neither"),
        ("2024-13-01T00:00:00Z", "neither"),
        ("2024-06-10T14:56:60Z", "neither"),
        ("x" * 1_000, "neither"),
    ],
)
def test_what_is_not_a_timestamp_raises_value_error(value, hint):
    with pytest.raises(ValueError, match=hint) as caught:
        parse_timestamp(value)
    assert len(str(caught.value)) < 200


@given(MOMENTS, OFFSETS)
def test_every_moment_comes_back_from_its_iso_form_whatever_the_offset(moment, offset):
    assert parse_timestamp(moment.astimezone(offset).isoformat()) == moment


@given(MOMENTS)
def test_every_moment_comes_back_from_its_milliseconds_as_number_and_as_text(moment):
    assume(not DATE_DIGITS.match(str((moment - EPOCH) // timedelta(milliseconds=1))))
    milliseconds = Decimal((moment - EPOCH) // timedelta(microseconds=1)) / 1000
    assert parse_timestamp(milliseconds) == moment
    text = f"{milliseconds:f}"
    if not (text.isdigit() and len(text) in (7, 8)):  # these may be dates
        assert parse_timestamp(text) == moment


@given(st.none() | st.booleans() | st.text() | st.integers() | st.floats() | st.decimals() | st.lists(st.integers()))
def test_anything_gives_a_moment_in_utc_or_a_value_error(value):
    try:
        moment = parse_timestamp(value)
    except ValueError:
        return
    assert moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (1718031415, "s"),
        (1718031415.5, "s"),
        (" 1718031415 ", "s"),
        (1718031415926, "ms"),
        (1718031415926535, "us"),
        ("1718031415926535", "us"),
        (1718031415926535897, "ns"),
        ("1718031415926535897", "ns"),
    ],
)
def test_a_number_is_read_in_its_unit_which_auto_tells_by_its_magnitude(value, unit):
    moment = parse_timestamp(value, unit)
    assert datetime(2024, 6, 10, 14, 56, 55, tzinfo=UTC) <= moment < datetime(2024, 6, 10, 14, 56, 56, tzinfo=UTC)
    assert parse_timestamp(value, "auto") == moment


@pytest.mark.parametrize("value", [2024061014, "2024061014", 2024061014.0])
def test_the_digits_of_a_date_are_no_seconds_of_the_future(value):
    for unit in ("s", "auto"):
        with pytest.raises(ValueError, match="may be a date or seconds"):
            parse_timestamp(value, unit)
