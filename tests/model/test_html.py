"""How values look in a notebook: tables, in which nothing of an event is HTML."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

import holded_pipeline as hp
from holded_pipeline.model.values import Source

BAD = "<script>alert('&amp;')</script>"
WHEN = datetime(2026, 11, 24, tzinfo=UTC)
SOURCE = Source(BAD, BAD, BAD, 1)
EVENT = hp.Event(BAD, BAD, BAD, WHEN, {BAD: [BAD, {"n": 1}]}, BAD, {BAD: {"x": BAD}}, SOURCE)
VALUES = {
    "event": EVENT,
    "rejected": hp.Rejected(
        BAD, BAD, BAD, BAD, BAD.encode() + b"\xff", WHEN, BAD, SOURCE, (hp.Violation(BAD, BAD, BAD),), hp.SchemaRef(BAD)
    ),
    "outcome": hp.Outcome(BAD, BAD),
    "forecast": hp.Forecast({(BAD, BAD): {"passes": 1, (BAD, BAD): 2}}),
    "report": hp.RunReport(BAD, BAD, "failed", WHEN, 1.0, {"read.records": 3}, {BAD: {BAD: 1}}, BAD),
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_is_a_table_in_which_its_texts_are_escaped(value):
    html = value._repr_html_()
    assert html.startswith("<div style='overflow-x:auto'><table>")
    assert "alert" in html
    assert set(re.findall(r"</?(\w+)", html)) <= {
        "div",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "pre",
        "p",
        "b",
    }


def test_a_long_text_is_shortened_and_its_length_is_shown():
    html = hp.Event("1", "t", "c", WHEN, {"text": "x" * 100_000})._repr_html_()
    assert len(html) < 10_000
    assert "characters)" in html


class Raises(dict):
    def __str__(self):
        raise RecursionError("no text")

    def items(self):
        raise ValueError("no items")


def in_itself():
    value = {"n": 1}
    value["self"] = value
    value["list"] = [value]
    return value


def deep(levels):
    value = {}
    for _ in range(levels):
        value = {"in": [value]}
    return value


ODD = {
    "a number of 100,000 digits": {"n": 10**100_000, "m": [-(10**100_000)]},
    "in itself": in_itself(),
    "990 levels": deep(990),
    "a long text": {"text": "x" * 5_000_000, "y" * 5_000_000: 1},
    "many items": {str(number): list(range(1_000)) for number in range(10_000)},
    "items that raise": {"x": Raises(a=1)},
    "no JSON": {"nan": float("nan"), "set": {1}, "key": {(1, 2): object()}, "bytes": b"\xff" * 5_000_000},
}


@pytest.mark.parametrize("value", ODD.values(), ids=ODD)
def test_odd_values_made_by_hand_are_shown_within_bounds(value):
    for shown in (
        hp.Event("1", "t", "c", WHEN, value, metadata=value),
        hp.Event("1", "t" * 5_000_000, "c", WHEN, {"a": 1}),
        hp.Rejected("1", "s", "r", "m" * 5_000_000, b"\xff" * 5_000_000, WHEN, "run"),
    ):
        assert len(shown._repr_html_()) < 30_000


def test_a_large_integer_is_shown_by_its_size():
    html = hp.Event("1", "t", "c", WHEN, {"n": 10**5_000})._repr_html_()
    assert "an integer of 16,610 bits" in html


def test_many_violations_are_a_table_that_ends():
    many = tuple(hp.Violation(f"/{number}", "type", "is wrong") for number in range(1_000))
    html = hp.Rejected("1", "s", "r", "m", b"{}", WHEN, "run", violations=many)._repr_html_()
    assert "<caption style='text-align:left;white-space:nowrap'>Violations (1,000)</caption>" in html
    assert html.count("<tr>") < 250
    assert "and more" in html


def test_a_violation_is_a_table_too():
    html = hp.Violation("/a", "type", "5 is not of type 'string'")._repr_html_()
    assert "/a" in html
    assert "5 is not of type &#x27;string&#x27;" in html


def test_an_event_and_a_rejection_have_the_columns_of_a_table():
    row = hp.columns_of(EVENT)
    assert (row["id"], row["key"], row["line"]) == (BAD, BAD, 1)
    assert hp.columns_of(VALUES["rejected"])["subject"] == BAD
    with pytest.raises(TypeError, match="got a?n? ?int"):
        hp.columns_of(5)


def test_stored_values_say_where_they_are_and_are_not_read():
    lake = hp.MinIO("http://127.0.0.1:1", bucket="b", access_key="a", secret_key="s")
    assert "b/raw/" in repr(hp.events(lake, "raw/"))
    assert "b/rejected" in repr(hp.rejected(lake, "rejected/"))
