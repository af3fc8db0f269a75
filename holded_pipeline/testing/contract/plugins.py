"""check_plugin: whether every component of a plugin keeps the contract."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import attrs

from holded_pipeline.enriching.enricher import Enricher
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.model.values import Event
from holded_pipeline.plugins.registry import PluginRegistry
from holded_pipeline.testing.contract.broken_rules import BrokenRule, BrokenRules, ContractError
from holded_pipeline.testing.contract.enrichers import ADVICE, EnricherReport, check_enricher
from holded_pipeline.testing.contract.envelopes import check_envelope
from holded_pipeline.testing.contract.events import contract_events
from holded_pipeline.testing.contract.quality_rules import check_quality_rule
from holded_pipeline.testing.contract.user_functions import has_docstring

_PLUGIN_ADVICE: Final = {
    "hooks": "write the hooks as holded_pipeline.plugins.hookspecs names them, each marked with @hp.hookimpl",
    "brings": "call register in a hook for each thing that the plugin brings",
    "described": "write a docstring: what it adds or checks, and which fields it needs",
    "version": 'register("name", function, version="1.0"), so that each event says which version enriched it',
    "rule_id": "name a rule by what it looks at and what is good, e.g. vat.number: lower case, with a dot between",
    "verdict": "answer why the event fails (a text), None if it passes, or hp.NOT_APPLICABLE; for every event",
    "verdict_same_again": "use no clock, no random values and no earlier events",
    "envelope": "return an hp.Event of texts and JSON, or raise hp.RejectRecord(reason, message) for a document that "
    "is no event",
    "envelope_same_again": "make the id and all other fields from the document, with no clock and no random values: a "
    "record that is read again must be the same event",
}
PLUGIN_RULES: Final[tuple[str, ...]] = tuple(_PLUGIN_ADVICE)
"""The rules that `check_plugin` checks, beside `ENRICHER_RULES` for each enricher."""


@attrs.frozen
class PluginReport:
    """A plugin that keeps the contract.

    Attributes:
        enrichers: the report on each enricher.
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
    """Checks that a plugin keeps the contract: its hooks, and all that they register.

    Args:
        plugin: the module or object that the entry point names.
        events: what its enrichers and rules are called with; by default `contract_events()`.
        budget_seconds: what one event may take of an enricher or a quality rule, and one document of an envelope.
        elsewhere: whether enrichers are called in another process too; see `check_enricher`.

    Returns:
        What it registers.

    Raises:
        ContractError: it breaks rules; the message names each, what was seen, and what to do. An `AssertionError`.
    """
    subject = f"the plugin {getattr(plugin, '__name__', type(plugin).__name__)}"
    try:
        registry, built_in = PluginRegistry([plugin]), PluginRegistry()
    except ConfigurationError as error:
        raise ContractError(subject, [BrokenRule("hooks", str(error), 1, _PLUGIN_ADVICE["hooks"])]) from error
    events = contract_events() if events is None else list(events)
    broken_rules = BrokenRules(ADVICE | _PLUGIN_ADVICE)
    enrichers = [each for name, each in registry.enrichers.items() if name not in built_in.enrichers]
    rules = registry.quality_rules[len(built_in.quality_rules) :]
    envelopes = {name: each for name, each in registry.envelopes.items() if name not in built_in.envelopes}
    if not (enrichers or rules or envelopes):
        broken_rules.add("brings", "its hooks register nothing")
    reports = [
        report
        for enricher in enrichers
        for report in _check_plugin_enricher(
            enricher, events, broken_rules, budget_seconds=budget_seconds, elsewhere=elsewhere
        )
    ]
    for rule in rules:
        check_quality_rule(rule, events, broken_rules, budget_seconds)
    for name, envelope in envelopes.items():
        check_envelope(name, envelope, broken_rules, budget_seconds)
    broken_rules.raise_if_any(subject, (*ADVICE, *_PLUGIN_ADVICE))
    return PluginReport(tuple(reports), tuple(rule.id for rule in rules), tuple(envelopes))


def _check_plugin_enricher(
    enricher: Enricher, events: Sequence[Event], broken_rules: BrokenRules, *, budget_seconds: float, elsewhere: bool
) -> Iterator[EnricherReport]:
    component = f"the enricher {enricher}"
    if not has_docstring(enricher.function):
        broken_rules.add("described", f"the enricher {enricher.name} has no docstring", component=component)
    if enricher.version is None:
        broken_rules.add("version", f"the enricher {enricher.name} has no version", component=component)
    try:
        yield check_enricher(enricher, events, budget_seconds=budget_seconds, elsewhere=elsewhere)
    except ContractError as error:
        for broken in error.broken:
            broken_rules.add_broken(attrs.evolve(broken, seen=f"{component}: {broken.seen}"), component)
