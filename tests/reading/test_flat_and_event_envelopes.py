"""Flat objects, and what WriteMinIO stored, become events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.model import json_codec
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.identity import correlation_id_of
from holded_pipeline.model.values import Event, Source
from holded_pipeline.reading.envelopes import event_document, flat, stored_event

SOURCE = Source("lake", "raw/a.jsonl", "e1", 3)
FLAT = {
    "event_id": "order-17",
    "amount": 5,
    "event_type": "order.created",
    "company_id": 7,
    "timestamp": "2024-06-10T14:56:55Z",
    "items": [],
}
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=4)
SOURCES = st.builds(Source, TEXT, TEXT, TEXT, st.integers(1, 10**9), st.none() | st.integers(1, 10**9))
EVENTS = st.builds(
    Event,
    id=TEXT,
    type=TEXT,
    company_id=TEXT,
    user_id=st.none() | TEXT,
    occurred_at=st.builds(
        lambda number, zone: (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=number)).astimezone(zone),
        st.integers(-62 * 10**15, 253 * 10**15),
        st.sampled_from([UTC, timezone(timedelta(hours=-9, minutes=-30))]),
    ),
    data=OBJECTS,
    metadata=OBJECTS,
    source=st.none() | SOURCES,
)


def reason_and_violations(envelope, document) -> tuple[str, set[tuple[str, str]]]:
    with pytest.raises(RejectRecord) as caught:
        envelope(document, SOURCE)
    return caught.value.reason, {(violation.pointer, violation.keyword) for violation in caught.value.violations}


def test_a_flat_object_is_an_event_and_the_rest_of_it_its_data():
    event = flat(FLAT, SOURCE)
    assert (event.id, event.type, event.company_id, event.user_id) == ("order-17", "order.created", "7", None)
    assert event.occurred_at == datetime(2024, 6, 10, 14, 56, 55, tzinfo=UTC)
    assert event.data == {"amount": 5, "items": []}
    assert event.metadata == {"correlation_id": correlation_id_of(SOURCE)}
    assert event.source == SOURCE


def test_a_flat_object_may_have_a_user_a_package_and_a_time_of_collection():
    more = {"user_id": 9, "correlation_id": "p1", "received_at": 1718031415926}
    event = flat({**FLAT, **more}, SOURCE)
    assert event.user_id == "9"
    assert event.metadata == {"correlation_id": "p1", "collected_at": "2024-06-10T14:56:55.926000+00:00"}
    assert event.data == {"amount": 5, "items": []}


def test_a_flat_object_is_read_as_the_api_stored_it():
    own = {**FLAT, "correlation_id": "theirs", "event": {"kind": "data"}}
    around = {"event_id": "ours", "correlation_id": "p1", "received_at": "2024-06-10T14:56:55.926Z"}
    event = flat({**around, "event": own}, SOURCE)
    assert (event.id, event.type, event.company_id) == ("order-17", "order.created", "7")
    assert event.data == {"amount": 5, "items": [], "correlation_id": "theirs", "event": {"kind": "data"}}
    assert event.metadata == {"correlation_id": "p1", "collected_at": "2024-06-10T14:56:55.926000+00:00"}
    del own["event_id"]
    assert flat({**around, "event": own}, SOURCE).id == "ours"
    assert reason_and_violations(flat, {**around, "event": {}})[1] >= {("/event/event_type", "required")}


@given(OBJECTS)
def test_the_data_of_a_flat_object_keep_their_order(data):
    own = {name: value for name, value in FLAT.items() if name not in ("amount", "items")}
    rest = {f"x-{name}": value for name, value in data.items()}
    assert list(flat({**rest, **own}, SOURCE).data.items()) == list(rest.items())


def test_everything_missing_in_a_flat_object_is_reported_at_once():
    names = ("event_id", "event_type", "company_id", "timestamp")
    assert reason_and_violations(flat, {}) == ("missing_field", {(f"/{name}", "required") for name in names})


def test_everything_wrong_in_a_flat_object_is_reported_at_once():
    wrong = {"event_id": "x" * 256, "event_type": "", "company_id": 1.5, "timestamp": "never", "user_id": []}
    assert reason_and_violations(flat, wrong) == (
        "invalid_field",
        {
            ("/event_id", "maxLength"),
            ("/event_type", "minLength"),
            ("/company_id", "type"),
            ("/timestamp", "format"),
            ("/user_id", "type"),
        },
    )


def test_the_longest_id_is_accepted():
    assert flat({**FLAT, "event_id": "x" * 255}, SOURCE).id == "x" * 255


@given(EVENTS)
def test_what_was_stored_is_read_back_as_it_was(event):
    assert stored_event(event_document(event), SOURCE) == event


@given(EVENTS)
def test_what_was_stored_is_read_back_from_its_bytes(event):
    line = json_codec.encode(event_document(event))
    assert event_document(stored_event(json_codec.decode_own(line), SOURCE)) == json_codec.decode_own(line)


STORED = event_document(flat(FLAT, SOURCE))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"id": None}, ("/id", "required")),
        ({"type": 5}, ("/type", "type")),
        ({"company_id": []}, ("/company_id", "type")),
        ({"user_id": 5}, ("/user_id", "type")),
        ({"occurred_at": "then"}, ("/occurred_at", "format")),
        ({"data": None}, ("/data", "required")),
        ({"data": []}, ("/data", "type")),
        ({"metadata": "m"}, ("/metadata", "type")),
        ({"source": "s"}, ("/source", "type")),
        ({"source": {"bucket": "b"}}, ("/source", "type")),
        ({"source": {"bucket": "b", "key": "k", "etag": "e", "line": "1"}}, ("/source", "type")),
        ({"source": {"bucket": "b", "key": "k", "etag": "e", "line": 1, "more": 1}}, ("/source", "type")),
        ({"a/b": 1}, ("/a~1b", "additionalProperties")),
    ],
)
def test_a_document_that_is_not_a_stored_event_is_rejected(change, fault):
    reason, found = reason_and_violations(stored_event, {**STORED, **change})
    assert found == {fault}
    assert reason == ("missing_field" if fault[1] == "required" else "invalid_field")


def test_a_stored_event_without_a_source_has_none():
    assert stored_event({**STORED, "source": None}, SOURCE).source is None
