"""What one attempt at a share of a run found out, and the sums over all shares.

A share is part of a plan that one process reads, in a pipeline of its own. It may be tried more than once, and two
attempts may even run at the same time; of each share one result counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from holded_pipeline.model.errors import ConfigurationError, TooManyRejectedError
from holded_pipeline.model.object_counts import ObjectVersion
from holded_pipeline.rejected.error_budget import ErrorBudget, Tally
from holded_pipeline.runs.manifests import ManifestPlace
from holded_pipeline.runs.object_accounts import Counts, add_counts
from holded_pipeline.runs.settlement import StoredOutput


@attrs.frozen
class ShareAttempt:
    """One attempt at a share.

    Attributes:
        run_id: the run, the same for all shares.
        share: the number of the share, from 0.
        token: tells it from other attempts at the same share.
    """

    run_id: str
    share: int
    token: str

    @property
    def name(self) -> str:
        """`share3.9f8e7d6c`; no other attempt of the run has it."""
        return f"share{self.share}.{self.token}"


@attrs.frozen(hash=False)
class ShareAccounts:
    """What became of the objects of a share, as far as this share read them; see `SettleObjects`.

    Attributes:
        sinks: the steps of each sink, in the order of the counts.
        counts: the counts of each object.
        of_objects: their sums.
        without_source: the sums of elements without a source.
        outputs: the objects with events that were stored.
        places: where those were stored.
    """

    sinks: tuple[tuple[str, ...], ...] = ()
    counts: Mapping[ObjectVersion, Counts] = attrs.field(factory=dict)
    of_objects: Counts = ()
    without_source: Counts = ()
    outputs: tuple[StoredOutput, ...] = ()
    places: tuple[ManifestPlace, ...] = ()


@attrs.frozen(hash=False)
class BudgetUse:
    """What one `WriteRejected(max_rejected=...)` of a share has written, beside its limits.

    Attributes:
        step: the label of the transform.
        budget: its limits.
        tally: what was rejected.
        records: the records that a share of them refers to; None where no limit is a share.
    """

    step: str
    budget: ErrorBudget
    tally: Tally
    records: int | None


@attrs.frozen(hash=False)
class ShareResult:
    """What one attempt at a share did, when all of it was durable.

    Attributes:
        attempt: the attempt.
        counts: Beam's counters of this library.
        accounts: of the objects that were read for the ledger; None without one.
        budgets: how much of each error budget it used.
    """

    attempt: ShareAttempt
    counts: Mapping[str, int]
    accounts: ShareAccounts | None = None
    budgets: tuple[BudgetUse, ...] = ()


@attrs.frozen(hash=False)
class ShareFailure:
    """Why an attempt at a share failed.

    Attributes:
        attempt: the attempt.
        error: the error, which can be pickled.
        is_transient: whether another attempt may succeed.
    """

    attempt: ShareAttempt
    error: BaseException
    is_transient: bool


ShareOutcome = ShareResult | ShareFailure


def add_up_counts(results: Iterable[ShareResult]) -> dict[str, int]:
    """The counters of all shares together."""
    total: dict[str, int] = {}
    for result in results:
        for name, number in result.counts.items():
            total[name] = total.get(name, 0) + number
    return total


def check_budgets(results: Iterable[ShareResult], *, is_complete: bool) -> None:
    """Checks the error budgets over several shares.

    Args:
        results: those of the shares that are done.
        is_complete: whether those are all. Until then only limits that are counts are checked.

    Raises:
        TooManyRejectedError: a budget is exceeded.
    """
    budgets: dict[str, ErrorBudget] = {}
    tallies: dict[str, Tally] = {}
    records: dict[str, int] = {}
    for use in (each for result in results for each in result.budgets):
        budgets[use.step] = use.budget
        tallies.setdefault(use.step, Tally()).merge(use.tally)
        records[use.step] = records.get(use.step, 0) + (use.records or 0)
    for step, budget in budgets.items():
        breach = budget.breach(tallies[step], records[step] if is_complete else None)
        if breach is not None:
            raise TooManyRejectedError(breach)


def add_up_accounts(several: Iterable[ShareAccounts]) -> ShareAccounts:
    """The accounts of all shares together; an object of which several shares read a part has one.

    Raises:
        ConfigurationError: the shares were given to different sinks.
    """
    total = ShareAccounts()
    counts: dict[ObjectVersion, Counts] = {}
    outputs: list[StoredOutput] = []
    for each in several:
        if total.sinks and each.sinks != total.sinks:
            raise ConfigurationError(
                f"one share settles what {_names(total.sinks)} received, another {_names(each.sinks)}, so they cannot "
                "be added up; let the function make the same pipeline for each share"
            )
        for version, of_share in each.counts.items():
            counts[version] = add_counts([counts.get(version, ()), of_share])
        outputs += each.outputs
        total = ShareAccounts(
            each.sinks,
            of_objects=add_counts([total.of_objects, each.of_objects]),
            without_source=add_counts([total.without_source, each.without_source]),
            places=tuple({(place.lake.bucket, place.prefix): place for place in total.places + each.places}.values()),
        )
    return attrs.evolve(total, counts=counts, outputs=tuple(outputs))


def _names(sinks: tuple[tuple[str, ...], ...]) -> str:
    return ", ".join(sink_name(steps) for steps in sinks)


def sink_name(steps: tuple[str, ...]) -> str:
    """The name of a sink in messages."""
    return " and ".join(steps)
