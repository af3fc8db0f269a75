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
from holded_pipeline.testing.contract.events import contract_events
from holded_pipeline.testing.contract.findings import BrokenRule, ContractError, Findings
from holded_pipeline.testing.contract.other_process import call_in_other_process
from holded_pipeline.testing.contract.trials import EnricherVerdict, Trial
from holded_pipeline.transforms.beam.pickling import pickle_roundtrip, unpicklable_part
from holded_pipeline.user_code.errors import describe_error

ADVICE: Final = {
    "shape": "write a function (event) -> mapping or an object with enrich_batch, and give it a name",
    "picklable": "open connections, files and locks in __enter__, which is called on the worker; define what it uses "
    "in a module that is installed there",
    "opens": "let __enter__ return what is to be called: usually self, with a __call__(self, event)",
    "survives": "return what can be said without what is missing, or raise hp.RejectRecord(reason, message) to refuse "
    "the event",
    "read_only": "return what is to be added; to work on the data, take a copy: copy.deepcopy(event.data)",
    "json": "return a mapping from texts to texts, numbers, booleans, None, lists and mappings: texts of dates and "
    "ids, sorted lists of sets",
    "same_again": "take nothing from the clock, from chance, from earlier events or from the order of a set (sort it); "
    "or declare deterministic = False on the object or function",
    "in_time": "do less for each event, prepare in __enter__, ask a server once for many events with enrich_batch; or "
    "check it with another budget_seconds",
    "batch": "let enrich_batch return a list with one item for each event, in their order, [] for none; the item of an "
    "event at fault is its exception",
    "closes": "close in __exit__ what __enter__ opened; what a call opens, let it close: with open(...) as file",
}
"""What to do where a rule does not hold."""

ENRICHER_RULES: Final[tuple[str, ...]] = tuple(ADVICE)
"""The rules that `check_enricher` looks at."""


@attrs.frozen
class EnricherReport:
    """An enricher that keeps the contract.

    Attributes:
        name: its name.
        version: its version, if it has one.
        events: how many events it was called with.
        rejected: how many of them it refused with a `RejectRecord`.
        deterministic: whether it declares, by saying nothing else, that the same event gets the same result.
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

    It is sent through Beam's pickler, opened, called twice with each event, with batches if it takes them, closed, all
    of that twice, and called in another process.

    Args:
        enricher: what `Enrich` takes: a name, a function, an object, or an `Enricher`.
        events: what it is called with; by default `contract_events()`, sample events of every type and odd ones.
        budget_seconds: what one event may take.
        rules: the rules to look at, of `ENRICHER_RULES`; a test can take them one by one.
        elsewhere: whether it is called in another process too, which takes about three seconds.

    Returns:
        What it was found to be.

    Raises:
        ContractError: it breaks rules; the message names each, what was seen, and what to do. An `AssertionError`.
        ValueError: an argument is wrong.
    """
    _check_arguments(rules, budget_seconds)
    findings = Findings(ADVICE)
    try:
        subject = _of_a_run(default_registry().enricher(enricher))
    except (TypeError, ValueError) as error:
        raise ContractError("the enricher", [BrokenRule("shape", str(error), 1, ADVICE["shape"])]) from error
    _look_at_ends(subject, findings)
    given = contract_events() if events is None else list(events)
    if not given:
        raise ValueError("events is empty, and an enricher that is called with nothing breaks no rule; give some")
    pickled = _pickled(subject, findings)
    verdicts: list[list[EnricherVerdict]] = []
    copies: list[Enricher] = []
    for life in (1, 2):
        copies.append(subject if pickled is None else pickler.loads(pickled))  # kept, so that nothing closes by itself
        trial = Trial(copies[-1], given, budget_seconds, findings)
        verdicts.append(trial.run(watch=life == 2))  # noqa: PLR2004  what comes once for ever is no leak
    trial.compare(verdicts[0], verdicts[1], given, "on another worker")
    if elsewhere and pickled is not None and "in_time" not in findings and {"picklable", "same_again"} & set(rules):
        there = call_in_other_process(pickled, given, budget_seconds, findings)
        trial.compare(verdicts[0], there, given, "in another process")
    findings.raise_for(f"the enricher {subject}", rules)
    rejected = sum(isinstance(verdict, str) for verdict in verdicts[0])
    return EnricherReport(subject.name, subject.version, len(given), rejected, subject.deterministic)


def _check_arguments(rules: Collection[str], budget_seconds: float) -> None:
    unknown = sorted(set(rules) - set(ENRICHER_RULES)) if not isinstance(rules, str) else [rules]
    if unknown or not rules:
        raise ValueError(f"rules is a list of some of {', '.join(ENRICHER_RULES)}; not: {', '.join(unknown) or 'none'}")
    if not 0 < budget_seconds < math.inf:
        raise ValueError(f"budget_seconds is a number of seconds above 0, got {budget_seconds!r}")


def _of_a_run(enricher: Enricher) -> Enricher:
    try:
        subject = enricher.for_run("contract-check")
    except HoldedPipelineError as error:
        advice = "let for_run(run_id) return the enricher of the run; what it asks, let be there when it is checked"
        raise ContractError(f"the enricher {enricher}", [BrokenRule("shape", str(error), 1, advice)]) from error
    return attrs.evolve(subject, on_error="reject", retry=None)


def _look_at_ends(subject: Enricher, findings: Findings) -> None:
    """An object with one end only is never opened, since it is no context manager."""
    ends = {name: hasattr(type(subject.function), name) for name in ("__enter__", "__exit__")}
    if len(set(ends.values())) == 2:  # noqa: PLR2004  one of two
        has, lacks = sorted(ends, key=lambda name: not ends[name])
        findings.add("closes", f"it has {has} and no {lacks}, so neither is ever called", f"write {lacks} too")


def _pickled(subject: Enricher, findings: Findings) -> bytes | None:
    outcome = pickle_roundtrip(subject)
    if isinstance(outcome, BaseException):
        stuck = unpicklable_part(subject)
        whose = "it" if stuck is None else f"{stuck}, which it calls,"
        findings.add("picklable", f"{whose} cannot be pickled for a worker: {describe_error(outcome)}")
        return None
    pickled: bytes = pickler.dumps(subject)
    return pickled
