"""The line of an event, made of the text that it carries, is the line of its row."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

import holded_pipeline as hp
from holded_pipeline.model import json_codec
from holded_pipeline.model.carried_text import make_entry, with_entries
from holded_pipeline.model.carrying import carry
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.event_row import EVENT_COLUMNS, event_line, event_row
from holded_pipeline.postgres.tables import business_events
from tests.support.event_factory import make_event
from tests.support.in_python import in_python

SOURCE = hp.Source("b", "k", "e", 1)
ROW_FORMAT = RowFormat(business_events)
JSON_COLUMNS = ("data", "metadata", "source")
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
KEYS = TEXTS | st.sampled_from(["\\N", "a\tb", "a\nb\r", "\\", r"Holded\User\UserUpdated", "\x7f", "\u2028"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001  made aware


def values_of(line: bytes) -> dict:
    """The values that PostgreSQL reads."""
    columns = dict(zip(EVENT_COLUMNS, line.removesuffix(b"\n").split(b"\t"), strict=True))
    read = {
        name: json_codec.decode(columns[name].replace(b"\\\\", b"\\"))
        for name in JSON_COLUMNS
        if columns[name] != b"\\N"
    }
    read["occurred_at"] = datetime.fromisoformat(columns["occurred_at"].decode())
    return {**columns, **read}


@given(
    st.fixed_dictionaries(
        {"id": KEYS, "type": KEYS, "company_id": KEYS, "user_id": st.none() | KEYS, "occurred_at": MOMENTS,
         "data": st.dictionaries(KEYS, VALUES, max_size=4), "metadata": st.dictionaries(KEYS, VALUES, max_size=3)}
    ),
    st.none() | st.just(SOURCE) | st.builds(hp.Source, KEYS, KEYS, KEYS, st.integers(1), st.none() | st.integers(1)),
    st.sampled_from([None, 0.0, 1.0, 0.9876, 0.00001, 1]),
    st.none() | KEYS,
)  # fmt: skip
def test_the_line_is_the_line_of_the_row(fields, source, score, context):
    event = carry(make_event(**fields, source=source))
    if score is not None:
        event = with_entries(event, {"quality": make_entry("quality", {"score": score})})
    if context is not None:
        event = with_entries(event, {"business_context": make_entry("business_context", {"context": context})})
    line = event_line(event)
    with in_python():
        assert event_line(event) == line
    row = event_row(event)
    assert line is None or values_of(line) == values_of(ROW_FORMAT.line(row, ROW_FORMAT.columns(row)))


def test_the_line_fills_the_columns_of_the_row():
    assert tuple(event_row(make_event())) == EVENT_COLUMNS == ROW_FORMAT.columns(event_row(make_event()))


def test_events_that_were_read_have_a_line():
    for sample in hp.testing.sample_events(50, seed=2, wrapped=0.5):
        event = carry(make_event(data=sample.document, source=SOURCE))
        assert event_line(event) is not None


@pytest.mark.parametrize(
    "element",
    [
        "no event",
        make_event(source=SOURCE),
        carry(make_event()),
        with_entries(carry(make_event(source=SOURCE)), {"quality": make_entry("quality", {"score": "high"})}),
        with_entries(carry(make_event(source=SOURCE)), {"quality": make_entry("quality", {"score": 7.5})}),
        with_entries(
            carry(make_event(source=SOURCE)), {"business_context": make_entry("business_context", {"context": 5})}
        ),
    ],
    ids=["text", "made by code", "without a source", "score of text", "large score", "context of a number"],
)
def test_an_unusual_element_has_no_line(element):
    assert event_line(element) is None


def test_metadata_that_somebody_broke_have_no_line():
    event = carry(make_event(source=SOURCE, metadata={"m": {}}))
    event.metadata["m"]["x"] = object()
    assert event_line(event) is None
