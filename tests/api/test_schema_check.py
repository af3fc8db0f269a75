"""The optional schema check on collect."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

import apache_beam as beam
import jsonschema_rs
import pytest
from apache_beam.testing.util import assert_that, equal_to

import holded_pipeline as hp
from holded_pipeline.api import Writing
from holded_pipeline.api.collecting import package_cost
from holded_pipeline.local.ports import free_ports
from holded_pipeline.model import json_codec
from holded_pipeline.reading.envelopes import holded
from holded_pipeline.rejected.rejections import from_document
from holded_pipeline.schemas import check_cost

SCHEMAS = hp.SchemaDirectory(Path(__file__).parent.parent.parent / "examples" / "schemas")
LINES = {"Content-Type": "application/x-ndjson"}


def one_bad():
    """Three messages of which the middle one breaks its schema."""
    (bad,) = hp.testing.sample_events(1, seed=5, faults=1.0, kinds=["several_at_once"])
    first, last = hp.testing.sample_events(2, seed=6)
    return first, bad, last


def test_an_event_that_breaks_its_schema_is_rejected_with_every_violation(api, stored):
    samples = one_bad()
    answer = api(schemas=SCHEMAS).post("/collect", content=hp.testing.sample_lines(samples), headers=LINES)
    assert answer.status_code == 202
    assert [each["index"] for each in answer.json()["accepted"]] == [0, 2]
    (rejected,) = answer.json()["rejected"]
    assert (rejected["index"], rejected["reason"]) == (1, "schema_violation")
    assert {violation["pointer"] for violation in rejected["violations"]} == {"/status", "/version"}
    assert stored.ids() == {samples[0].event_id, samples[2].event_id}


def test_a_rejected_event_is_a_dead_letter_like_those_of_the_pipeline(api, stored):
    _, bad, _ = one_bad()
    result = api(schemas=SCHEMAS).post("/collect", content=bad.line, headers=LINES).json()
    (line,) = stored.lines("rejected/")
    assert stored.keys("rejected/")[0].startswith(f"rejected/stage=collect/date={result['received_at'][:10]}/")
    rejected = from_document(json_codec.decode(line))
    assert (rejected.stage, rejected.reason) == ("collect", "schema_violation")
    assert rejected.schema is not None
    assert rejected.event_id == result["rejected"][0]["event_id"]
    event = holded(json_codec.decode(rejected.raw), hp.Source("b", "k", "e", 1))  # so it can be sent again
    assert event.id == rejected.event_id
    assert event.metadata["correlation_id"] == result["package_id"]
    assert event.metadata["sender"] == "loopback"
    assert bad.line in rejected.raw


def test_a_rejected_event_is_replayed_under_the_event_id_in_the_response(api, stored, lake):
    _, bad, _ = one_bad()
    nameless = json_codec.decode(bad.line)
    headers = nameless["headers"]
    del headers[next(name for name in headers if name.endswith("MessageIdStamp"))]  # so the API makes its id
    result = api(schemas=SCHEMAS).post("/collect", json=[nameless, json_codec.decode(bad.line)]).json()
    schema = resources.files("holded_pipeline.rejected").joinpath("rejected.schema.json").read_text()
    validator = jsonschema_rs.validator_for(json.loads(schema), validate_formats=True)
    assert all(validator.is_valid(each) for each in stored.documents("rejected/"))
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        back = pipeline | hp.ReadRejected(lake, "rejected/", stage="collect")
        found = back.passed | beam.Map(lambda event: (event.id, event.metadata["correlation_id"]))
        assert_that(found, equal_to([(each["event_id"], result["package_id"]) for each in result["rejected"]]))


def test_an_event_that_fits_no_envelope_is_rejected(api, stored):
    answer = api(schemas=SCHEMAS).post("/collect", json={"data": {}})
    assert answer.status_code == 422
    assert answer.json()["rejected"][0]["reason"] == "missing_field"
    assert json.loads(stored.lines("rejected/")[0])["reason"] == "missing_field"


def test_without_schemas_no_event_is_rejected(api, stored):
    _, bad, _ = one_bad()
    assert api().post("/collect", content=bad.line, headers=LINES).status_code == 202
    assert stored.keys("rejected/") == []


def test_a_registry_outage_rejects_nothing(api, stored):
    registry = hp.SchemaRegistry(f"http://127.0.0.1:{free_ports(1)[0]}")
    client = api(schemas=registry, subject="s", writing=Writing(store_seconds=0.5))
    answer = client.post("/collect", content=one_bad()[0].line, headers=LINES)
    assert (answer.status_code, answer.json()["code"]) == (503, "schemas_unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert stored.keys() == []
    assert stored.keys("rejected/") == []


def test_an_invalid_schema_rejects_nothing(api, stored):
    client = api(schemas={"s": {"type": "no such type"}}, subject="s")
    answer = client.post("/collect", content=one_bad()[0].line, headers=LINES)
    assert (answer.status_code, answer.json()["code"]) == (503, "schemas_unusable")
    assert stored.keys("rejected/") == []


def failing_subject(error):
    """A subject function that raises for the first of `one_bad()` alone."""
    first = one_bad()[0].event_id

    def subject(event):
        if event.id == first:
            raise error
        return event.type

    return subject


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("oh"), RuntimeError("oh"), RecursionError("oh"), OSError(75, "oh")], ids=repr
)
def test_an_error_of_the_subject_function_rejects_that_event_alone(api, stored, error):
    samples = one_bad()
    client = api(schemas=SCHEMAS, subject=failing_subject(error))
    answer = client.post("/collect", content=hp.testing.sample_lines(samples), headers=LINES)
    assert answer.status_code == 202
    assert [each["index"] for each in answer.json()["accepted"]] == [2]
    subject_error = answer.json()["rejected"][0]
    assert (subject_error["index"], subject_error["reason"]) == (0, "subject_error")
    assert (
        "the subject function failing_subject.<locals>.subject could not determine the subject"
        in subject_error["message"]
    )
    assert {each["reason"] for each in stored.documents("rejected/")} == {"subject_error", "schema_violation"}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConnectionRefusedError("gone"), "schemas_unavailable"),
        (FileNotFoundError("map.csv"), "schemas_unusable"),
        (hp.EnricherError("odd"), "schemas_unusable"),
    ],
    ids=["outage", "file", "ours"],
)
def test_an_error_that_the_event_did_not_cause_rejects_nothing(api, stored, error, code):
    client = api(schemas=SCHEMAS, subject=failing_subject(error))
    answer = client.post("/collect", content=one_bad()[0].line, headers=LINES)
    assert (answer.status_code, answer.json()["code"]) == (503, code)
    assert stored.keys("rejected/") == []


def test_a_package_that_takes_too_long_to_check_is_rejected(api, stored, monkeypatch):
    monkeypatch.setattr(package_cost, "CPU_SECONDS", 0.0)
    answer = api(schemas=SCHEMAS).post("/collect", json=hp.testing.sample_documents(40))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_costly")
    assert stored.keys() == []


SLOW = {"properties": {"text": {"pattern": "(?<!q)a*b"}}}  # takes the square of the length
KEYS = {"costly": "key-of-a-costly-producer", "other": "key-of-another-producer"}


def sample_with(text, number=0):
    return {**hp.testing.sample_documents(number + 1)[number], "data": {"text": text}}


def test_an_event_whose_check_costs_too_much_is_rejected_and_the_rest_accepted(api, stored, monkeypatch):
    monkeypatch.setattr(check_cost, "CPU_SECONDS", 0.3)
    package = [sample_with("b"), sample_with("a" * 500_000, number=1)]
    answer = api(schemas={"s": SLOW}, subject="s").post("/collect", json=package)
    assert answer.status_code == 202
    assert [(each["index"], each["reason"]) for each in answer.json()["rejected"]] == [(1, "too_costly")]
    assert [each["reason"] for each in stored.documents("rejected/")] == ["too_costly"]


def test_a_package_of_many_costly_events_is_rejected_for_good(api, stored, monkeypatch):
    monkeypatch.setattr(check_cost, "CPU_SECONDS", 0.3)
    monkeypatch.setattr(package_cost, "CPU_SECONDS", 1.0)
    answer = api(schemas={"s": SLOW}, subject="s").post("/collect", json=[sample_with("a" * 500_000)] * 10)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_costly")
    assert stored.keys() == stored.keys("rejected/") == []


def test_a_costly_producer_delays_itself_alone(api, monkeypatch):
    monkeypatch.setattr(check_cost, "CPU_SECONDS", 2.0)
    client = api(schemas={"s": SLOW}, subject="s", keys=KEYS)

    def send(key, text):
        answer = client.post("/collect", json=sample_with(text), headers={"X-API-Key": KEYS[key]})
        return [each["reason"] for each in answer.json()["rejected"]]

    with ThreadPoolExecutor(2) as threads:
        costly = [threads.submit(send, "costly", "a" * 500_000) for _ in range(2)]
        time.sleep(0.2)
        for _ in range(5):
            assert send("other", "b") == []
        assert not any(each.done() for each in costly)
        assert [each.result() for each in costly] == [["too_costly"]] * 2
