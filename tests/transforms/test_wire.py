"""Events and rejections come back equal from a shuffle and from their JSON form."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from importlib import resources
from typing import get_args
from unittest import mock

import apache_beam as beam
import jsonschema
import pytest
from apache_beam import coders
from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.json_codec import decode_own, encode
from holded_pipeline.model.values import Event, PayloadKind, Rejected, SchemaRef, Source, Violation
from holded_pipeline.rejected import rejections
from holded_pipeline.transforms.beam import wire
from holded_pipeline.transforms.beam.coders import EventCoder, RejectedCoder

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(TEXT, JSON_VALUES, max_size=4)
TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
SOURCES = st.builds(Source, TEXT, TEXT, TEXT, st.integers(1), st.none() | st.integers(1))
EVENTS = st.builds(
    Event,
    id=TEXT,
    type=TEXT,
    company_id=TEXT,
    occurred_at=TIMES,
    data=OBJECTS,
    user_id=st.none() | TEXT,
    metadata=OBJECTS,
    source=st.none() | SOURCES,
    raw=st.binary(max_size=50),
    attempts=st.integers(1, 9),
    replay_of=st.none() | TEXT,
)
REJECTED = st.builds(
    Rejected,
    id=st.text("0123456789abcdef", min_size=32, max_size=32),
    stage=st.sampled_from(["read", "validate", "enrich", "write"]),
    reason=st.just("because"),
    message=TEXT,
    raw=st.binary(max_size=80) | TEXT.map(str.encode),
    rejected_at=TIMES,
    run_id=st.just("run"),
    source=st.none() | SOURCES,
    violations=st.lists(st.builds(Violation, TEXT, TEXT, TEXT), max_size=3).map(tuple),
    schema=st.none() | st.builds(SchemaRef, TEXT, st.none() | st.integers(1), st.none() | st.integers(1)),
    event_id=st.none() | TEXT,
    event_type=st.none() | TEXT,
    attempts=st.integers(1, 9),
    replay_of=st.none() | TEXT,
    payload_kind=st.sampled_from(get_args(PayloadKind)),
)
SCHEMA = json.loads(resources.files("holded_pipeline.rejected").joinpath("rejected.schema.json").read_text())


@given(EVENTS)
def test_an_event_comes_back_from_its_bytes(event):
    assert wire.event_from_bytes(wire.event_to_bytes(event)) == event


@given(REJECTED)
def test_a_rejection_comes_back_from_its_bytes(rejected):
    assert wire.rejected_from_bytes(wire.rejected_to_bytes(rejected)) == rejected


@given(REJECTED)
def test_a_rejection_comes_back_from_its_json_form_to_the_byte(rejected):
    line = encode(rejections.to_document(rejected))
    assert b"\n" not in line
    assert rejections.from_document(decode_own(line)) == rejected


@given(REJECTED, st.sampled_from([3, 6, 30]))
def test_a_line_in_chunks_equals_the_line_in_one(rejected, piece):
    with mock.patch.object(rejections, "_CHUNK_BYTES", piece):
        line = b"".join(rejections.to_line(rejected))
    assert line == encode(rejections.to_document(rejected))


@given(REJECTED)
def test_the_json_form_fits_the_schema_that_ships(rejected):
    jsonschema.validate(json.loads(encode(rejections.to_document(rejected))), SCHEMA)


def test_data_without_a_json_form_raise_rather_than_change():
    event = Event(id="1", type="t", company_id="c", occurred_at=datetime.now(UTC), data={"when": datetime.now(UTC)})
    with pytest.raises(TypeError, match="datetime at /data/when"):
        wire.event_to_bytes(event)


def test_events_and_rejections_have_registered_coders():
    assert isinstance(coders.registry.get_coder(Event), EventCoder)
    assert isinstance(coders.registry.get_coder(Rejected), RejectedCoder)


def test_events_keep_their_coder_through_a_shuffle():
    event = Event(id="1", type="t", company_id="c", occurred_at=datetime(2026, 1, 1, tzinfo=UTC), data={"n": 10**30})
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        shuffled = pipeline | beam.Create([event]).with_output_types(Event) | beam.Reshuffle()
        assert shuffled.element_type is Event
        shuffled | beam.Map(lambda e: e.data["n"]) | beam.Map(_equals(10**30))


def _equals(expected):
    def check(value):
        if value != expected:
            raise AssertionError(value)

    return check


def test_time_is_kept_in_utc_and_must_be_aware():
    there = timezone(timedelta(hours=2))
    event = Event(id="1", type="t", company_id="c", occurred_at=datetime(2026, 1, 1, 2, tzinfo=there), data={})
    assert event.occurred_at.isoformat() == "2026-01-01T00:00:00+00:00"
    with pytest.raises(ValueError, match="time zone"):
        Event(id="1", type="t", company_id="c", occurred_at=datetime(2026, 1, 1), data={})  # noqa: DTZ001


def test_a_reject_record_can_be_pickled():
    fault = RejectRecord("why", "what", [Violation("/a", "type", "no")])
    again = pickle.loads(pickle.dumps(fault))
    assert (again.reason, again.message, again.violations) == (fault.reason, fault.message, fault.violations)


def test_no_repr_contains_the_raw_bytes():
    event = Event(id="1", type="t", company_id="c", occurred_at=datetime.now(UTC), data={}, raw=b"SECRET")
    assert "SECRET" not in repr(event)
