"""Messages of one package with one id: the same event is stored once, another content is a dead letter."""

from __future__ import annotations

import json

import pytest

import holded_pipeline as hp
from holded_pipeline.model import json_codec
from holded_pipeline.reading.envelopes import holded
from holded_pipeline.reading.holded_envelope import MESSAGE_ID, TIMESTAMP
from holded_pipeline.rejected.rejections import from_document

JSON = {"Content-Type": "application/json"}


def message(message_id="one", **data):
    (sample,) = hp.testing.sample_events(1, seed=3)
    headers = sample.document["headers"] | {MESSAGE_ID: {"id": message_id}}
    return {"data": sample.document["data"] | data, "headers": headers}


def send(client, *documents):
    answer = client.post("/collect", json=list(documents))
    result = answer.json()
    return answer.status_code, [each["index"] for each in result["accepted"]], result


def test_another_content_is_rejected_and_both_are_found(api, stored):
    _, accepted, result = send(api(), message(n=1), message("two"), message(n=2, m="x" * 500), message(n=3))
    assert accepted == [0, 1]
    assert [(each["index"], each["reason"]) for each in result["rejected"]] == [(2, "id_conflict"), (3, "id_conflict")]
    first = result["rejected"][0]
    assert "event 2 has the message id of event 0" in first["message"]
    assert [each["pointer"] for each in first["violations"]] == ["/data/m", "/data/n"]
    assert first["violations"][1]["message"] == "2 here, 1 in event 0"
    assert len(first["message"]) < 500
    kept = [from_document(document) for document in stored.documents("rejected/")]
    assert [(each.stage, each.reason, each.event_id) for each in kept] == [
        ("collect", "id_conflict", each["event_id"]) for each in result["rejected"]
    ]
    contents = [json_codec.decode(line) for line in [*stored.lines(), *(each.raw for each in kept)]]
    events = [holded(each, hp.Source("b", "k", "e", 1)) for each in contents]
    assert [event.data.get("n") for event in events if event.id == first["event_id"]] == [1, 2, 3]


def test_the_same_event_is_stored_once_and_accepted_each_time(api, stored):
    client = api()
    first = json.dumps(message(n=1.50))
    spelt_otherwise = json.dumps(dict(reversed(message(n=1.5).items())), indent=1).replace("1.5", "15e-1")
    answer = client.post("/collect", content=f"[{first},{first},{spelt_otherwise}]", headers=JSON)
    result = answer.json()
    assert (answer.status_code, result["counts"]) == (202, {"received": 3, "accepted": 3, "rejected": 0})
    assert len({each["event_id"] for each in result["accepted"]}) == 1
    assert result["duplicates"] == [{"index": 1, "duplicate_of": 0}, {"index": 2, "duplicate_of": 0}]
    assert len(stored.lines()) == 1
    assert client.get(f"/events/{result['accepted'][2]['event_id']}").status_code == 200
    assert 'outcome="duplicate"} 2.0' in client.get("/metrics").text


@pytest.mark.parametrize("changed", [{"true": True}, {"true": "1"}, {"true": [1]}, {"true": None}, {}])
def test_contents_are_compared_by_json_value(api, changed):
    _, accepted, _ = send(api(), message(true=1), message(**changed))
    assert accepted == [0]


def test_a_message_that_differs_only_outside_its_content_is_stored_too(api, stored):
    again = message()
    again["headers"]["X-Message-Stamp-Redelivery"] = {"retryCount": 1}
    _, accepted, result = send(api(), message(), again)
    assert (accepted, result["duplicates"], len(stored.lines())) == ([0, 1], [], 2)


def test_the_time_is_a_part_of_the_content(api):
    later = message()
    later["headers"][TIMESTAMP] = "2026-01-01T00:00:00Z"
    _, _, result = send(api(), message(), later)
    assert [each["pointer"] for each in result["rejected"][0]["violations"]] == ["/occurred_at"]


def test_messages_that_fit_no_envelope_are_compared_whole(api):
    headers = {MESSAGE_ID: "one"}
    _, accepted, result = send(api(), {"headers": headers}, {"headers": headers, "n": 1}, {"headers": headers})
    assert (accepted, result["duplicates"]) == ([0, 2], [{"index": 2, "duplicate_of": 0}])
    assert [each["pointer"] for each in result["rejected"][0]["violations"]] == ["/n"]


def test_an_event_that_breaks_its_schema_takes_no_id(api, stored):
    schema = {"type": "object", "properties": {"n": {"minimum": 1}}}
    client = api(schemas={"any": schema}, subject="any")
    _, accepted, result = send(client, message(n=0), message(n=1), message(n=2))
    assert accepted == [1]
    assert [each["reason"] for each in result["rejected"]] == ["schema_violation", "id_conflict"]
    assert len(stored.documents("rejected/")) == 2


def test_an_integer_and_its_text_are_one_message_id(api):
    _, accepted, result = send(api(), message(1), message("1"), message("01"), message("1", n=2))
    assert accepted == [0, 1, 2]
    ids = [each["event_id"] for each in result["accepted"]]
    assert ids[0] == ids[1] != ids[2]
    assert [each["reason"] for each in result["rejected"]] == ["id_conflict"]
