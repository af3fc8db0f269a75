"""Errors of the examples: one line and an exit code instead of a traceback.

Only an unexpected error, which is a defect of the program, still has a traceback.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

import sqlalchemy as sa
from botocore.exceptions import BotoCoreError, ClientError

import holded_pipeline as hp

_LIBRARY_ERRORS = hp.HoldedPipelineError | ValueError
_SERVER_AND_FILE_ERRORS = OSError | BotoCoreError | ClientError | sa.exc.DBAPIError
INTERRUPTED = 130


def exit_code_of(work: Callable[[], int]) -> int:
    """Runs `work` and returns its exit code; an error is printed in one line, and the code is 1."""
    try:
        return work()
    except KeyboardInterrupt:
        print_status("interrupted")
        return INTERRUPTED
    except Exception as error:
        if _is_interrupt(error):
            print_status("interrupted")
            return INTERRUPTED
        message = user_message(error)
        if message is None:
            raise
        print_status(f"error: {message.splitlines()[0]}")
        return 1


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether it is Ctrl-C, which Beam turns into a RuntimeError if it interrupts a worker in this process."""
    seen: set[int] = set()  # an error may stand among its own causes
    while error is not None and not isinstance(error, KeyboardInterrupt) and id(error) not in seen:
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return isinstance(error, KeyboardInterrupt)


def user_message(error: BaseException) -> str | None:
    """The message of an error that a user can act on, also if a runner has only its text; else None."""
    if isinstance(error, _LIBRARY_ERRORS):
        return str(error)
    if isinstance(error, _SERVER_AND_FILE_ERRORS):
        return str(error) or type(error).__name__
    messages = re.findall(
        r"(?:ConfigurationError|TransientError|ObjectVanishedError|EnricherError|TooManyRejectedError): (.+)",
        str(error),
    )
    return str(messages[-1]) if messages else None


def print_status(text: str) -> None:
    """Prints progress and errors to stderr; reports go to stdout."""
    print(text, file=sys.stderr, flush=True)
