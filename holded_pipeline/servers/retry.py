"""Retries during an outage: until a deadline, then the run fails."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import attrs
import tenacity

from holded_pipeline.model.errors import TransientError

T = TypeVar("T")
_WRAPPED = 10  # errors around one of the system, at most
_logger = logging.getLogger("holded_pipeline")


def _validate_positive(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not value > 0:  # which NaN is not either
        raise ValueError(f"Retry.{attribute.name} must be more than 0 seconds, got {value}")


def _validate_finite(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if math.isinf(value):
        raise ValueError(f"Retry.{attribute.name} must be a number of seconds, got {value}; only deadline may be inf")


@attrs.frozen
class Retry:
    """How long calls are retried during an outage.

    Waits double from `first_wait` to `longest_wait`, with jitter so that workers do not retry at the same time. The
    last attempt is made when the deadline is reached.

    Attributes:
        deadline: seconds after which the run fails with a `TransientError`; `math.inf` for never.
        first_wait: seconds before the second attempt.
        longest_wait: at most so many seconds between attempts.
    """

    deadline: float = attrs.field(default=120.0, validator=_validate_positive)
    first_wait: float = attrs.field(default=0.2, validator=[_validate_positive, _validate_finite])
    longest_wait: float = attrs.field(default=10.0, validator=[_validate_positive, _validate_finite])

    def _next_wait(self, state: tenacity.RetryCallState) -> float:
        """The wait before the next attempt; the last attempt is made at the deadline."""
        usual = tenacity.wait_exponential(self.first_wait, self.longest_wait) + tenacity.wait_random(0, self.first_wait)
        return min(usual(state), max(self.deadline - (state.seconds_since_start or 0.0), 0.0))

    def call(self, attempt: Callable[[], T], *, server: str, is_transient: Callable[[Exception], bool]) -> T:
        """Calls `attempt` until it returns, until its error is not transient, or until the deadline.

        Args:
            attempt: the whole operation; must be safe to repeat.
            server: names the server in the error, e.g. `object store http://localhost:9000`. No credentials.
            is_transient: whether an error is an outage.

        Raises:
            TransientError: the deadline passed; the last error is its cause.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, Exception) and is_transient(error)),
            stop=tenacity.stop_after_delay(self.deadline),
            wait=self._next_wait,
            before_sleep=partial(_warn, server),
            reraise=True,
        )
        try:
            return retrying(attempt)
        except Exception as error:
            if not is_transient(error):
                raise
            raise TransientError(
                f"{server} did not answer within {self.deadline:g} s; the last error was "
                f"{_describe_last_error(error)}. {_advise(error)}"
            ) from error


def is_caused_by(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether an error, or one that it was raised for, is of a kind: drivers wrap those of the system in their own."""
    cause: BaseException | None = error
    for _ in range(_WRAPPED):
        if cause is None or isinstance(cause, kind):
            break
        cause = cause.__cause__ or cause.__context__
    return isinstance(cause, kind)


def _advise(error: BaseException) -> str:
    if is_caused_by(error, ConnectionRefusedError) or "connection refused" in str(error).lower():
        return "Nothing listens at that address: start the server, or check host and port. Nothing was rejected for it"
    return "Nothing was rejected for it: run again once it is back"


def _warn(server: str, state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    wait = state.next_action.sleep if state.next_action else 0.0
    _logger.warning(
        "%s does not answer (%s); attempt %d follows in %.1f s",
        server,
        _describe_last_error(error),
        state.attempt_number + 1,
        wait,
    )


def _describe_last_error(error: BaseException | None) -> str:
    """The class of an error and the first line of its text; of an error of SQLAlchemy, those of the driver's error."""
    cause = getattr(error, "orig", None) or error
    first, *_ = str(cause).strip().splitlines() or [""]
    return f"{type(cause).__name__}: {first}" if first else type(cause).__name__
