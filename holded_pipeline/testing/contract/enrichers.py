"""check_enricher: whether an enricher keeps the contract, before a pipeline has to find out."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Final

import attrs
from apache_beam.internal import pickler

from holded_pipeline.enriching.enricher import Enricher
from holded_pipeline.enriching.enricher_types import AnyEnricher
from holded_pipeline.model.errors import HoldedPipelineError
from holded_pipeline.model.values import Event
from holded_pipeline.plugins.registry import default_registry
from holded_pipeline.testing.contract.broken_rules import BrokenRule, BrokenRules, ContractError
from holded_pipeline.testing.contract.enricher_lifecycle import CallResult, EnricherLifecycle
from holded_pipeline.testing.contract.events import contract_events
from holded_pipeline.testing.contract.other_process import call_in_other_process
from holded_pipeline.transforms.beam.pickling import pickle_roundtrip, unpicklable_part
from holded_pipeline.user_code.errors import describe_error

ADVICE: Final = {
    "shape": "write a function (event) -> mapping or an object with enrich_batch, and give it a name",
    "picklable": "open connections, files and locks in __enter__, which is called on the worker; define what it uses "
    "in a module that is installed there",
    "opens": "let __enter__ return what is to be called: usually self, with a __call__(self, event)",
    "survives": "return the result without what is missing, or raise hp.RejectRecord(reason, message) to reject the "
    "event",
    "read_only": "return what is to be added; to work on the data, take a copy: copy.deepcopy(event.data)",
    "json": "return a mapping from texts to texts, numbers, booleans, None, lists and mappings: texts of dates and "
    "ids, sorted lists of sets",
    "same_again": "use no clock, no random values, no earlier events and not the order of a set (sort it); or "
    "declare deterministic = False on the object or function",
    "in_time": "do less for each event, prepare in __enter__, ask a server once for many events with enrich_batch; or "
    "check it with another budget_seconds",
    "batch": "let enrich_batch return a list with one item for each event, in their order, [] for none; the item of an "
    "event at fault is its exception",
    "closes": "close in __exit__ what __enter__ opened; close in a call what the call opens: with open(...) as file",
}
"""What to do where a rule does not hold."""

ENRICHER_RULES: Final[tuple[str, ...]] = tuple(ADVICE)
"""The rules that `check_enricher` checks."""


@attrs.frozen
class EnricherReport:
    """An enricher that keeps the contract.

    Attributes:
        name: its name.
        version: its version, if it has one.
        events: how many events it was called with.
        rejected: how many of them it rejected with a `RejectRecord`.
        deterministic: whether the same event gets the same result; true unless the enricher declares otherwise.
    """

    name: str
    version: str | None
    events: int
    rejected: int
    deterministic: bool


def check_enricher(
    enricher: str | AnyEnricher | Enricher,
    events: Iterable[Event] | None = None,
    *,
    budget_seconds: float = 1.0,
    rules: Collection[str] = ENRICHER_RULES,
    elsewhere: bool = True,
) -> EnricherReport:
    """Checks that an enricher keeps the contract, with events of all shapes.

    It is pickled by Beam's pickler, opened, called twice with each event and, if it takes batches, with batches, then
    closed. All of that is done twice. After that it is called in another process.

    Args:
        enricher: what `Enrich` takes: a name, a function, an object, or an `Enricher`.
        events: what it is called with; by default `contract_events()`, sample events of every type and odd ones.
        budget_seconds: what one event may take.
        rules: the rules to check, of `ENRICHER_RULES`; a test can check them one by one.
        elsewhere: whether it is called in another process too, which takes about three seconds.

    Returns:
        What the checks found.

    Raises:
        ContractError: it breaks rules; the message names each, what was seen, and what to do. An `AssertionError`.
        ValueError: an argument is wrong.
    """
    _check_arguments(rules, budget_seconds)
    broken_rules = BrokenRules(ADVICE)
    try:
        subject = _enricher_for_run(default_registry().enricher(enricher))
    except (TypeError, ValueError) as error:
        raise ContractError("the enricher", [BrokenRule("shape", str(error), 1, ADVICE["shape"])]) from error
    _check_enter_and_exit(subject, broken_rules)
    events = contract_events() if events is None else list(events)
    if not events:
        raise ValueError("events is empty, and an enricher that is never called breaks no rule; give some")
    pickled = _pickle_enricher(subject, broken_rules)
    results: list[list[CallResult]] = []
    copies: list[Enricher] = []
    for worker in (1, 2):
        copies.append(subject if pickled is None else pickler.loads(pickled))  # kept, so that none is garbage-collected
        lifecycle = EnricherLifecycle(copies[-1], events, budget_seconds, broken_rules)
        results.append(lifecycle.run(find_leaks=worker == 2))  # noqa: PLR2004  what is opened once for good is no leak
    lifecycle.compare(results[0], results[1], events, "on another worker")
    if elsewhere and pickled is not None and "in_time" not in broken_rules and {"picklable", "same_again"} & set(rules):
        there = call_in_other_process(pickled, events, budget_seconds, broken_rules)
        lifecycle.compare(results[0], there, events, "in another process")
    broken_rules.raise_if_any(f"the enricher {subject}", rules)
    rejected = sum(isinstance(result, str) for result in results[0])
    return EnricherReport(subject.name, subject.version, len(events), rejected, subject.deterministic)


def _check_arguments(rules: Collection[str], budget_seconds: float) -> None:
    unknown = sorted(set(rules) - set(ENRICHER_RULES)) if not isinstance(rules, str) else [rules]
    if unknown or not rules:
        raise ValueError(f"rules is a list of some of {', '.join(ENRICHER_RULES)}; not: {', '.join(unknown) or 'none'}")
    if not 0 < budget_seconds < math.inf:
        raise ValueError(f"budget_seconds is a number of seconds above 0, got {budget_seconds!r}")


def _enricher_for_run(enricher: Enricher) -> Enricher:
    try:
        subject = enricher.for_run("contract-check")
    except HoldedPipelineError as error:
        advice = "let for_run(run_id) return the enricher of the run; start the servers that it asks before the check"
        raise ContractError(f"the enricher {enricher}", [BrokenRule("shape", str(error), 1, advice)]) from error
    return attrs.evolve(subject, on_error="reject", retry=None)


def _check_enter_and_exit(subject: Enricher, broken_rules: BrokenRules) -> None:
    """An object with only one of both methods is never opened, since it is no context manager."""
    methods = {name: hasattr(type(subject.function), name) for name in ("__enter__", "__exit__")}
    if len(set(methods.values())) == 2:  # noqa: PLR2004  one of two
        has, lacks = sorted(methods, key=lambda name: not methods[name])
        broken_rules.add("closes", f"it has {has} and no {lacks}, so neither is ever called", f"write {lacks} too")


def _pickle_enricher(subject: Enricher, broken_rules: BrokenRules) -> bytes | None:
    outcome = pickle_roundtrip(subject)
    if isinstance(outcome, BaseException):
        part = unpicklable_part(subject)
        component = "it" if part is None else f"{part}, which it calls,"
        broken_rules.add("picklable", f"{component} cannot be pickled for a worker: {describe_error(outcome)}")
        return None
    pickled: bytes = pickler.dumps(subject)
    return pickled
