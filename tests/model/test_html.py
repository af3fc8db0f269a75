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
    assert html.startswith("<table>")
    assert "alert" in html
    assert set(re.findall(r"</?(\w+)", html)) <= {
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


def test_stored_values_say_where_they_are_and_are_not_read():
    lake = hp.MinIO("http://127.0.0.1:1", bucket="b", access_key="a", secret_key="s")
    assert "b/raw/" in repr(hp.events(lake, "raw/"))
    assert "b/rejected" in repr(hp.rejected(lake, "rejected/"))
