"""The contract kit for whole plugins: each rule catches a plugin that breaks it, with words."""

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


def mine(document, source):
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


class Misspelt:
    @hp.hookimpl
    def register_enricher(self, register):
        register("mine", sizes)


class Taken:
    @hp.hookimpl
    def register_enrichers(self, register):
        register("quality", sizes)


def test_a_good_plugin_passes_and_is_reported():
    report = check_plugin(plugin(enricher=sizes, rule=has_content, envelope=mine), elsewhere=False)
    assert [(each.name, each.version) for each in report.enrichers] == [("mine", "1.0")]
    assert (report.quality_rules, report.envelopes) == (("mine.good",), ("mine",))


def test_the_built_in_rules_and_envelopes_keep_their_own_contract():
    class Renamed:
        """The built-in things under other names, so that they are the plugin's."""

        @hp.hookimpl
        def register_quality_rules(self, register):
            builtin.register_quality_rules(
                register=lambda rule: register(
                    hp.QualityRule(f"again.{rule.id}", rule.dimension, 1, sizes_of(rule.check))
                )
            )

        @hp.hookimpl
        def register_envelopes(self, register):
            builtin.register_envelopes(register=lambda name, function: register(f"again_{name}", function))

    report = check_plugin(Renamed())
    assert len(report.quality_rules) > 10
    assert report.envelopes == ("again_holded", "again_flat", "again_event")


def sizes_of(check):
    def described(event):
        """A built-in rule."""
        return check(event)

    return described


def raising(event):
    """Needs what is not there."""
    return None if event.data["answer"] else "no"


def answering_no(event):
    """Answers what is no verdict."""
    return False


def moody(event):
    """Another answer each time."""
    return str(next(TURNS))


def lacking(event):
    """Needs what is not there."""
    return {"answer": event.data["answer"]}


def uuid4_text():
    return str(uuid.uuid4())


def careless(document, source):
    """Takes an id for granted."""
    return document["id"]


def rude(document, source):
    """Gives no code."""
    raise hp.RejectRecord("No Way", "never")


def not_described(event):
    return {}


class Holding:
    """Holds what cannot be sent to a worker; a rule and an envelope."""

    def __init__(self):
        self.connection = sqlite3.connect(":memory:")

    def __call__(self, document, source=None):
        if source is not None:
            raise hp.RejectRecord("none_of_mine", "it is none")


def sleeping(event, source=None):
    """Takes its time, as a rule and as an envelope."""
    threading.Event().wait(30)


def giving(**changes):
    def envelope(document, source):
        """Reads everything, and gives an event that is odd."""
        made = {name: change() if callable(change) else change for name, change in changes.items()}
        usual = {"id": "i", "type": "t", "company_id": "c", "occurred_at": datetime(2026, 1, 1, tzinfo=UTC), "data": {}}
        return hp.Event(**{**usual, **made})

    return envelope


def wavering(document, source):
    """Refuses every other time."""
    if next(TURNS) % 2:
        raise hp.RejectRecord("none_of_mine", "it is none")
    return giving()(document, source)


@pytest.mark.parametrize(
    ("rule", "bad", "seen", "advice"),
    [
        ("hooks", Misspelt(), "which is no hook; the hooks are: register_enrichers", "marked with @hp.hookimpl"),
        ("hooks", Taken(), "'quality' of the plugin Taken is registered already", "hookspecs"),
        ("hooks", object(), "has none of the hooks", "@hp.hookimpl"),
        ("brings", plugin(), "register nothing", "call register"),
        ("described", plugin(enricher=not_described), "the enricher mine has no docstring", "write a docstring"),
        ("described", plugin(rule=lambda event: None), "mine.good has a check without docstring", "write a docstring"),
        ("described", plugin(envelope=lambda document, source: FEW[0]), "envelope mine", "write a docstring"),
        ("version", plugin(enricher=sizes, version=None), "the enricher mine has no version", 'version="1.0"'),
        ("rule_id", plugin(rule=hp.QualityRule("Mine", "validity", 1, has_content)), "the id 'Mine'", "vat.number"),
        ("verdict", plugin(rule=raising), "mine.good: KeyError: 'answer'", "for every event"),
        ("verdict", plugin(rule=answering_no), "mine.good: it returned bool", "hp.NOT_APPLICABLE"),
        ("verdict_same_again", plugin(rule=moody), "mine.good said", "from chance"),
        ("envelope", plugin(envelope=careless), "envelope mine raised KeyError: 'id'", "raise hp.RejectRecord"),
        ("envelope", plugin(envelope=lambda document, source: {}), "returned dict", "return an hp.Event"),
        ("envelope", plugin(envelope=rude), "'No Way', which is no snake_case code", "hp.RejectRecord"),
        ("envelope", plugin(envelope=giving(id=7)), "returned an Event whose id is int; it must be text", "texts and"),
        ("envelope", plugin(envelope=giving(id="")), "returned an Event whose id is empty", "texts and JSON"),
        ("envelope", plugin(envelope=giving(company_id=None)), "whose company_id is NoneType", "texts and JSON"),
        ("envelope", plugin(envelope=giving(data=[1])), "whose data is list; it must be a mapping", "texts and JSON"),
        ("envelope", plugin(envelope=giving(data={"at": FEW[0].occurred_at})), "datetime at /at is not", "JSON"),
        ("envelope", plugin(envelope=giving(data={"n": float("nan")})), "whose data is no JSON: nan at /n", "JSON"),
        ("envelope", plugin(envelope=giving(metadata={"x": object()})), "whose metadata is no JSON: object", "JSON"),
        ("envelope_same_again", plugin(envelope=giving(id=uuid4_text)), "called again, gave another id", "from chance"),
        ("envelope_same_again", plugin(envelope=wavering), "gave another outcome (", "from the document"),
        (
            "picklable",
            plugin(rule=Holding()),
            "the quality rule mine.good cannot be pickled for a worker",
            "open connect",
        ),
        ("picklable", plugin(envelope=Holding()), "the envelope mine cannot be pickled for a worker", "open connect"),
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


def test_every_culprit_is_named():
    class Two:
        @hp.hookimpl
        def register_enrichers(self, register):
            for name in ("first", "second"):
                register(name, lacking, version="1.0")

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
    told = str(caught.value)
    for culprit in ("enricher first", "enricher second", "rule mine.first", "rule mine.second", "envelope one"):
        assert culprit in told
    assert "envelope other" in told
    assert told.startswith("the plugin Two breaks 3 rules of the contract")


def test_every_rule_has_a_bad_plugin_above():
    marks = test_a_broken_rule_is_named_with_what_was_seen_and_what_to_do.pytestmark
    assert {case[0] for case in marks[0].args[1]} >= set(PLUGIN_RULES)
