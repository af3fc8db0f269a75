"""check_plugin: whether everything that a plugin brings keeps the contract."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from holded_pipeline.core import json_codec
from holded_pipeline.core.drafts import Draft
from holded_pipeline.core.enricher_faults import outcome_of, told
from holded_pipeline.core.enrichment import Enricher
from holded_pipeline.core.envelopes import Envelope
from holded_pipeline.core.errors import ConfigurationError, RejectRecord
from holded_pipeline.core.quality import NOT_APPLICABLE, Rule, assess
from holded_pipeline.core.values import Event, Source
from holded_pipeline.plugins.registry import Registry
from holded_pipeline.testing.contract import BrokenRule, ContractError, Findings
from holded_pipeline.testing.contract_events import contract_events
from holded_pipeline.testing.enricher_contract import ADVICE, EnricherReport, check_enricher
from holded_pipeline.testing.samples import sample_documents

_OWN: Final = {
    "hooks": "write the hooks as holded_pipeline.plugins.hookspecs names them, each marked with @hp.hookimpl",
    "brings": "call register in a hook for each thing that the plugin brings",
    "described": "write a docstring: what it says of an event, and what it needs",
    "version": 'register("name", function, version="1.0"), so that an event tells which version enriched it',
    "rule_id": "name a rule by what it looks at and what is good, e.g. vat.number: lower case, with a dot between",
    "verdict": "answer why the event fails (a text), None if it passes, or hp.NOT_APPLICABLE; for every event",
    "verdict_same_again": "take nothing from the clock, from chance or from earlier events",
    "envelope": "return an hp.Event, or raise hp.RejectRecord(reason, message) for a document that is none",
}
PLUGIN_RULES: Final[tuple[str, ...]] = tuple(_OWN)
"""The rules that `check_plugin` looks at, beside `ENRICHER_RULES` for each enricher."""

_RULE_ID = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_REASON = re.compile(r"[a-z][a-z0-9_]{0,63}")
_SOURCE = Source("samples", "raw/documents.jsonl", "etag", 1)
_ODD_DOCUMENTS: Final[tuple[Any, ...]] = (
    {},
    [],
    None,
    True,
    7,
    "text",
    {"data": None},
    {"data": {}, "headers": []},
    {"id": {}, "type": [], "timestamp": "soon"},
    [{"id": "a"}],
    {"": 10**400},
)
_DOCUMENTS = 20


@attrs.frozen
class PluginReport:
    """A plugin that keeps the contract.

    Attributes:
        enrichers: what was found of each enricher.
        quality_rules: the ids of its rules.
        envelopes: the names of its envelopes.
    """

    enrichers: tuple[EnricherReport, ...]
    quality_rules: tuple[str, ...]
    envelopes: tuple[str, ...]


def check_plugin(
    plugin: Any,
    events: Iterable[Event] | None = None,
    *,
    budget_seconds: float = 1.0,
    elsewhere: bool = True,
) -> PluginReport:
    """Checks that a plugin keeps the contract: its hooks, and all that they bring.

    Args:
        plugin: the module or object that the entry point names.
        events: what its enrichers and rules are called with; by default `contract_events()`.
        budget_seconds: what one event may take of an enricher.
        elsewhere: whether enrichers are called in another process too; see `check_enricher`.

    Returns:
        What it brings.

    Raises:
        ContractError: it breaks rules; the message names each, what was seen, and what to do. An `AssertionError`.
    """
    whole = f"the plugin {getattr(plugin, '__name__', type(plugin).__name__)}"
    try:
        registry, known = Registry([plugin]), Registry()
    except ConfigurationError as error:
        raise ContractError(whole, [BrokenRule("hooks", str(error), 1, _OWN["hooks"])]) from error
    given = contract_events() if events is None else list(events)
    findings = Findings(ADVICE | _OWN)
    enrichers = [each for name, each in registry.enrichers.items() if name not in known.enrichers]
    rules = registry.quality_rules[len(known.quality_rules) :]
    envelopes = {name: each for name, each in registry.envelopes.items() if name not in known.envelopes}
    if not (enrichers or rules or envelopes):
        findings.add("brings", "its hooks register nothing")
    reports = [
        report
        for enricher in enrichers
        for report in _enricher(enricher, given, findings, budget_seconds=budget_seconds, elsewhere=elsewhere)
    ]
    for rule in rules:
        _rule(rule, given, findings)
    _envelopes(envelopes, findings)
    findings.raise_for(whole, (*ADVICE, *_OWN))
    return PluginReport(tuple(reports), tuple(rule.id for rule in rules), tuple(envelopes))


def _enricher(
    enricher: Enricher, events: Sequence[Event], findings: Findings, *, budget_seconds: float, elsewhere: bool
) -> Iterator[EnricherReport]:
    if not _described(enricher.function):
        findings.add("described", f"the enricher {enricher.name} has no docstring")
    if enricher.version is None:
        findings.add("version", f"the enricher {enricher.name} has no version")
    try:
        yield check_enricher(enricher, events, budget_seconds=budget_seconds, elsewhere=elsewhere)
    except ContractError as error:
        for broken in error.broken:
            findings.add(broken.rule, f"{error.subject}: {broken.seen}", broken.advice)


def _rule(rule: Rule, events: Sequence[Event], findings: Findings) -> None:
    if not _RULE_ID.fullmatch(rule.id):
        findings.add("rule_id", f"a quality rule has the id {rule.id!r}")
    if not _described(rule.check):
        findings.add("described", f"the quality rule {rule.id} has a check without docstring")
    for event in events:
        first, second = (_judged(rule, event) for _ in (1, 2))
        if isinstance(first, _NoVerdictError):
            findings.add("verdict", f"for the event {event.id!r}, the quality rule {rule.id}: {first}")
        elif first != second:
            findings.add("verdict_same_again", f"for the event {event.id!r}, {rule.id} said {first!r} and {second!r}")


class _NoVerdictError(Exception):
    """A rule has none, by its own fault."""


def _judged(rule: Rule, event: Event) -> Any:
    """The verdict as the pipeline takes it."""
    try:
        found = assess(Draft(event).view, [rule], "check")
    except Exception as error:  # noqa: BLE001  what fails a run here is told to who wrote the rule
        return _NoVerdictError(f"a run would fail: {told(error)}")
    if found.get("errors"):
        return _NoVerdictError(found["errors"][0]["error"])
    if found["failed"]:
        return found["failed"][0]["why"]
    return None if found["dimensions"] else NOT_APPLICABLE


def _envelopes(envelopes: Mapping[str, Envelope], findings: Findings) -> None:
    documents = [*sample_documents(_DOCUMENTS, seed=4, wrapped=0.5), *_ODD_DOCUMENTS]
    for name, envelope in envelopes.items():
        if not _described(envelope):
            findings.add("described", f"the envelope {name} has no docstring")
        for document in documents:
            outcome = outcome_of(functools.partial(_read, envelope), document)
            seen = _wrong_with(outcome)
            if seen:
                findings.add("envelope", f"for {_shown(document)}, the envelope {name} {seen}")


def _read(envelope: Envelope, document: Any) -> Any:
    return envelope(document, _SOURCE)


def _wrong_with(outcome: Any) -> str | None:
    if isinstance(outcome, RejectRecord):
        fits = isinstance(outcome.reason, str) and _REASON.fullmatch(outcome.reason)
        return None if fits else f"rejects with the reason {outcome.reason!r}, which is no snake_case code"
    if isinstance(outcome, BaseException):
        return f"raised {told(outcome)}"
    return None if isinstance(outcome, Event) else f"returned {type(outcome).__name__}"


def _shown(document: Any) -> str:
    most = 60
    text = json_codec.encode(document).decode()
    return text if len(text) <= most else f"{text[:most]}…"


def _described(thing: Any) -> bool:
    while isinstance(thing, functools.partial):
        thing = thing.func
    if inspect.isroutine(thing):
        return bool(inspect.getdoc(thing))
    kind: type = type(thing)
    return any(each.__doc__ for each in kind.__mro__ if each is not object)
