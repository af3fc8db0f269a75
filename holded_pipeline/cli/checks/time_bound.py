"""An end to a check whose server accepts connections and says nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from holded_pipeline.model.errors import TransientError
from holded_pipeline.servers.background_call import call_in_background

_GRACE: Final = 2.0  # seconds; an error of the call itself says more than the end of the time


def within(seconds: float, server: str, check: Callable[[], str]) -> str:
    """What a check returns, or raises.

    Args:
        seconds: after which the check is given up, and a little more.
        server: which one it asks, for the message.
        check: is left to itself, in a thread that keeps no process from ending.

    Raises:
        TransientError: the time was over.
    """
    outcome = call_in_background(check, "check")
    try:
        return outcome.result(seconds + _GRACE)
    except TimeoutError as error:
        if outcome.done():
            raise
        raise TransientError(
            f"the {server} did not answer within {seconds:g} s: it may accept connections and say nothing. See that "
            "the address is that of the server, and that it is not stopped or overloaded"
        ) from error
