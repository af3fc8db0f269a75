"""A stored event names the API key that sent it, and no producer can name another one."""

from __future__ import annotations

import json

import apache_beam as beam
import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_contents import objects_below
from table_contents import rows_of

import holded_pipeline as hp
from holded_pipeline.api import ApiKey
from holded_pipeline.api.collecting.package_parsing import Message, stored_line
from holded_pipeline.model.carried_text import ReadObject
from holded_pipeline.model.identity import PackageIds
from holded_pipeline.reading.common_message import read_common_message
from holded_pipeline.reading.envelopes import flat, holded

SHOP, CRM = "a-key-of-24-characters-1", "a-key-of-24-characters-2"
KEYS = {"shop": ApiKey(SHOP, scopes=["collect", "read"]), "crm": CRM}
SOURCE = hp.Source("b", "k", "e", 1)
SENT = json.loads(hp.testing.sample_events(1, seed=5)[0].line)
FLAT = {"event_id": "f-1", "event_type": "order.created", "company_id": "7", "timestamp": 1718031415926}
NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12) | st.sampled_from(
    ['a"b', "a:b\\"]
)
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5) | st.integers()


def line_of(document, sender):
    raw = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    ids = {"event_id": "e", "correlation_id": "c", "received_at": "2026-11-24T09:15:00.125000+00:00"}
    return stored_line(Message(0, raw, document, "e"), **ids, sender=sender).removesuffix(b"\n")


def quick(line):
    place = ReadObject("b", "k", "e")
    return read_common_message(line, (place, 1, None), PackageIds("b", "k", "e"), max_depth=100)


@given(NAMES, st.dictionaries(st.sampled_from(["sender", "a:b", "n"]), VALUES))
def test_a_stored_line_says_its_sender_and_is_read_the_quick_way(sender, data):
    document = {**SENT, "data": data}
    line = line_of(document, sender)
    assert json.loads(line)["event"] == document
    event, careful = quick(line), holded(json.loads(line), SOURCE)
    assert event.metadata == careful.metadata
    assert event.metadata["sender"] == sender
    assert event.data == careful.data == data


@pytest.mark.parametrize("forged", [{"sender": "crm"}, {"sender": {"name": "crm"}}])
def test_a_sender_within_the_event_is_what_the_producer_sent(forged):
    event = holded(json.loads(line_of({**SENT, **forged}, "shop")), SOURCE)
    assert event.metadata["sender"] == "shop"
    assert event.metadata["envelope"]["event"] == forged
    assert "sender" not in holded({**SENT, **forged}, SOURCE).metadata  # a record that the API did not store
    read = flat(json.loads(line_of({**FLAT, **forged}, "shop")), SOURCE)
    assert (read.metadata["sender"], read.data) == ("shop", forged)
    assert "sender" not in flat({**FLAT, **forged}, SOURCE).metadata


def test_a_line_without_a_sender_is_read_as_before():
    document = json.loads(line_of(SENT, "shop"))
    del document["sender"]
    line = json.dumps(document, separators=(",", ":")).encode()
    assert quick(line).metadata == holded(document, SOURCE).metadata
    assert "sender" not in quick(line).metadata


def test_what_two_keys_send_is_one_event_and_no_conflict(api, lake, db):
    client = api(lake=lake, keys=KEYS)
    for key in (SHOP, CRM):
        [accepted] = client.post("/collect", json=SENT, headers={"X-API-Key": key}).json()["accepted"]
    recent = client.get(f"/events/{accepted['event_id']}", headers={"X-API-Key": SHOP}).json()
    assert recent["sender"] == "shop"
    listed = client.get("/events", headers={"X-API-Key": SHOP}).json()["events"]
    assert [each["sender"] for each in listed] == ["shop", "crm"]
    with beam.Pipeline(runner="FnApiRunner") as p:
        raw = p | hp.ReadMinIO(lake, "raw/")
        loaded = raw.passed | hp.WritePostgres(db)
        _ = (raw.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
    ((sender,),) = rows_of(db, "SELECT metadata->>'sender' FROM business_events")
    assert sender in {"shop", "crm"}
    assert objects_below(lake, "rejected/") == {}  # no id_conflict
