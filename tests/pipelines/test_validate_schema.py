"""ValidateSchema in a pipeline: what passes says by which schema, what does not says why."""

from __future__ import annotations

from datetime import UTC, datetime

import apache_beam as beam
import pytest

import holded_pipeline as hp

SCHEMAS = {"order": {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}}


def event(data, type_="order"):
    return hp.Event(
        id="e", type=type_, company_id="c", occurred_at=datetime(2026, 1, 1, tzinfo=UTC), data=data, raw=b'{"sent":1}'
    )


def check(run, events, schemas=SCHEMAS, **settings):
    def build(pipeline):
        checked = pipeline | beam.Create(events) | hp.ValidateSchema(schemas, **({"subject": "{type}"} | settings))
        return {"passed": checked.passed, "rejected": checked.rejected}

    return run(build)


def test_what_passes_says_by_which_schema(run):
    (passed,) = check(run, [event({"id": 1})])["passed"]
    assert passed.metadata["schema"] == {"subject": "order", "version": None, "id": None}


def test_what_does_not_pass_carries_every_violation_and_the_bytes_it_came_in(run):
    (rejected,) = check(run, [event({"id": "x"})])["rejected"]
    assert (rejected.stage, rejected.reason, rejected.raw) == ("validate", "schema_violation", b'{"sent":1}')
    assert rejected.schema == hp.SchemaRef("order")
    assert rejected.violations == (hp.Violation("/id", "type", "'x' is not of type 'integer'"),)
    assert (rejected.event_id, rejected.event_type) == ("e", "order")


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        ("missing", "unknown_subject"),
        (lambda event: event.data["subject"], "subject_error"),
        (lambda event: None, "subject_error"),
    ],
)
def test_an_event_without_a_subject_is_rejected(run, subject, reason):
    (rejected,) = check(run, [event({"id": 1})], subject=subject)["rejected"]
    assert rejected.reason == reason


def test_a_version_that_is_not_there_is_a_rejection(run):
    (rejected,) = check(run, [event({"id": 1})], version=7)["rejected"]
    assert rejected.reason == "unknown_version"


def test_a_registry_that_does_not_answer_fails_the_run_and_rejects_nothing(run):
    down = hp.SchemaRegistry("http://127.0.0.1:1", retry=hp.Retry(0.3, first_wait=0.05))
    with pytest.raises(hp.TransientError, match="schema registry http://127.0.0.1:1 did not answer"):
        check(run, [event({"id": 1})], down)


def test_a_schema_that_is_none_fails_the_run(run):
    with pytest.raises(hp.ConfigurationError, match="'order' is not usable"):
        check(run, [event({"id": 1})], {"order": {"type": "strin"}})


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
def test_a_wrong_argument_fails_when_it_is_written(settings, words):
    with pytest.raises(ValueError, match=words):
        hp.ValidateSchema(SCHEMAS, **settings)


def test_a_missing_directory_fails_when_it_is_applied(tmp_path):
    pipeline = beam.Pipeline(runner="FnApiRunner")
    events = pipeline | beam.Create([event({})])
    with pytest.raises(hp.ConfigurationError, match="does not exist"):
        events | hp.ValidateSchema(hp.SchemaDirectory(tmp_path / "nowhere"), subject="s")
