"""User envelopes: whatever they do rejects one record, or fails the run with their name."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import attrs
import pytest

import holded_pipeline as hp
from holded_pipeline.model import json_codec
from holded_pipeline.model.carried_text import (
    ReadObject,
    carried_bytes,
    data_text,
    is_proved_json,
    metadata_text,
    source_text,
)
from holded_pipeline.reading.framed_records import Record
from holded_pipeline.reading.records import RecordReader
from holded_pipeline.rejected.rejections import reject, to_line

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOURCE = hp.Source("b", "k", "e", 1)


class Mine(dict):
    """A dict of a user's."""


def read(envelope):
    reader = RecordReader(envelope, max_record_bytes=1_000, max_depth=10)
    return reader.read(Record(b"{}", 1), SOURCE)


def raising(error):
    def mine(document, source):
        raise error

    return mine


class MessagelessError(Exception):
    def __str__(self):
        raise RuntimeError("no message")


class UninitialisedError(hp.RejectRecord):
    def __init__(self):
        pass  # without super().__init__


@pytest.mark.parametrize(
    "error",
    [
        SystemExit(3), GeneratorExit(), StopIteration(), asyncio.CancelledError(), RecursionError(), MemoryError(),
        MessagelessError(), UninitialisedError(), hp.RejectRecord(None, None), hp.RejectRecord("Not a code", "x"),
        KeyError("id"),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_what_it_raises_rejects_the_record_and_names_it(error):
    with pytest.raises(hp.RejectRecord, match=r"the envelope .*mine") as caught:
        read(raising(error))
    assert caught.value.reason == "envelope_error"


def test_its_own_rejection_is_kept_and_can_be_written_whatever_is_in_it():
    with pytest.raises(hp.RejectRecord, match=r"half a pair: .*rejected by the envelope .*mine") as caught:
        read(raising(hp.RejectRecord("too_odd", "half a pair: \ud800", [hp.Violation("/a", "odd", "\0")])))
    assert (caught.value.reason, len(caught.value.violations)) == ("too_odd", 1)
    rejected = reject(caught.value, stage="read", raw=b"{}", run_id="r", rejected_at=NOON, source=SOURCE)
    assert b"too_odd" in b"".join(to_line(rejected))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionRefusedError("away"), hp.TransientError),
        (TimeoutError("slow"), hp.TransientError),
        (FileNotFoundError("codes.json"), hp.ConfigurationError),
        (hp.TransientError("away"), hp.TransientError),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_outage_or_a_missing_file_fails_the_run_and_names_it(error, kind):
    with pytest.raises(kind, match=r"the envelope .*mine"):
        read(raising(error))


def test_ctrl_c_is_not_caught():
    with pytest.raises(KeyboardInterrupt):
        read(raising(KeyboardInterrupt()))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": ""}, "id is empty"),
        ({"id": "a\0b"}, "id is not JSON"),
        ({"company_id": "\ud800"}, "company_id is not JSON"),
        ({"source": "x"}, "source is str"),
        ({"attempts": "x"}, "attempts or replay_of is set"),
        ({"replay_of": 5}, "attempts or replay_of is set"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_an_event_that_cannot_be_encoded_is_rejected(changes, words):
    def mine(document, source):
        return hp.Event(**({"id": "1", "type": "t", "company_id": "c", "occurred_at": NOON, "data": {}} | changes))

    with pytest.raises(hp.RejectRecord, match=words):
        read(mine)


def make(data, metadata=None, **fields):
    return hp.Event(id="e", type="t", company_id="c", occurred_at=NOON, data=data, metadata=metadata or {}, **fields)


def test_what_it_changes_after_it_returned_does_not_reach_the_event():
    shared = {"lines": [1], "name": "x"}
    context = {"labels": {"a": 1}}
    event = read(lambda document, source: make(shared, context))
    shared["lines"].append(2)
    shared["name"] = "y"
    context["labels"]["a"] = 2
    assert (event.data, event.metadata) == ({"lines": [1], "name": "x"}, {"labels": {"a": 1}})
    assert (data_text(event), metadata_text(event)) == (b'{"lines":[1],"name":"x"}', b'{"labels":{"a":1}}')
    assert (event.raw, event.source) == (b"{}", SOURCE)


@pytest.mark.parametrize(
    "value", [Decimal("1.10"), Decimal("1.5"), (1, 2), Mine({"a": 1}), [Mine()], 1.0, True, "ü"], ids=repr
)
def test_a_value_keeps_its_type(value):
    event = read(lambda document, source: make({"v": value}, {"m": value}))
    assert (event.data["v"], event.metadata["m"]) == (value, value)
    kept = type(event.data["v"]), type(event.metadata["m"])
    assert kept in ((type(value),) * 2, (dict, dict), (list, list))


def test_an_event_of_it_is_as_one_of_the_library():
    read_object = ReadObject("b", "k", "e")
    reader = RecordReader(lambda document, source: make(document, source=source), max_record_bytes=1_000, max_depth=10)
    event = reader.read(Record(b'{"a": 1}', 1), SOURCE, read_object)
    assert is_proved_json(event)
    assert event.source == SOURCE
    assert source_text(event) == b'{"bucket":"b","key":"k","etag":"e","line":1,"item":null}'
    assert carried_bytes(event) >= len(b'{"a": 1}')


def test_a_source_of_its_own_stays():
    other = hp.Source("x", "y", "z", 9)
    reader = RecordReader(lambda document, source: make(document, source=other), max_record_bytes=1_000, max_depth=10)
    event = reader.read(Record(b"{}", 1), SOURCE, ReadObject("b", "k", "e"))
    assert event.source == other
    assert b'"key":"y"' in source_text(event)


@pytest.mark.parametrize(
    "value", [float("nan"), {1: 2}, "\0", "\ud800", object(), {1, 2}, b"x"], ids=lambda value: type(value).__name__
)
@pytest.mark.parametrize("field", ["data", "metadata"])
def test_what_is_no_json_is_rejected_and_says_where(value, field):
    with pytest.raises(hp.RejectRecord, match=rf"an Event whose {field} is not JSON") as caught:
        read(lambda document, source: make(**{"data": {}, field: {"v": value}}))
    assert caught.value.reason == "envelope_error"


@pytest.mark.parametrize("field", ["id", "type", "company_id", "user_id"])
def test_a_key_that_cannot_be_stored_is_rejected(field):
    with pytest.raises(hp.RejectRecord, match=rf"an Event whose {field} is not JSON"):
        read(lambda document, source: attrs.evolve(make({}), **{field: "a\0b"}))


@pytest.mark.parametrize("value", [10**5_000, [1e300] * 10_000], ids=["long", "many"])
def test_numbers_of_it_that_grow_too_much_are_rejected(monkeypatch, value):
    monkeypatch.setattr(json_codec, "MAX_STORED_GROWTH", 1 << 20)
    with pytest.raises(hp.RejectRecord, match="an Event whose data is not JSON"):
        read(lambda document, source: make({"v": value}))
