"""Quality in a pipeline: rules of one's own, events under a threshold, the score in the metrics."""

from __future__ import annotations

import re
import sqlite3
import threading
from datetime import UTC, datetime

import apache_beam as beam
import pytest
from apache_beam.metrics import MetricsFilter

import holded_pipeline as hp


def event(number=0, event_type="t", **data):
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return hp.Event(id=f"e{number}", type=event_type, company_id="c", occurred_at=at, data=data)


def enrich(run, *enrichers, events, **settings):
    def build(pipeline):
        enriched = pipeline | beam.Create(events) | hp.Enrich(*enrichers, **settings)
        return {"passed": enriched.passed, "rejected": enriched.rejected}

    return run(build)


def judged(event, *rules, **settings):
    return hp.Quality(rules, **settings)(event)


def rule(check, name="mine", **settings):
    return hp.QualityRule(name, "validity", 3, check, **settings)


def has_vat(event):
    if event.data.get("country") != "ES":
        return hp.NOT_APPLICABLE
    return None if "vat" in event.data else "a Spanish invoice without a VAT number"


HAS_VAT = hp.QualityRule("vat.present", "completeness", 2, has_vat)


# --- rules of one's own


class Holding:
    """A rule and an envelope that hold what cannot be sent to a worker."""

    def __init__(self):
        self.connection = sqlite3.connect(":memory:")

    def __call__(self, *given):
        return None


class Ours:
    @hp.hookimpl
    def register_quality_rules(self, register):
        register(rule(has_vat, "ours.good"))
        register(rule(Holding(), "ours.held"))


def test_a_rule_that_cannot_travel_is_named_with_its_plugin_when_the_pipeline_is_built(run):
    what = (
        "the quality rule ours.held of the plugin Ours, by which the enricher quality .* cannot be sent to workers: Typ"
    )
    with pytest.raises(hp.ConfigurationError, match=what):
        enrich(run, "quality", events=[event()], registry=hp.PluginRegistry([Ours()]))
    with pytest.raises(hp.ConfigurationError, match="the quality rule mine, by which the enricher quality"):
        enrich(run, hp.Quality([rule(Holding())]), events=[event()])
    with pytest.raises(hp.testing.ContractError, match="travels: the quality rule mine, by which it judges, cannot be"):
        hp.testing.check_enricher(hp.Quality([rule(Holding())]), [event()], elsewhere=False)


def test_a_rule_that_hangs_is_named(run):
    waiting = hp.Quality([rule(has_vat, "vat"), rule(lambda event: threading.Event().wait(30), "slow.rule")])
    (rejected,) = enrich(run, hp.Enricher("quality", waiting, timeout=0.3), events=[event()])["rejected"]
    assert rejected.reason == "enricher_timeout"
    assert rejected.message.endswith("did not answer within 0.3 s, being at the quality rule slow.rule")


def test_inline_rules_stand_beside_the_built_in_ones(run):
    events = [event(country="ES"), event(country="ES", vat="B1"), event(country="FR")]
    ran = enrich(run, hp.Quality([HAS_VAT]), events=events)
    failed = [[each["rule"] for each in passed.metadata["quality"]["failed"]] for passed in ran["passed"]]
    assert ["vat.present" in rules for rules in failed] == [True, False, False]
    assert all("id.present" in rules for rules in failed)
    assert ran["passed"][0].metadata["quality"]["ruleset"].startswith("custom+")


def test_inline_rules_can_stand_alone(run):
    (passed,) = enrich(run, hp.Quality([HAS_VAT], extend=False), events=[event(country="ES")])["passed"]
    assert passed.metadata["quality"] == {
        "score": 0.0,
        "failed": [
            {"rule": "vat.present", "dimension": "completeness", "why": "a Spanish invoice without a VAT number"}
        ],
        "dimensions": {"completeness": 0.0},
        "ruleset": passed.metadata["quality"]["ruleset"],
    }


def test_inline_rules_stand_beside_those_of_plugins_too(run):
    class Plugin:
        @hp.hookimpl
        def register_quality_rules(self, register):
            register(rule(lambda event: "the plugin's reason", "plugins"))

    ran = enrich(run, hp.Quality([HAS_VAT]), events=[event(country="ES")], registry=hp.PluginRegistry([Plugin()]))
    failed = {each["rule"] for each in ran["passed"][0].metadata["quality"]["failed"]}
    assert failed >= {"vat.present", "plugins", "id.present"}


def test_a_rule_of_the_same_id_as_another_is_refused():
    with pytest.raises(ValueError, match=r"two quality rules have the id 'id.present'"):
        hp.Quality([rule(has_vat, "id.present")])


def test_what_is_no_rule_is_refused():
    with pytest.raises(TypeError, match=r"hp.QualityRule values, got"):
        hp.Quality([has_vat])


def test_the_version_of_a_rules_check_is_in_the_version_of_the_rules():
    first, second = (judged(event(), rule(has_vat, version=version))["ruleset"] for version in ("1", "2"))
    assert first != second


# --- broken rules


def raises(event):
    raise LookupError("boom")


def exits(event):
    raise SystemExit(1)


def recurses(event):
    return recurses(event)


def refuses(event):
    raise hp.RejectRecord("x", "m")


def changes(event):
    event.data["x"] = 1


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (raises, "LookupError: boom"),
        (exits, "SystemExit"),
        (recurses, "RecursionError"),
        (refuses, "a rule says why, it does not reject"),
        (changes, "tried to change the event"),
        (lambda event: False, "it answered bool; a rule answers why"),
        (lambda event: {"no": 1}, "it answered dict"),
    ],
)
def test_a_broken_rule_is_named_with_its_plugin_and_left_out_of_the_score(run, check, words):
    class Plugin:
        @hp.hookimpl
        def register_quality_rules(self, register):
            register(rule(check))

    whole = enrich(run, "quality", events=[event(id="x")])["passed"][0].metadata["quality"]
    ran = enrich(run, "quality", events=[event(id="x")], registry=hp.PluginRegistry([Plugin()]))
    quality = ran["passed"][0].metadata["quality"]
    (error,) = quality["errors"]
    assert (error["rule"], error["plugin"]) == ("mine", "Plugin")
    assert re.search(words, error["error"])
    assert (quality["score"], quality["failed"]) == (whole["score"], whole["failed"])
    assert "errors" not in whole
    assert ran.counters["enrich.rule_errors.mine"] == 1


def test_an_outage_in_a_rule_fails_the_run_by_name(run):
    def asking(event):
        raise ConnectionRefusedError("gone")

    with pytest.raises(hp.TransientError, match="the enricher quality.*the quality rule mine raised ConnectionRefused"):
        enrich(run, hp.Quality([rule(asking)]), events=[event()])


def test_a_reason_is_kept_within_bounds():
    (failed,) = judged(event(), rule(lambda event: "\ud800" * 10_000), extend=False)["failed"]
    assert len(failed["why"]) == 500
    failed["why"].encode()


# --- a threshold


def share(event):
    return None if event.data["good"] else "it is not good"


SHARE = [hp.QualityRule("good", "validity", 2, share), hp.QualityRule("always", "consistency", 1, lambda event: None)]


def test_events_under_a_threshold_are_rejected_with_every_failed_rule(run):
    events = [event(0, good=True), event(1, good=False)]
    ran = enrich(run, hp.Quality(SHARE, extend=False), events=events, min_quality=0.6)
    assert [passed.id for passed in ran["passed"]] == ["e0"]
    (rejected,) = ran["rejected"]
    assert (rejected.event_id, rejected.reason, rejected.stage) == ("e1", "low_quality", "enrich")
    assert rejected.message == "its quality is 0.3333, under 0.6; failed rules: good"
    assert rejected.violations == (hp.Violation("", "good", "it is not good"),)


def test_an_event_at_the_threshold_passes(run):
    quality = hp.Quality([*SHARE, hp.QualityRule("also", "validity", 1, lambda event: "no")], extend=False)
    assert len(enrich(run, quality, events=[event(good=True)], min_quality=0.75)["passed"]) == 1


def test_enrichers_after_quality_are_spared_what_is_under_the_threshold(run):
    def later(event):
        raise ValueError("it was called")

    ran = enrich(run, hp.Quality(SHARE, extend=False), later, events=[event(good=False)], min_quality=0.5)
    assert [rejected.reason for rejected in ran["rejected"]] == ["low_quality"]


def test_a_quality_of_ones_own_in_batches_is_looked_at_too(run):
    class Scoring:
        name = "quality"

        def enrich_batch(self, events):
            return [{"score": event.data["n"], "failed": ["a"], "errors": 5} for event in events]

    ran = enrich(run, Scoring(), events=[event(0, n=0.1), event(1, n=0.9), event(2, n="odd")], min_quality=0.5)
    assert sorted(passed.id for passed in ran["passed"]) == ["e1", "e2"]  # without a score there is none to be under
    assert ran["rejected"][0].message == "its quality is 0.1, under 0.5; failed rules: none it names"


@pytest.mark.parametrize(
    ("enrichers", "minimum", "words"),
    [
        (["processing"], 0.5, 'min_quality needs scores: put "quality"'),
        (["quality"], 1.5, "from 0 to 1"),
        (["quality"], float("nan"), "from 0 to 1"),
        (["quality"], True, "from 0 to 1"),
        (["quality"], "0.5", "from 0 to 1"),
    ],
)
def test_a_wrong_threshold_fails_when_it_is_written(enrichers, minimum, words):
    with pytest.raises(ValueError, match=words):
        hp.Enrich(*enrichers, min_quality=minimum)


# --- metrics


def scores(*enrichers, events, **settings):
    pipeline = beam.Pipeline(runner="FnApiRunner")
    _ = pipeline | beam.Create(events) | hp.Enrich(*enrichers, **settings)
    result = pipeline.run()
    result.wait_until_finish()
    found = result.metrics().query(MetricsFilter().with_namespace("holded_pipeline"))["distributions"]
    return {each.key.metric.name: each.result for each in found}


def test_the_score_is_measured_by_event_type_refused_events_too():
    events = [event(0, r"Holded\A\Paid", good=True), event(1, r"Holded\A\Paid", good=False), event(2, "b", good=True)]
    measured = scores(hp.Quality(SHARE, extend=False), events=events, min_quality=0.9)
    assert set(measured) == {"enrich.quality_per_mille.Paid", "enrich.quality_per_mille.b"}
    paid = measured["enrich.quality_per_mille.Paid"]
    assert (paid.count, paid.min, paid.max, paid.sum) == (2, 333, 1000, 1333)


def test_there_is_no_metric_for_each_of_a_thousand_types():
    events = [event(n, f"type{n}", good=True) for n in range(200)]
    measured = scores(hp.Quality(SHARE, extend=False), events=events)
    assert len(measured) == 51
    assert measured["enrich.quality_per_mille.other"].count == 150
