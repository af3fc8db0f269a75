"""No field of an event or a rejection is lost on any way it takes; a field that is added is noticed here."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib import resources

import attrs
import jsonschema
import pytest

from holded_pipeline.enriching.drafts import Draft
from holded_pipeline.model.json_codec import decode, decode_own, encode
from holded_pipeline.model.values import Event, Rejected, SchemaRef, Source, Violation
from holded_pipeline.reading.envelopes import event_document
from holded_pipeline.reading.envelopes import stored_event as event_envelope
from holded_pipeline.rejected import rejections
from holded_pipeline.transforms.beam import wire

NOON = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
SOURCE = Source(bucket="lake", key="raw/a.jsonl", etag="e1", line=3, item=2)
VIOLATION = Violation(pointer="/amount", keyword="type", message="not a number")
SCHEMA = SchemaRef(subject="s", version=4, id=7)
EVENT = {
    "id": "e1",
    "type": "t",
    "company_id": "c1",
    "occurred_at": NOON,
    "data": {"amount": 1},
    "user_id": "u1",
    "metadata": {"correlation_id": "k"},
    "source": SOURCE,
    "raw": b"\xff{}",
    "attempts": 2,
    "replay_of": "r0",
}
REJECTED = {
    "id": "0" * 32,
    "stage": "validate",
    "reason": "schema_violation",
    "message": "m",
    "raw": b"\xff{}",
    "rejected_at": NOON,
    "run_id": "run",
    "source": SOURCE,
    "violations": (VIOLATION,),
    "schema": SCHEMA,
    "event_id": "e1",
    "event_type": "t",
    "attempts": 3,
    "replay_of": "1" * 32,
    "payload_kind": "part",
}
VALUES = {kind: attrs.asdict(value, recurse=False) for value in (SOURCE, VIOLATION, SCHEMA) for kind in [type(value)]}
SAMPLES = {Event: EVENT, Rejected: REJECTED, **VALUES}
NOT_IN_DOCUMENT = {"raw", "attempts", "replay_of"}
"""The fields of an event that say how it was read, not what it is: what `WriteMinIO` stores is without them."""


def default_of(field):
    return field.default.factory() if isinstance(field.default, attrs.Factory) else field.default


def lost(before, after):
    """The fields that differ, with both values."""
    pairs = {field.name: (getattr(before, field.name), getattr(after, field.name)) for field in attrs.fields(Event)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


@pytest.mark.parametrize("kind", SAMPLES, ids=lambda kind: kind.__name__)
def test_every_field_has_a_sample_other_than_its_default(kind):
    fields = attrs.fields(kind)
    assert SAMPLES[kind].keys() == {field.name for field in fields}, "give each field a sample in this file"
    assert [field.name for field in fields if SAMPLES[kind][field.name] == default_of(field)] == []


def test_an_event_keeps_every_field_over_a_shuffle():
    event = Event(**EVENT)
    assert lost(event, wire.event_from_bytes(wire.event_to_bytes(event))) == {}


def test_enrichers_see_every_field_of_an_event():
    event = Event(**EVENT)
    assert lost(event, Draft(event).view) == {}


def test_an_enriched_event_keeps_every_field():
    event = Event(**EVENT)
    draft = Draft(event)
    draft.add("size", "1", {"n": 1})
    enriched = draft.event()
    assert lost(event, enriched).keys() == {"metadata"}
    assert event.metadata.items() < enriched.metadata.items()


def test_a_stored_event_is_read_back_with_every_field_but_those_of_its_reading():
    event = Event(**EVENT)
    document = decode(encode(event_document(event)))
    assert document.keys() == EVENT.keys() - NOT_IN_DOCUMENT
    assert lost(event, event_envelope(document, SOURCE)).keys() == NOT_IN_DOCUMENT


@pytest.mark.parametrize("raw", [b"\xff{}", b"{}"], ids=["base64", "text"])
def test_a_rejection_keeps_every_field_in_its_json_form(raw):
    rejected = Rejected(**REJECTED | {"raw": raw})
    document = decode_own(encode(rejections.to_document(rejected)))
    assert attrs.asdict(rejections.from_document(document), recurse=False) == REJECTED | {"raw": raw}
    assert decode_own(b"".join(rejections.to_line(rejected))) == document


def test_a_rejection_with_every_field_fits_the_schema_that_ships():
    schema = json.loads(resources.files("holded_pipeline.rejected").joinpath("rejected.schema.json").read_text())
    jsonschema.validate(json.loads(encode(rejections.to_document(Rejected(**REJECTED)))), schema)


def test_a_rejection_keeps_every_field_over_a_shuffle():
    rejected = Rejected(**REJECTED)
    assert attrs.asdict(wire.rejected_from_bytes(wire.rejected_to_bytes(rejected)), recurse=False) == REJECTED
