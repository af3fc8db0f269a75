"""Enrich in a pipeline: built-in names, functions of one's own, and what their errors do."""

from __future__ import annotations

from datetime import UTC, datetime

import apache_beam as beam
import pytest

import holded_pipeline as hp


def event(**data):
    return hp.Event(
        id="e",
        type=r"Holded\Wallet\Domain\Account\Events\AccountCreatedEvent",
        company_id="c",
        occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
        data=data,
        raw=b"{}",
    )


def enrich(run, *enrichers, events=None, **options):
    def build(pipeline):
        enriched = pipeline | beam.Create(events or [event(amount=2)]) | hp.Enrich(*enrichers)
        return {"passed": enriched.passed, "rejected": enriched.rejected}

    return run(build, **options)


def doubled(event):
    return {"amount": event.data["amount"] * 2}


def test_the_built_in_enrichers_say_what_they_learned(run):
    (passed,) = enrich(run, "processing", "business_context", "quality", run_id="run-7")["passed"]
    assert passed.metadata["processing"]["run_id"] == "run-7"
    assert datetime.fromisoformat(passed.metadata["processing"]["processed_at"]).tzinfo is not None
    assert passed.metadata["business_context"] == {"context": "account_management", "aggregate": "Account"}
    assert 0 <= passed.metadata["quality"]["score"] <= 1


def test_a_function_of_ones_own_stands_under_its_name_and_sees_those_before(run):
    def tripled(event):
        return {"amount": event.metadata["doubled"]["amount"] * 1.5}

    (passed,) = enrich(run, doubled, tripled)["passed"]
    assert passed.metadata["doubled"] == {"amount": 4}
    assert passed.metadata["tripled"] == {"amount": 6.0}
    assert passed.data == {"amount": 2}


def test_an_error_rejects_the_event_alone_and_names_the_enricher(run):
    ran = enrich(run, hp.Enricher("doubled", doubled, version="1.2"), events=[event(amount=1), event()])
    assert len(ran["passed"]) == 1
    (rejected,) = ran["rejected"]
    assert (rejected.stage, rejected.reason) == ("enrich", "enricher_error")
    assert "doubled 1.2 raised KeyError: 'amount'" in rejected.message


def test_an_enricher_may_refuse_an_event_with_its_own_reason(run):
    def refusing(event):
        raise hp.RejectRecord("embargoed", "its company is on the list")

    (rejected,) = enrich(run, refusing)["rejected"]
    assert (rejected.reason, rejected.message) == (
        "embargoed",
        "its company is on the list (refused by the enricher refusing)",
    )


@pytest.mark.parametrize(
    "result", [None, [1], {"a": object()}, {1: "a"}, {"a": float("nan")}, {"a": "\0"}, {"a": "\ud800"}, {"a": {1, 2}}]
)
def test_a_result_that_is_no_json_rejects_the_event(run, result):
    (rejected,) = enrich(run, hp.Enricher("odd", lambda event: result))["rejected"]
    assert rejected.reason == "enricher_output"


def test_skip_leaves_the_event_without_that_entry(run):
    (passed,) = enrich(run, hp.Enricher("doubled", doubled, on_error="skip"), "quality", events=[event()])["passed"]
    assert set(passed.metadata) == {"quality", "enrichers"}
    assert passed.metadata["enrichers"]["doubled"] == {
        "version": None,
        "status": "skipped",
        "error": "raised KeyError: 'amount'",
    }


def test_fail_ends_the_run(run):
    with pytest.raises(hp.EnricherError, match="the enricher doubled, called for event e, raised KeyError: 'amount'"):
        enrich(run, hp.Enricher("doubled", doubled, on_error="fail"), events=[event()])


@pytest.mark.parametrize("error", [ConnectionRefusedError, TimeoutError, OSError])
def test_an_outage_inside_an_enricher_is_never_the_events_fault(run, error):
    def looking_up(event):
        raise error("the lookup service is down")

    with pytest.raises(hp.TransientError, match="the enricher looking_up.*event e.*lookup service"):
        enrich(run, looking_up)


@pytest.mark.parametrize(
    ("enrichers", "words"),
    [
        (["qualty"], "no enricher 'qualty'; known are: business_context, processing, quality"),
        ([], "at least one enricher"),
        (["quality", "quality"], "two enrichers have the name 'quality'"),
        ([lambda event: {}], "needs a name"),
    ],
)
def test_a_wrong_argument_fails_when_it_is_written(enrichers, words):
    with pytest.raises(ValueError, match=words):
        hp.Enrich(*enrichers)


def test_the_entries_of_the_pipeline_itself_are_not_for_enrichers():
    with pytest.raises(ValueError, match="'schema' is taken"):
        hp.Enricher("schema", doubled)
