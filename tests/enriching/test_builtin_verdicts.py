"""One pass over a document gives the verdicts that the rules give one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import holded_pipeline as hp
from holded_pipeline.enriching import quality_rules
from holded_pipeline.enriching.builtin import Quality
from holded_pipeline.enriching.builtin_verdicts import builtin_verdicts
from holded_pipeline.enriching.document_fields import _looked_at, kinds_of_names
from holded_pipeline.enriching.quality_rules import MAX_FIELDS, RULES
from holded_pipeline.model import json_codec
from holded_pipeline.reading.envelopes import holded
from tests.support.event_factory import make_event
from tests.support.in_python import in_python

NAMES = st.sampled_from(
    [
        "id",
        "amount",
        "currency",
        "country",
        "nationality",
        "email",
        "contactEmail",
        "e_mail",
        "date",
        "dueDate",
        "issuedAt",
        "issued_at",
        "due_date",
        "createdAt",
        "created_at",
        "updatedAt",
        "updated_at",
        "companyId",
        "company_id",
        "subtotal",
        "tax",
        "total",
        "lines",
        "contact",
        "other",
    ]
)
DATE_TEXTS = [
    "2026-01-02", "2026-01-03T10:00:00Z", "2026-01-03T10:00:00+02:00", "2026-01-02T09:00", "20260102", "0001-01-01",
    "2024-02-29", "2023-02-29", "1900-02-29", "2000-02-29T23:59:60Z", "2026-01-02T24:00:00Z", "2026-01-02t10:00:00z",
    "2026-01-02T10:00:00.1Z", "2026-01-02T10:00:00.1234567Z", "2026-01-02T10:00:00.Z", "2026-01-02T10:00:00+0200",
    "2026-01-02x10:00:00", "2026-01-02+11:30", "2026-01-02_10:00", "2026-01-02T10:00:00+24:00",
    "2026-01-02 10:00:00", "2026-01-02T10:00:00-03:30", "2026-04-31", "2026-01-0٢",
    "9999-12-31T23:59:59-10:00", "0001-01-01T00:00:00+05:00", " 2026-01-02", "2026-13-01", "1718031415926", "-1"
]  # fmt: skip
DATES = st.sampled_from(DATE_TEXTS)
AMOUNTS = st.sampled_from([0, 1, 10, 121, 21, 100.0, 21.0, 121.0, 121.01, 121.0099, 0.1, 0.2, 0.3, 1e9, 1e15, -1e300,
                           Decimal("1e400"), Decimal("100.00000000000000000001"), 10**16, True])  # fmt: skip
TEXTS = st.sampled_from(["", " ", "EUR", "eur", "ES", "a@b.co", "@", "c1", "15"])
VALUES = st.recursive(
    st.none() | st.booleans() | DATES | AMOUNTS | TEXTS | st.integers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=20,
)
MOMENTS = st.sampled_from([datetime(2026, 1, 3, tzinfo=UTC), datetime(1999, 1, 1, tzinfo=UTC)])


def rated(data, at=datetime(2026, 1, 3, tzinfo=UTC), collected=None, user="u", company="c1"):
    metadata = {} if collected is None else {"collected_at": collected}
    return make_event(data=data, occurred_at=at, metadata=metadata, user_id=user, company_id=company)


def one_by_one(event):
    with in_python():
        in_one_pass = builtin_verdicts(event)
    verdicts = tuple(rule.check(event) for rule in RULES)
    assert in_one_pass == verdicts
    return verdicts


@given(
    st.dictionaries(NAMES, VALUES, max_size=12),
    MOMENTS,
    st.none() | DATES | st.sampled_from(["2026-01-03T00:30:00+00:00", "2026-01-03T02:00:00+00:00", 5]),
    st.sampled_from([None, "", "u"]),
    st.sampled_from(["c1", "15", "f"]),
)
def test_the_verdicts_are_those_of_the_rules(data, at, collected, user, company):
    event = rated(data, at, collected, user, company)
    assert builtin_verdicts(event) == one_by_one(event)


PASSES = {
    "id": "x", "companyId": "c1", "currency": "EUR", "country": "ES", "email": "a@b.co", "amount": 5, "total": 121.0,
    "createdAt": "2026-01-01T10:00:00Z", "updatedAt": "2026-01-02T10:00:00Z", "date": "2026-01-01",
    "dueDate": "2026-01-03", "subtotal": 100, "tax": 21.0,
}  # fmt: skip
ABSENT = object()


@given(
    st.dictionaries(st.sampled_from([*PASSES, "issued_at", "due_date"]), VALUES | st.just(ABSENT), max_size=3),
    st.just(datetime(2026, 1, 3, tzinfo=UTC))
    | st.sampled_from([quality_rules.EARLIEST, quality_rules.LATEST])
    | MOMENTS,
    st.sampled_from([None, "2026-01-03T00:30:00+00:00", "2026-01-03T01:00:00.000001Z", "2026-01-02T23:54:59Z", "x"]),
    st.sampled_from(["u", ""]),
)
@example({}, datetime(2026, 1, 3, tzinfo=UTC), None, "u")
@example({"currency": ABSENT}, datetime(2026, 1, 3, tzinfo=UTC), None, "u")
@example({"dueDate": ABSENT, "due_date": "2025-01-01"}, datetime(2026, 1, 3, tzinfo=UTC), None, "u")
@example({"date": ABSENT, "issued_at": "2026-06-01"}, datetime(2026, 1, 3, tzinfo=UTC), None, "u")
@example({"subtotal": "100"}, datetime(2026, 1, 3, tzinfo=UTC), None, "u")
@example({}, quality_rules.LATEST, None, "u")
@example({}, quality_rules.EARLIEST - timedelta(microseconds=1), None, "u")
def test_an_event_that_fails_few_rules_gets_the_verdicts_of_each(changes, at, collected, user):
    data = {name: value for name, value in {**PASSES, **changes}.items() if value is not ABSENT}
    event = rated(data, at, collected, user)
    assert builtin_verdicts(event) == one_by_one(event)


@given(st.floats(-2e9, 2e9), st.floats(-1e3, 1e3), st.sampled_from([0, 0.005, 0.0099, 0.00999999, 0.01, 0.0100001, 1]))
def test_totals_add_up_to_the_cent(subtotal, tax, off):
    event = rated({"subtotal": subtotal, "tax": tax, "total": subtotal + tax + off})
    assert builtin_verdicts(event) == one_by_one(event)


@pytest.mark.parametrize("text", DATE_TEXTS)
def test_each_form_of_a_date_is_judged_as_the_rules_judge_it(text):
    for data in (
        {"date": text},
        {"date": "2026-01-01", "dueDate": text},
        {"createdAt": text, "updatedAt": "2026-01-02"},
    ):
        event = rated({"id": "x", **data})
        assert builtin_verdicts(event) == one_by_one(event)


def test_only_the_documents_own_fields_are_counted_as_empty():
    for inner in ({"c": "", "d": None, "e": [], "f": {}}, [{"c": ""}] * 9):
        event = rated({"id": "x", "a": 1, "b": inner})
        assert builtin_verdicts(event) == one_by_one(event)


def test_large_and_unusual_documents_get_the_verdicts_of_the_rules():
    for data in (
        {f"country{n}": "x" for n in range(MAX_FIELDS + 5)},
        {"lines": [{"country": "ES"} for _ in range(MAX_FIELDS)] + [{"country": "x"}]},
        {"lines": [[[{"date": "never"}]] * 700] * 3},
        {"lines": ({"country": "x"},)},
        {"x": [0] * 2 * MAX_FIELDS, "y": {"country": "ES"}},
        {f"x{n}": n for n in range(2 * MAX_FIELDS)} | {"country": "ES", "date": "2026-01-02"},
    ):
        event = rated(data)
        assert builtin_verdicts(event) == one_by_one(event)


def test_quality_gives_the_same_result_both_ways():
    source = hp.Source("b", "k", "e", 1)
    subset = Quality(RULES[::-2], extend=False, ruleset="mine")
    for quality in (Quality(), subset):
        result_of = quality.entry_function("quality")
        for sample in hp.testing.sample_events(200, seed=4, wrapped=0.5):
            event = holded(sample.document, source)
            result, text = result_of(event)
            assert result == quality(event)
            assert text == json_codec.encode("quality") + b":" + json_codec.encode(result)


def test_long_names_are_not_remembered():
    for number in range(20):
        event = rated({"n" * 10_000 + str(number): 1, "country": "ES" if number else "bad"})
        assert builtin_verdicts(event) == one_by_one(event)
    remembered = [*kinds_of_names, *(name for names in _looked_at for name in names)]
    assert max(map(len, remembered)) <= 200


def test_rules_that_are_asked_remember_no_long_names():
    one_by_one(rated({"country": "bad"}))
    before = quality_rules._is_known_name.cache_info().currsize
    for number in range(20):
        one_by_one(rated({"n" * 10_000 + str(number): 1, "country": "bad"}))
    assert quality_rules._is_known_name.cache_info().currsize == before


@pytest.mark.parametrize("later", ["2026-01-01", "2026-03-01", None, "x"])
@pytest.mark.parametrize(
    ("earlier_name", "later_name"),
    [(a, b) for a in ("date", "issuedAt", "issued_at") for b in ("dueDate", "due_date")]
    + [(a, b) for a in ("createdAt", "created_at") for b in ("updatedAt", "updated_at")],
)
def test_the_order_of_dates_is_judged_under_each_of_their_names(earlier_name, later_name, later):
    event = rated({"id": "x", earlier_name: "2026-02-01", later_name: later})
    assert builtin_verdicts(event) == one_by_one(event)
    assert (builtin_verdicts(event) == builtin_verdicts(rated({"id": "x"}))) is False
