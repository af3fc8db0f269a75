"""ValidateSchema in a pipeline: passed events name their schema, rejected ones their violations."""

from __future__ import annotations

import re

import apache_beam as beam
import pytest
from event_factory import make_event

import holded_pipeline as hp
from holded_pipeline.model import json_codec
from holded_pipeline.schemas import check_cost

SCHEMAS = {"order": {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}}


def order(data):
    return make_event(type="order", data=data, raw=b'{"sent":1}')


def check(run, events, schemas=SCHEMAS, **settings):
    def build(pipeline):
        checked = pipeline | beam.Create(events) | hp.ValidateSchema(schemas, **({"subject": "{type}"} | settings))
        return {"passed": checked.passed, "rejected": checked.rejected}

    return run(build)


def test_a_passed_event_names_its_schema(run):
    (passed,) = check(run, [order({"id": 1})])["passed"]
    assert passed.metadata["schema"] == {"subject": "order", "version": None, "id": None}


def test_a_rejected_event_has_every_violation_and_its_raw_bytes(run):
    (rejected,) = check(run, [order({"id": "x"})])["rejected"]
    assert (rejected.stage, rejected.reason, rejected.raw) == ("validate", "schema_violation", b'{"sent":1}')
    assert rejected.schema == hp.SchemaRef("order")
    assert rejected.violations == (hp.Violation("/id", "type", "'x' is not of type 'integer'"),)
    assert (rejected.event_id, rejected.event_type) == ("e0", "order")


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        ("missing", "unknown_subject"),
        (lambda event: event.data["subject"], "subject_error"),
        (lambda event: None, "subject_error"),
    ],
)
def test_an_event_without_a_subject_is_rejected(run, subject, reason):
    (rejected,) = check(run, [order({"id": 1})], subject=subject)["rejected"]
    assert rejected.reason == reason


def endless(event):
    return endless(event)


def failing(error):
    def subject(event):
        raise error

    return subject


class Unprintable(Exception):  # noqa: N818
    def __str__(self):
        raise ValueError("it has no message")


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        (lambda event: 1 / 0, "<lambda> could not determine the subject of the event: ZeroDivisionError"),
        (failing(RuntimeError("x" * 10_000)), "failing.<locals>.subject could not determine the subject"),
        (failing(OSError(75, "Value too large")), "could not determine the subject of the event: OSError"),
        (failing(Unprintable()), "could not determine the subject of the event: Unprintable"),
        (endless, "the subject function endless could not determine the subject of the event: RecursionError"),
        (lambda event: ["a"], r"<lambda> returned \['a'\], which is not a subject; return its name as text"),
        (lambda event: "\ud800", "returned '.ud800', which is not a subject; return its name as text"),
        (failing(hp.RejectRecord("Not A Code", "m")), "RejectRecord with the reason 'Not A Code'"),
    ],
    ids=["division", "long", "no_moment", "unprintable", "endless", "list", "surrogate", "odd_reason"],
)
def test_a_failing_subject_function_rejects_the_event_and_is_named(run, subject, words):
    ran = check(run, [order({"id": 1})], subject=subject)
    (rejected,) = ran["rejected"]
    assert rejected.reason == "subject_error"
    assert re.search(words, rejected.message)
    assert "the subject function" in rejected.message
    assert len(rejected.message) < 800


def test_a_subject_function_may_reject_with_its_own_reason(run):
    (rejected,) = check(run, [order({"id": 1})], subject=failing(hp.RejectRecord("not_ours", "no")))["rejected"]
    assert rejected.reason == "not_ours"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionRefusedError("gone"), hp.TransientError),
        (FileNotFoundError("map.csv"), hp.ConfigurationError),
        (hp.ConfigurationError("no map"), hp.ConfigurationError),
        (hp.EnricherError("odd"), hp.EnricherError),
    ],
    ids=["outage", "file", "configuration", "ours"],
)
def test_an_outage_or_setting_in_a_subject_function_fails_the_run(run, error, kind):
    with pytest.raises((kind, RuntimeError), match="the subject function failing"):
        check(run, [order({"id": 1})], subject=failing(error))


def test_a_missing_version_is_a_rejection(run):
    (rejected,) = check(run, [order({"id": 1})], version=7)["rejected"]
    assert rejected.reason == "unknown_version"


def test_a_registry_that_does_not_answer_fails_the_run_and_rejects_nothing(run):
    down = hp.SchemaRegistry("http://127.0.0.1:1", retry=hp.Retry(0.3, first_wait=0.05))
    with pytest.raises(hp.TransientError, match="schema registry http://127.0.0.1:1 did not answer"):
        check(run, [order({"id": 1})], down)


def test_an_invalid_schema_fails_the_run(run):
    with pytest.raises(hp.ConfigurationError, match="'order' is not usable"):
        check(run, [order({"id": 1})], {"order": {"type": "strin"}})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"subject": ""}, "must not be empty"),
        ({"subject": "{typ}"}, "no usable field 'typ'; the fields are: company_id, type, type_name"),
        ({"subject": "{type"}, "is no template"),
        ({"subject": "s", "version": 0}, "version must be"),
        ({"subject": "s", "version": "newest"}, "version must be"),
    ],
)
def test_a_wrong_argument_raises_in_the_constructor(settings, words):
    with pytest.raises(ValueError, match=words):
        hp.ValidateSchema(SCHEMAS, **settings)


def test_a_missing_directory_fails_when_the_transform_is_applied(tmp_path):
    pipeline = beam.Pipeline(runner="FnApiRunner")
    events = pipeline | beam.Create([order({})])
    with pytest.raises(hp.ConfigurationError, match="does not exist"):
        events | hp.ValidateSchema(hp.SchemaDirectory(tmp_path / "nowhere"), subject="s")


def test_an_event_whose_check_costs_too_much_is_rejected_and_those_beside_it_pass(run, lake, monkeypatch):
    monkeypatch.setattr(check_cost, "CPU_SECONDS", 0.3)
    samples = [{**document, "data": {"text": "b"}} for document in hp.testing.sample_documents(3)]
    samples[1]["data"]["text"] = "a" * 500_000
    lines = [json_codec.encode(each) for each in samples]
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", b"\n".join(lines))

    def build(pipeline):
        raw = pipeline | hp.ReadMinIO(lake, "raw/")
        slow = {"properties": {"text": {"pattern": "(?<!q)a*b"}}}
        return (raw.passed | hp.ValidateSchema({"s": slow}, subject="s"))._asdict()

    outcome = run(build)
    assert len(outcome["passed"]) == 2
    (rejected,) = outcome["rejected"]
    assert (rejected.stage, rejected.reason, rejected.raw) == ("validate", "too_costly", lines[1])
