"""POST /collect: accepted events are stored, and rejected ones are listed in the response."""

from __future__ import annotations

import gzip
import json
import re
import threading

import attrs
import pytest

import holded_pipeline as hp
from holded_pipeline.api import Limits, Writing
from holded_pipeline.api.collecting import collect
from holded_pipeline.api.collecting.package_parsing import parse_package
from holded_pipeline.model import json_codec
from holded_pipeline.reading.envelopes import flat, holded

JSON = {"Content-Type": "application/json"}
LINES = {"Content-Type": "application/x-ndjson"}


def package(count, seed=1):
    return [sample.line for sample in hp.testing.sample_events(count, seed=seed)]


def test_the_pipeline_reads_what_a_package_stored(api, stored):
    samples = hp.testing.sample_events(5)
    answer = api().post("/collect", content=b"[" + b",".join(s.line for s in samples) + b"]", headers=JSON)
    assert answer.status_code == 202
    result = answer.json()
    assert result["counts"] == {"received": 5, "accepted": 5, "rejected": 0}
    assert [each["event_id"] for each in result["accepted"]] == [sample.event_id for sample in samples]
    events = [holded(json_codec.decode(line), hp.Source("b", "k", "e", 1)) for line in stored.lines()]
    assert [event.id for event in events] == [sample.event_id for sample in samples]
    assert {event.metadata["correlation_id"] for event in events} == {result["package_id"]}
    assert {event.metadata["collected_at"] for event in events} == {result["received_at"]}
    assert [event.data for event in events] == [sample.document["data"] for sample in samples]


def test_flat_objects_are_read_under_their_own_ids(api, stored):
    flat_object = {"event_id": "f-1", "event_type": "t", "company_id": "c", "timestamp": 1718031415926, "n": 1.10}
    for _ in range(2):
        assert api().post("/collect", json=flat_object).status_code == 202
    events = [flat(json_codec.decode(line), hp.Source("b", "k", "e", 1)) for line in stored.lines()]
    assert [(event.id, event.data) for event in events] == [("f-1", {"n": 1.10})] * 2


def test_one_event_is_a_package(api, stored):
    answer = api().post("/collect", content=b'{\n  "amount": 1.10\n}', headers=JSON)
    assert answer.json()["counts"]["accepted"] == 1
    assert stored.lines()[0].endswith(b'"event":{   "amount": 1.10 }}')


def test_lines_are_a_package(api, stored):
    answer = api().post("/collect", content=b'{"n":1}\n\n{"n":2}\r\n', headers=LINES)
    assert answer.json()["counts"]["accepted"] == 2
    assert [document["event"] for document in stored.documents()] == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize("headers", [JSON, LINES])
def test_a_gzip_body_is_decompressed(api, stored, headers):
    body = gzip.compress(b'{"n":1}')
    assert api().post("/collect", content=body, headers={**headers, "Content-Encoding": "gzip"}).status_code == 202
    assert stored.documents()[0]["event"] == {"n": 1}


def test_a_message_sent_twice_has_one_id(api):
    client = api()
    (line,) = package(1)
    ids = {client.post("/collect", content=line, headers=JSON).json()["accepted"][0]["event_id"] for _ in range(2)}
    assert len(ids) == 1


def test_events_without_a_message_id_get_ids_in_order_of_arrival(api):
    client = api()
    found = [client.post("/collect", json={"n": n}).json()["accepted"][0]["event_id"] for n in range(5)]
    assert found == sorted(set(found))
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", i) for i in found)


def test_object_keys_have_the_hour_and_sort_by_time(api, stored):
    client = api(writing=Writing(max_wait=0))
    received = [client.post("/collect", json={"n": n}).json()["received_at"] for n in range(3)]
    keys = stored.keys()
    for key, at in zip(keys, received, strict=True):
        assert re.fullmatch(rf"raw/date={at[:10]}/hour={at[11:13]}/[0-9a-f-]{{36}}\.jsonl", key)
    assert [json.loads(line)["event"]["n"] for line in stored.lines()] == [0, 1, 2]


def test_requests_that_arrive_together_make_few_objects(api, stored):
    client = api(writing=Writing(max_wait=0.5))
    threads = [threading.Thread(target=client.post, args=("/collect",), kwargs={"json": {"n": n}}) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stored.lines()) == 40
    assert len(stored.keys()) < 20


def test_a_broken_event_is_rejected_by_itself(api, stored):
    answer = api().post("/collect", content=b'[{"n":1},{"n":NaN},{"n":2}]', headers=JSON)
    assert answer.status_code == 202
    assert [each["index"] for each in answer.json()["accepted"]] == [0, 2]
    (rejected,) = answer.json()["rejected"]
    assert (rejected["index"], rejected["reason"]) == (1, "not_finite")
    assert [document["event"] for document in stored.documents()] == [{"n": 1}, {"n": 2}]


def test_a_package_without_an_accepted_event_is_answered_with_422(api, stored):
    answer = api().post("/collect", content=b'{"n":NaN}', headers=JSON)
    assert answer.status_code == 422
    assert answer.json()["counts"] == {"received": 1, "accepted": 0, "rejected": 1}
    assert stored.keys() == []


def test_an_empty_package_is_accepted(api, stored):
    assert api().post("/collect", content=b"[]", headers=JSON).status_code == 202
    assert stored.keys() == []


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "unsupported_media_type"),
        ({"Content-Type": "text/plain"}, "unsupported_media_type"),
        ({"Content-Type": "application/json; charset=latin-1"}, "unsupported_charset"),
        (JSON | {"Content-Encoding": "br"}, "unsupported_encoding"),
    ],
)
def test_bodies_of_other_media_types_are_rejected(api, nowhere, headers, code):
    answer = api(lake=nowhere).post("/collect", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, code)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("parameters", [";", "; charset=UTF-8", '; CharSet="utf-8"; version=1', "; version=1"])
def test_parameters_of_the_media_type_are_ignored(api, parameters):
    headers = {"Content-Type": f"Application/JSON{parameters}"}
    assert api().post("/collect", content=b"{}", headers=headers).status_code == 202


@pytest.mark.parametrize(
    ("body", "in_thread"),
    [
        (b"{}", False),
        (json.dumps([{"text": "x" * 500}] * 100).encode(), False),
        (b"x\n" * 10_000, True),
        (b"[" + b"x," * 9_999 + b"x]", True),
        (b'{"a":"' + b"x" * 100_000 + b'"}', True),
    ],
)
def test_only_small_bodies_are_parsed_on_the_event_loop(api, body, in_thread, monkeypatch):
    names = set()

    def watched(*arguments):
        names.add(threading.current_thread().name.partition("_")[0])
        return parse_package(*arguments)

    monkeypatch.setattr(collect, "parse_package", watched)
    layout = "x-ndjson" if body.startswith(b"x\n") else "json"
    api().post("/collect", content=body, headers={"Content-Type": f"application/{layout}"})
    assert ("holded-parse" in names) is in_thread


@pytest.mark.parametrize("body", [b"not gzip", gzip.compress(b'{"n":1}', mtime=0)[:-5]])
def test_a_broken_gzip_body_is_rejected(api, nowhere, body):
    answer = api(lake=nowhere).post("/collect", content=body, headers=JSON | {"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_gzip")


def in_chunks(body, size=1_000):
    for start in range(0, len(body), size):
        yield body[start : start + size]


@pytest.mark.parametrize("content", [lambda body: body, in_chunks], ids=["with a length", "chunked"])
def test_a_too_large_body_is_rejected(api, nowhere, content):
    body = b'{"n":"' + b"x" * 20_000 + b'"}'
    answer = api(lake=nowhere, limits=Limits(body_bytes=10_000)).post("/collect", content=content(body), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_a_gzip_bomb_is_rejected_during_decompression(api, nowhere):
    client = api(lake=nowhere, limits=Limits(inflated_bytes=1 << 20))
    bomb = gzip.compress(b'{"n":"' + b" " * (64 << 20) + b'"}')
    answer = client.post("/collect", content=bomb, headers=JSON | {"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (413, "inflated_too_large")
    assert client.app.state.service.memory.held == 0


def test_a_package_with_too_many_events_is_rejected(api, stored):
    answer = api(limits=Limits(events=2)).post("/collect", json=[{}, {}, {}])
    assert (answer.status_code, answer.json()["code"]) == (413, "too_many_events")
    assert stored.keys() == []


def test_bodies_beyond_the_memory_budget_are_answered_with_503(api):
    client = api(limits=Limits(memory_bytes=1_000))
    answer = client.post("/collect", content=b'{"n":"' + b"x" * 2_000 + b'"}', headers=JSON)
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "busy", "5")
    assert client.post("/collect", json={"n": 1}).status_code == 202


def test_a_missing_bucket_is_answered_with_503(api, lake):
    client = api(lake=attrs.evolve(lake, bucket="not-there"))
    answer = client.post("/collect", json={"n": 1})
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert client.get("/ready").status_code == 503
    assert client.get("/health").status_code == 200
    assert 'holded_api_store_errors_total{kind="refused"} 1.0' in client.get("/metrics").text


def test_another_method_of_collect_is_counted_by_its_route(api):
    client = api()
    answer = client.get("/collect")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    for path in ("/health", "/ready", "/metrics", "/docs", "/openapi.json"):
        answer = client.post(path)
        assert (path, answer.status_code, answer.headers["allow"]) == (path, 405, "GET, HEAD")
        assert client.get(f"{path}/", follow_redirects=False).status_code == 200
    assert 'holded_api_requests_total{method="GET",route="/collect",status="405"} 1.0' in client.get("/metrics").text
