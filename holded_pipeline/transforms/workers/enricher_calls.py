"""An enricher on a worker: opened once, called with its timeout, retried in an outage."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from holded_pipeline.enriching.drafts import Draft
from holded_pipeline.enriching.enricher import Enricher
from holded_pipeline.enriching.results import plain_result
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.transforms.workers.bounded_calls import BoundedCalls
from holded_pipeline.user_code.errors import (
    EnricherFault,
    check_batch_result,
    describe_error,
    is_outage,
    result_or_error,
    run_failure,
)

_logger = logging.getLogger("holded_pipeline")
_MAX_COUNTERS = 20  # of one enricher


class EnricherCalls:
    """Opens an enricher and makes its calls.

    Args:
        enricher: as `Enricher.for_run` returned it.

    Raises:
        ConfigurationError, TransientError: it cannot be opened.
    """

    def __init__(self, enricher: Enricher) -> None:
        self.enricher = enricher
        self._takes_batches = enricher.takes_batches
        self._stack = ExitStack()
        self._bounded = None if enricher.timeout is None else BoundedCalls(str(enricher), enricher.timeout)
        try:
            self._opened = self._stack.enter_context(enricher.opened())
        except KeyboardInterrupt:  # the user's own wish
            raise
        except BaseException as error:
            whose = f"the enricher {enricher}, while it was opened,"
            failure = run_failure(error, enricher.transient, whose)
            raise failure or ConfigurationError(f"{whose} raised {describe_error(error)}; fix its __enter__") from error
        try:
            callee = enricher.callee(self._opened)
        except ConfigurationError:
            self.close()
            raise
        read = _plain_results if self._takes_batches else _plain_or_fault
        self._callee: Callable[[Any], Any] = (
            callee if self._bounded is None else lambda argument: read(callee(argument))
        )

    def apply(self, draft: Draft) -> None:
        """Calls the enricher and adds its result to an event; see `Enricher.apply_outcome` for what it raises."""
        outcome = self._attempt(draft.view) if self.enricher.retry is None else self._retried(draft.view, [draft])
        self.enricher.apply_outcome(draft, outcome)

    def outcomes(self, drafts: Sequence[Draft]) -> list[Any]:
        """What `enrich_batch` returned for each event; the caller applies them one by one.

        A batch that fails as a whole is repeated event by event, so that one bad event affects only itself.
        """
        whole = self._retried([draft.view for draft in drafts], drafts)
        if not isinstance(whole, BaseException):
            return list(whole)
        if len(drafts) == 1 or is_outage(whole, self.enricher.transient):
            return [whole] * len(drafts)
        return [outcome for draft in drafts for outcome in self.outcomes([draft])]

    def _retried(self, argument: Any, drafts: Sequence[Draft]) -> Any:
        """The outcome of a call that is retried in an outage, for as long as the enricher's `retry` says."""
        retry, transient = self.enricher.retry, self.enricher.transient
        if retry is None:
            return self._attempt(argument)

        def attempt() -> Any:
            outcome = self._attempt(argument)
            for each in outcome if isinstance(outcome, list) else [outcome]:
                if isinstance(each, Exception) and is_outage(each, transient):
                    raise each
            return outcome

        more = f" and {len(drafts) - 1} more," if len(drafts) > 1 else ""
        server = f"{self.enricher.describe_call(drafts[0].before)}{more}"
        return retry.call(attempt, server=server, is_transient=lambda error: is_outage(error, transient))

    def _attempt(self, argument: Any) -> Any:
        # A list of its own, from which it may remove events.
        given = list(argument) if self._takes_batches else argument
        if self._bounded is None:
            outcome = result_or_error(self._callee, given)
        else:
            outcome = self._bounded.result_or_error(self._callee, given)
        return check_batch_result(outcome, len(argument)) if self._takes_batches else outcome

    def counts(self) -> dict[str, int]:
        """What the enricher's `take_counts()` returns: its counts since the last call; empty without that method."""
        take = getattr(self._opened, "take_counts", None)
        if not callable(take):
            return {}
        outcome = result_or_error(lambda _: dict(take()), None)
        if isinstance(outcome, BaseException) or not all(type(each) is int for each in outcome.values()):
            _logger.error("take_counts of the enricher %s returned no whole numbers: %r", self.enricher, outcome)
            return {}
        return {str(name): outcome[name] for name in list(outcome)[:_MAX_COUNTERS]}

    def close(self) -> None:
        """Closes it. Its results are already stored with the events, so an error is only logged."""
        if self._bounded is not None:
            self._bounded.close()
        try:
            self._stack.close()
        except KeyboardInterrupt:
            raise
        except BaseException:
            _logger.exception("the enricher %s could not be closed", self.enricher)


def _plain_or_fault(result: Any) -> Any:
    """A result as plain JSON, so that a lazy one does its work within the timeout; or its fault."""
    if isinstance(result, BaseException):
        return result
    try:
        return plain_result(result)
    except EnricherFault as fault:
        return fault


def _plain_results(results: Any) -> Any:
    return [_plain_or_fault(each) for each in results] if isinstance(results, list | tuple) else results
