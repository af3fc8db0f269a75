"""Quality in a pipeline: a user's own rules, events under a minimum, the score in the metrics."""

from __future__ import annotations

import pickle
import re
import sqlite3
import threading

import apache_beam as beam
import pytest
from apache_beam.metrics import MetricsFilter
from event_factory import make_event
from pipeline_runs import run_enrich

import holded_pipeline as hp
from holded_pipeline.model.carried_text import is_proved_json
from holded_pipeline.model.carrying import carry
from holded_pipeline.plugins.registry import default_registry
from holded_pipeline.transforms.workers.enrich_outputs import EnrichSettings
from holded_pipeline.transforms.workers.run_enrichers import RunEnrichers


def typed_event(number=0, event_type="t", **data):
    return make_event(number, type=event_type, data=data)


def score_entry(event, *rules, **settings):
    return hp.Quality(rules, **settings)(event)


def rule(check, name="mine", **settings):
    return hp.QualityRule(name, "validity", 3, check, **settings)


def has_vat(event):
    if event.data.get("country") != "ES":
        return hp.NOT_APPLICABLE
    return None if "vat" in event.data else "a Spanish invoice without a VAT number"


HAS_VAT = hp.QualityRule("vat.present", "completeness", 2, has_vat)


# --- a user's own rules


class Holding:
    """A rule and an envelope that hold what cannot be pickled."""

    def __init__(self):
        self.connection = sqlite3.connect(":memory:")

    def __call__(self, *given):
        return None


class Ours:
    @hp.hookimpl
    def register_quality_rules(self, register):
        register(rule(has_vat, "ours.good"))
        register(rule(Holding(), "ours.held"))


def test_a_rule_that_cannot_be_pickled_is_named_when_the_pipeline_is_built(run):
    what = (
        "the quality rule ours.held of the plugin Ours, which the enricher quality .* calls, cannot be pickled for the "
        "workers: Typ"
    )
    with pytest.raises(hp.ConfigurationError, match=what):
        run_enrich(run, "quality", events=[typed_event()], registry=hp.PluginRegistry([Ours()]))
    with pytest.raises(
        hp.ConfigurationError, match="the quality rule mine, which the enricher quality .* calls, cannot be"
    ):
        run_enrich(run, hp.Quality([rule(Holding())]), events=[typed_event()])
    with pytest.raises(hp.testing.ContractError, match="picklable: the quality rule mine, which it calls, cannot be"):
        hp.testing.check_enricher(hp.Quality([rule(Holding())]), [typed_event()], elsewhere=False)


def test_a_rule_that_hangs_rejects_the_event_after_the_timeout(run):
    waiting = hp.Quality([rule(has_vat, "vat"), rule(lambda event: threading.Event().wait(30), "slow.rule")])
    (rejected,) = run_enrich(run, hp.Enricher("quality", waiting, timeout=0.3), events=[typed_event()])["rejected"]
    assert rejected.reason == "enricher_timeout"
    assert re.fullmatch("the enricher quality .*did not answer within 0.3 s", rejected.message)


def test_inline_rules_are_added_to_the_built_in_ones(run):
    events = [typed_event(country="ES"), typed_event(country="ES", vat="B1"), typed_event(country="FR")]
    ran = run_enrich(run, hp.Quality([HAS_VAT]), events=events)
    failed = [[each["rule"] for each in passed.metadata["quality"]["failed"]] for passed in ran["passed"]]
    assert ["vat.present" in rules for rules in failed] == [True, False, False]
    assert all("id.present" in rules for rules in failed)
    assert ran["passed"][0].metadata["quality"]["ruleset"].startswith("custom+")


def test_inline_rules_can_be_used_alone(run):
    (passed,) = run_enrich(run, hp.Quality([HAS_VAT], extend=False), events=[typed_event(country="ES")])["passed"]
    assert passed.metadata["quality"] == {
        "score": 0.0,
        "failed": [
            {"rule": "vat.present", "dimension": "completeness", "why": "a Spanish invoice without a VAT number"}
        ],
        "dimensions": {"completeness": 0.0},
        "ruleset": passed.metadata["quality"]["ruleset"],
    }


def test_inline_rules_are_added_to_those_of_plugins(run):
    class Plugin:
        @hp.hookimpl
        def register_quality_rules(self, register):
            register(rule(lambda event: "the plugin's reason", "plugins"))

    ran = run_enrich(
        run, hp.Quality([HAS_VAT]), events=[typed_event(country="ES")], registry=hp.PluginRegistry([Plugin()])
    )
    failed = {each["rule"] for each in ran["passed"][0].metadata["quality"]["failed"]}
    assert failed >= {"vat.present", "plugins", "id.present"}


def test_a_rule_of_the_same_id_as_another_raises():
    with pytest.raises(ValueError, match=r"two quality rules have the id 'id.present'"):
        hp.Quality([rule(has_vat, "id.present")])


def test_the_rules_of_quality_must_be_quality_rules():
    with pytest.raises(TypeError, match=r"the rules of Quality are hp.QualityRule values, got"):
        hp.Quality([has_vat])


def test_the_version_of_a_rules_check_is_in_the_version_of_the_rules():
    first, second = (score_entry(typed_event(), rule(has_vat, version=version))["ruleset"] for version in ("1", "2"))
    assert first != second


# --- broken rules


def raises(event):
    raise LookupError("boom")


def exits(event):
    raise SystemExit(1)


def recurses(event):
    return recurses(event)


def rejects(event):
    raise hp.RejectRecord("x", "m")


def changes(event):
    event.data["x"] = 1


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (raises, "LookupError: boom"),
        (exits, "SystemExit"),
        (recurses, "RecursionError"),
        (rejects, "a rule returns why the event fails, it does not reject"),
        (changes, "tried to change the event"),
        (lambda event: False, "it returned bool; a rule returns why"),
        (lambda event: {"no": 1}, "it returned dict"),
    ],
)
def test_a_broken_rule_is_named_with_its_plugin_and_ignored_by_the_score(run, check, words):
    class Plugin:
        @hp.hookimpl
        def register_quality_rules(self, register):
            register(rule(check))

    whole = run_enrich(run, "quality", events=[typed_event(id="x")])["passed"][0].metadata["quality"]
    ran = run_enrich(run, "quality", events=[typed_event(id="x")], registry=hp.PluginRegistry([Plugin()]))
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
        run_enrich(run, hp.Quality([rule(asking)]), events=[typed_event()])


def test_a_reason_is_kept_within_bounds():
    (failed,) = score_entry(typed_event(), rule(lambda event: "\ud800" * 10_000), extend=False)["failed"]
    assert len(failed["why"]) == 500
    failed["why"].encode()


# --- a minimum


def share(event):
    return None if event.data["good"] else "it is not good"


SHARE = [hp.QualityRule("good", "validity", 2, share), hp.QualityRule("always", "consistency", 1, lambda event: None)]


def test_events_under_min_quality_are_rejected_with_every_failed_rule(run):
    events = [typed_event(0, good=True), typed_event(1, good=False)]
    ran = run_enrich(run, hp.Quality(SHARE, extend=False), events=events, min_quality=0.6)
    assert [passed.id for passed in ran["passed"]] == ["e0"]
    (rejected,) = ran["rejected"]
    assert (rejected.event_id, rejected.reason, rejected.stage) == ("e1", "low_quality", "enrich")
    assert rejected.message == "its quality is 0.3333, under 0.6; failed rules: good"
    assert rejected.violations == (hp.Violation("", "good", "it is not good"),)


def test_an_event_at_min_quality_passes(run):
    quality = hp.Quality([*SHARE, hp.QualityRule("also", "validity", 1, lambda event: "no")], extend=False)
    assert len(run_enrich(run, quality, events=[typed_event(good=True)], min_quality=0.75)["passed"]) == 1


def test_enrichers_after_quality_are_not_called_for_rejected_events(run):
    def later(event):
        raise ValueError("it was called")

    ran = run_enrich(run, hp.Quality(SHARE, extend=False), later, events=[typed_event(good=False)], min_quality=0.5)
    assert [rejected.reason for rejected in ran["rejected"]] == ["low_quality"]


def test_min_quality_holds_for_a_users_own_enricher_in_batches_too(run):
    class Scoring:
        name = "quality"

        def enrich_batch(self, events):
            return [{"score": event.data["n"], "failed": ["a"], "errors": 5} for event in events]

    ran = run_enrich(
        run, Scoring(), events=[typed_event(0, n=0.1), typed_event(1, n=0.9), typed_event(2, n="odd")], min_quality=0.5
    )
    assert sorted(passed.id for passed in ran["passed"]) == ["e1", "e2"]  # e2 has no score, so it passes
    assert ran["rejected"][0].message == "its quality is 0.1, under 0.5; failed rules: not listed"


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
def test_a_wrong_min_quality_fails_when_it_is_written(enrichers, minimum, words):
    with pytest.raises(ValueError, match=words):
        hp.Enrich(*enrichers, min_quality=minimum)


# --- Quality(minimum=...), which rejects by itself


ALL_GOOD = hp.Quality(SHARE, extend=False, minimum=1)


def test_quality_with_a_minimum_rejects_as_min_quality_does(run):
    events = [typed_event(0, good=True), typed_event(1, good=False)]
    by_itself = run_enrich(run, hp.Quality(SHARE, extend=False, minimum=0.6), events=events)
    by_enrich = run_enrich(run, hp.Quality(SHARE, extend=False), events=events, min_quality=0.6)
    for ran in (by_itself, by_enrich):
        assert [passed.id for passed in ran["passed"]] == ["e0"]
        (rejected,) = ran["rejected"]
        assert (rejected.event_id, rejected.reason, rejected.stage) == ("e1", "low_quality", "enrich")
        assert rejected.message.startswith("its quality is 0.3333, under 0.6; failed rules: good")
        assert rejected.violations == (hp.Violation("", "good", "it is not good"),)


def test_an_event_at_the_minimum_passes_and_just_below_does_not():
    rules = [*SHARE, hp.QualityRule("also", "validity", 1, lambda event: "no")]
    enriched = hp.Enricher("quality", hp.Quality(rules, extend=False, minimum=0.75))(typed_event(good=True))
    assert enriched.metadata["quality"]["score"] == 0.75
    with pytest.raises(hp.RejectRecord, match="low_quality: its quality is 0.75, under 0.7501; failed rules: also"):
        hp.Enricher("quality", hp.Quality(rules, extend=False, minimum=0.7501))(typed_event(good=True))


@pytest.mark.parametrize("minimum", [0, 1, 0.5])
def test_a_minimum_from_0_to_1_is_taken(minimum):
    assert hp.Quality(minimum=minimum).minimum == minimum


@pytest.mark.parametrize("minimum", [-0.01, 1.01, float("nan"), True, "0.5"])
def test_a_minimum_that_is_not_from_0_to_1_raises(minimum):
    with pytest.raises(ValueError, match=r"Quality.minimum is a number from 0 to 1, got"):
        hp.Quality(minimum=minimum)


def test_enrichers_after_a_minimum_are_not_called_for_rejected_events(run):
    def later(event):
        raise ValueError("it was called")

    ran = run_enrich(run, ALL_GOOD, later, events=[typed_event(good=False)])
    assert [rejected.reason for rejected in ran["rejected"]] == ["low_quality"]


@pytest.mark.parametrize("on_error", ["reject", "skip", "fail"])
def test_a_minimum_rejects_whatever_on_error_says(run, on_error):
    quality = hp.Enricher("quality", ALL_GOOD, on_error=on_error)
    ran = run_enrich(run, quality, events=[typed_event(good=False)])
    assert [rejected.reason for rejected in ran["rejected"]] == ["low_quality"]


def test_a_minimum_holds_for_the_rules_of_plugins_too(run):
    class Strict:
        @hp.hookimpl
        def register_quality_rules(self, register):
            register(hp.QualityRule("never.good", "validity", 1_000_000, lambda event: "never"))

    events, registry = [typed_event(id="x", n=1)], hp.PluginRegistry([Strict()])
    assert len(run_enrich(run, hp.Quality(minimum=0.3), events=events)["passed"]) == 1
    (rejected,) = run_enrich(run, hp.Quality(minimum=0.3), events=events, registry=registry)["rejected"]
    assert "never.good" in [violation.keyword for violation in rejected.violations]


def test_a_plugin_can_register_a_quality_with_a_minimum(run):
    class Plugin:
        @hp.hookimpl
        def register_enrichers(self, register):
            register("all_good", ALL_GOOD)

    events = [typed_event(0, good=True), typed_event(1, good=False)]
    ran = run_enrich(run, "quality", "all_good", events=events, registry=hp.PluginRegistry([Plugin()]))
    (passed,) = ran["passed"]
    assert (passed.id, passed.metadata["all_good"]["score"]) == ("e0", 1.0)
    assert [(r.event_id, r.reason) for r in ran["rejected"]] == [("e1", "low_quality")]


def test_a_rule_that_is_given_and_registered_too_counts_once():
    class Plugin:
        @hp.hookimpl
        def register_quality_rules(self, register):
            register(HAS_VAT)

        @hp.hookimpl
        def register_enrichers(self, register):
            register("vat_only", hp.Quality([HAS_VAT]))

    enriched = hp.PluginRegistry([Plugin()]).enricher("vat_only")(typed_event(country="ES"))
    failed = [each["rule"] for each in enriched.metadata["vat_only"]["failed"]]
    assert failed.count("vat.present") == 1


def test_two_rules_of_one_id_in_a_plugins_quality_name_the_plugin():
    class Plugin:
        @hp.hookimpl
        def register_quality_rules(self, register):
            register(HAS_VAT)

        @hp.hookimpl
        def register_enrichers(self, register):
            register("strict", hp.Quality([rule(has_vat, "vat.present")]))

    what = "the enricher 'strict' of the plugin Plugin cannot be used .*two quality rules have the id 'vat.present'"
    with pytest.raises(hp.ConfigurationError, match=what):
        hp.PluginRegistry([Plugin()])


def test_a_quality_with_a_minimum_can_be_pickled():
    copied = pickle.loads(pickle.dumps(hp.Quality(minimum=0.9)))
    assert copied == hp.Quality(minimum=0.9) != hp.Quality(minimum=0.8)
    with pytest.raises(hp.RejectRecord, match="low_quality"):
        hp.Enricher("quality", copied)(typed_event())


def test_min_quality_and_minimum_hold_together(run):
    events = [typed_event(0, good=True), typed_event(1, good=False)]
    for minimum, min_quality in ((0.6, 0.1), (0.1, 0.6)):
        quality = hp.Quality(SHARE, extend=False, minimum=minimum)
        ran = run_enrich(run, quality, events=events, min_quality=min_quality)
        assert [passed.id for passed in ran["passed"]] == ["e0"]


def test_a_score_from_an_earlier_run_is_replaced_and_not_checked(run):
    """As when a stored event is replayed, or `quality` was skipped: only a score of this Enrich counts."""
    scored = make_event(1, data={"good": True}, metadata={"quality": {"score": 0.0}})
    ran = run_enrich(run, ALL_GOOD, events=[scored], min_quality=1)
    assert [passed.metadata["quality"]["score"] for passed in ran["passed"]] == [1.0]

    def failing(event):
        raise ValueError("no score today")

    skipped = hp.Enricher("quality", failing, on_error="skip")
    (passed,) = run_enrich(run, skipped, events=[scored], min_quality=1)["passed"]
    assert passed.metadata["enrichers"]["quality"]["status"] == "skipped"


# --- reject_if of a user's own enricher


class Risk:
    """Rejects by what it returned."""

    name = "risk"

    def __init__(self, error=None):
        self.error = error

    def __call__(self, event):
        return {"of": event.data["n"]}

    def reject_if(self, result):
        if result["of"] > 1:
            raise self.error or hp.RejectRecord("risky", f"its risk is {result['of']}")


def test_an_enricher_may_reject_by_its_result(run):
    ran = run_enrich(run, Risk(), events=[make_event(n) for n in range(4)])
    assert sorted(passed.metadata["risk"]["of"] for passed in ran["passed"]) == [0, 1]
    assert {rejected.reason for rejected in ran["rejected"]} == {"risky"}
    assert "its risk is 3" in {rejected.event_id: rejected.message for rejected in ran["rejected"]}["e3"]


def test_an_enricher_of_batches_may_reject_by_its_results(run):
    class Risks(Risk):
        def enrich_batch(self, events):
            return [self(event) for event in events]

    ran = run_enrich(run, Risks(), events=[make_event(n) for n in range(4)])
    assert sorted(passed.id for passed in ran["passed"]) == ["e0", "e1"]
    assert sorted(rejected.event_id for rejected in ran["rejected"]) == ["e2", "e3"]


def test_an_error_in_reject_if_is_handled_as_on_error_says(run):
    broken = Risk(ZeroDivisionError("oh"))
    (rejected,) = run_enrich(run, broken, events=[make_event(5)])["rejected"]
    assert (rejected.reason, rejected.message) == ("enricher_error", "the enricher risk raised ZeroDivisionError: oh")
    (passed,) = run_enrich(run, hp.Enricher("risk", broken, on_error="skip"), events=[make_event(5)])["passed"]
    assert "risk" not in passed.metadata
    assert passed.metadata["enrichers"]["risk"]["status"] == "skipped"
    with pytest.raises(hp.EnricherError, match="the enricher risk, called for event e5, raised ZeroDivisionError"):
        run_enrich(run, hp.Enricher("risk", broken, on_error="fail"), events=[make_event(5)])
    with pytest.raises(hp.TransientError, match="the enricher risk, called for event e5, raised ConnectionError"):
        run_enrich(run, Risk(ConnectionError("away")), events=[make_event(5)])


def test_reject_if_cannot_change_what_is_stored():
    class Forging(Risk):
        def reject_if(self, result):
            dict.__setitem__(result, "of", "forged")

    assert hp.Enricher("risk", Forging())(make_event(1)).metadata["risk"] == {"of": 1}


# --- metrics


def scores(*enrichers, events, **settings):
    pipeline = beam.Pipeline(runner="FnApiRunner")
    _ = pipeline | beam.Create(events) | hp.Enrich(*enrichers, **settings)
    result = pipeline.run()
    result.wait_until_finish()
    found = result.metrics().query(MetricsFilter().with_namespace("holded_pipeline"))["distributions"]
    return {each.key.metric.name: each.result for each in found}


def test_the_score_is_measured_by_event_type_also_of_rejected_events():
    events = [
        typed_event(0, r"Holded\A\Paid", good=True),
        typed_event(1, r"Holded\A\Paid", good=False),
        typed_event(2, "b", good=True),
    ]
    measured = scores(hp.Quality(SHARE, extend=False), events=events, min_quality=0.9)
    assert set(measured) == {"enrich.quality_per_mille.Paid", "enrich.quality_per_mille.b"}
    paid = measured["enrich.quality_per_mille.Paid"]
    assert (paid.count, paid.min, paid.max, paid.sum) == (2, 333, 1000, 1333)


def test_the_score_of_an_event_that_a_minimum_rejects_is_measured_too():
    events = [typed_event(0, "t", good=True), typed_event(1, "t", good=False)]
    measured = scores(ALL_GOOD, events=events)["enrich.quality_per_mille.t"]
    assert (measured.count, measured.min, measured.max) == (2, 333, 1000)


def test_there_is_no_metric_for_each_of_a_thousand_types():
    events = [typed_event(n, f"type{n}", good=True) for n in range(200)]
    measured = scores(hp.Quality(SHARE, extend=False), events=events)
    assert len(measured) == 51
    assert measured["enrich.quality_per_mille.other"].count == 150


# --- the built-in rules on events that code made


class BrokenMapping(dict):
    """Data that cannot be read."""

    def items(self):
        raise ValueError("no items")

    __iter__ = keys = values = get = items


def test_data_that_cannot_be_read_do_not_stop_the_run():
    enrichers = [default_registry().enricher(name).for_run("run") for name in ("processing", "quality")]
    run = RunEnrichers(enrichers, EnrichSettings("run", "step", {}, is_last=True))
    run.setup()
    (output,) = run.process(make_event(data=BrokenMapping(n=1)))
    assert output.metadata["processing"]["run_id"] == "run"
    assert {error["error"] for error in output.metadata["quality"]["errors"]} == {"ValueError: no items"}


def test_data_that_somebody_changed_into_no_json_are_left_to_the_careful_way():
    event = carry(make_event())
    assert is_proved_json(event)
    event.data["n"] = object()
    assert not is_proved_json(event)
