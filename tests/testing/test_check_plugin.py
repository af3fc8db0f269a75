"""check_plugin: each rule finds the plugin that breaks it and says what to do; good plugins pass."""

from __future__ import annotations

import itertools
import sqlite3
import threading
import uuid
from datetime import UTC, datetime

import pytest

import holded_pipeline as hp
from holded_pipeline.plugins import builtin
from holded_pipeline.testing import PLUGIN_RULES, ContractError, check_plugin, contract_events

FEW = contract_events()[:2]
TURNS = itertools.count()


def sizes(event):
    """How many fields the document has."""
    return {"fields": len(event.data)}


def has_content(event):
    """A document says something."""
    return None if event.data else "it is empty"


def envelope_by_id(document, source):
    """Reads documents with an `id`."""
    if not isinstance(document, dict) or not isinstance(document.get("id"), str):
        raise hp.RejectRecord("missing_id", "give it an id")
    return hp.Event(id=document["id"], type="t", company_id="c", occurred_at=datetime(2026, 1, 1, tzinfo=UTC), data={})


def plugin(*, enricher=None, rule=None, envelope=None, version="1.0"):
    class Plugin:
        @hp.hookimpl
        def register_enrichers(self, register):
            if enricher:
                register("mine", enricher, version=version)

        @hp.hookimpl
        def register_quality_rules(self, register):
            if rule:
                register(rule if isinstance(rule, hp.QualityRule) else hp.QualityRule("mine.good", "validity", 1, rule))

        @hp.hookimpl
        def register_envelopes(self, register):
            if envelope:
                register("mine", envelope)

    return Plugin()


class MisspelledHook:
    @hp.hookimpl
    def register_enricher(self, register):
        register("mine", sizes)


class TakenName:
    @hp.hookimpl
    def register_enrichers(self, register):
        register("quality", sizes)


def test_a_good_plugin_passes_and_is_reported():
    report = check_plugin(plugin(enricher=sizes, rule=has_content, envelope=envelope_by_id), elsewhere=False)
    assert [(each.name, each.version) for each in report.enrichers] == [("mine", "1.0")]
    assert (report.quality_rules, report.envelopes) == (("mine.good",), ("mine",))


def test_the_built_in_rules_and_envelopes_keep_their_own_contract():
    class Renamed:
        """Registers the built-in rules and envelopes under other names, as its own."""

        @hp.hookimpl
        def register_quality_rules(self, register):
            builtin.register_quality_rules(
                register=lambda rule: register(
                    hp.QualityRule(f"again.{rule.id}", rule.dimension, 1, with_docstring(rule.check))
                )
            )

        @hp.hookimpl
        def register_envelopes(self, register):
            builtin.register_envelopes(register=lambda name, function: register(f"again_{name}", function))

    report = check_plugin(Renamed())
    assert len(report.quality_rules) > 10
    assert report.envelopes == ("again_holded", "again_flat", "again_event")


def with_docstring(check):
    def described(event):
        """A built-in rule."""
        return check(event)

    return described


def raising(event):
    """Needs a field that no event has."""
    return None if event.data["answer"] else "no"


def answering_no(event):
    """Returns a value that is not a verdict."""
    return False


def changing_verdict(event):
    """Another answer each time."""
    return str(next(TURNS))


def needing_a_field(event):
    """Needs a field that no event has."""
    return {"answer": event.data["answer"]}


def uuid4_text():
    return str(uuid.uuid4())


def careless(document, source):
    """Reads a field without checking that it is there."""
    return document["id"]


def without_a_code(document, source):
    """Raises RejectRecord with a reason that is no code."""
    raise hp.RejectRecord("No Way", "never")


def not_described(event):
    return {}


class Connected:
    """A rule and an envelope with a connection, which cannot be pickled."""

    def __init__(self):
        self.connection = sqlite3.connect(":memory:")

    def __call__(self, document, source=None):
        if source is not None:
            raise hp.RejectRecord("no_event", "it is no event")


def sleeping(event, source=None):
    """A slow rule and a slow envelope."""
    threading.Event().wait(30)


def event_with(**changes):
    def envelope(document, source):
        """Returns an event with some invalid field."""
        made = {name: change() if callable(change) else change for name, change in changes.items()}
        usual = {"id": "i", "type": "t", "company_id": "c", "occurred_at": datetime(2026, 1, 1, tzinfo=UTC), "data": {}}
        return hp.Event(**{**usual, **made})

    return envelope


def rejecting_every_other_time(document, source):
    """Rejects the document at every other call."""
    if next(TURNS) % 2:
        raise hp.RejectRecord("no_event", "it is no event")
    return event_with()(document, source)


@pytest.mark.parametrize(
    ("rule", "bad", "seen", "advice"),
    [
        ("hooks", MisspelledHook(), "which is no hook; the hooks are: register_enrichers", "marked with @hp.hookimpl"),
        ("hooks", TakenName(), "'quality' of the plugin TakenName is registered already", "hookspecs"),
        ("hooks", object(), "has none of the hooks", "@hp.hookimpl"),
        ("brings", plugin(), "register nothing", "call register"),
        ("described", plugin(enricher=not_described), "the enricher mine has no docstring", "write a docstring"),
        ("described", plugin(rule=lambda event: None), "mine.good has a check without docstring", "write a docstring"),
        ("described", plugin(envelope=lambda document, source: FEW[0]), "envelope mine", "write a docstring"),
        ("version", plugin(enricher=sizes, version=None), "the enricher mine has no version", 'version="1.0"'),
        ("rule_id", plugin(rule=hp.QualityRule("Mine", "validity", 1, has_content)), "the id 'Mine'", "vat.number"),
        ("verdict", plugin(rule=raising), "mine.good: KeyError: 'answer'", "for every event"),
        ("verdict", plugin(rule=answering_no), "mine.good: it returned bool", "hp.NOT_APPLICABLE"),
        ("verdict_same_again", plugin(rule=changing_verdict), "mine.good answered", "no random values"),
        ("envelope", plugin(envelope=careless), "envelope mine raised KeyError: 'id'", "raise hp.RejectRecord"),
        ("envelope", plugin(envelope=lambda document, source: {}), "returned dict", "return an hp.Event"),
        ("envelope", plugin(envelope=without_a_code), "'No Way', which is not a snake_case code", "hp.RejectRecord"),
        (
            "envelope",
            plugin(envelope=event_with(id=7)),
            "returned an Event whose id is int; it must be text",
            "texts and",
        ),
        ("envelope", plugin(envelope=event_with(id="")), "returned an Event whose id is empty", "texts and JSON"),
        ("envelope", plugin(envelope=event_with(company_id=None)), "whose company_id is NoneType", "texts and JSON"),
        (
            "envelope",
            plugin(envelope=event_with(data=[1])),
            "whose data is list; it must be a mapping",
            "texts and JSON",
        ),
        ("envelope", plugin(envelope=event_with(data={"at": FEW[0].occurred_at})), "datetime at /at is not", "JSON"),
        (
            "envelope",
            plugin(envelope=event_with(data={"n": float("nan")})),
            "whose data is not JSON: nan at /n",
            "JSON",
        ),
        (
            "envelope",
            plugin(envelope=event_with(metadata={"x": object()})),
            "whose metadata is not JSON: object",
            "JSON",
        ),
        (
            "envelope_same_again",
            plugin(envelope=event_with(id=uuid4_text)),
            "called again, gave another id",
            "no random values",
        ),
        (
            "envelope_same_again",
            plugin(envelope=rejecting_every_other_time),
            "gave another outcome (",
            "from the document",
        ),
        (
            "picklable",
            plugin(rule=Connected()),
            "the quality rule mine.good cannot be pickled for a worker",
            "open connect",
        ),
        ("picklable", plugin(envelope=Connected()), "the envelope mine cannot be pickled for a worker", "open connect"),
        ("in_time", plugin(rule=sleeping), "mine.good did not answer within 0.2 s", "do less for each event"),
        ("in_time", plugin(envelope=sleeping), "the envelope mine did not answer within 0.2 s", "do less for each doc"),
        ("json", plugin(enricher=print), "the enricher mine 1.0: for the event", "return a mapping"),
    ],
)
def test_a_broken_rule_is_named_with_what_was_seen_and_what_to_do(rule, bad, seen, advice):
    with pytest.raises(ContractError) as caught:
        check_plugin(bad, FEW, elsewhere=False, budget_seconds=0.2 if rule == "in_time" else 5.0)
    broken = {each.rule: each for each in caught.value.broken}
    assert rule in broken, broken
    assert seen in broken[rule].seen
    assert advice in broken[rule].advice


def test_every_component_that_breaks_a_rule_is_named():
    class Two:
        @hp.hookimpl
        def register_enrichers(self, register):
            for name in ("first", "second"):
                register(name, needing_a_field, version="1.0")

        @hp.hookimpl
        def register_quality_rules(self, register):
            for name in ("mine.first", "mine.second"):
                register(hp.QualityRule(name, "validity", 1, raising))

        @hp.hookimpl
        def register_envelopes(self, register):
            for name in ("one", "other"):
                register(name, careless)

    with pytest.raises(ContractError) as caught:
        check_plugin(Two(), FEW, elsewhere=False)
    assert [each.rule for each in caught.value.broken] == [*["survives"] * 2, *["verdict"] * 2, *["envelope"] * 2]
    assert all(each.times > 1 for each in caught.value.broken)
    message = str(caught.value)
    for component in ("enricher first", "enricher second", "rule mine.first", "rule mine.second", "envelope one"):
        assert component in message
    assert "envelope other" in message
    assert message.startswith("the plugin Two breaks 3 rules of the contract")


def test_every_rule_has_a_bad_plugin_above():
    marks = test_a_broken_rule_is_named_with_what_was_seen_and_what_to_do.pytestmark
    assert {case[0] for case in marks[0].args[1]} >= set(PLUGIN_RULES)
