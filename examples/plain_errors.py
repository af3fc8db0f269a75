"""What the examples say when something goes wrong: one line and an exit code, no traceback.

Only what is nobody's expected trouble still shows one: that is an error of the program.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

import sqlalchemy as sa
from botocore.exceptions import BotoCoreError, ClientError

import holded_pipeline as hp

_OURS = hp.HoldedPipelineError | ValueError
_OF_SERVERS_AND_FILES = OSError | BotoCoreError | ClientError | sa.exc.DBAPIError
INTERRUPTED = 130


def plainly(work: Callable[[], int]) -> int:
    """The exit code of `work`; its error in one line."""
    try:
        return work()
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except Exception as error:
        if _interrupted(error):
            say("interrupted")
            return INTERRUPTED
        words = explained(error)
        if words is None:
            raise
        say(f"error: {words.splitlines()[0]}")
        return 1


def _interrupted(error: BaseException | None) -> bool:
    """Whether it is Ctrl-C, of which Beam makes a RuntimeError when a worker in this process is hit."""
    seen: set[int] = set()  # an error may stand among its own causes
    while error is not None and not isinstance(error, KeyboardInterrupt) and id(error) not in seen:
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return isinstance(error, KeyboardInterrupt)


def explained(error: BaseException) -> str | None:
    """The words of an error that a user can do something about, also where a runner made text of it; else None."""
    if isinstance(error, _OURS):
        return str(error)
    if isinstance(error, _OF_SERVERS_AND_FILES):
        return str(error) or type(error).__name__
    said = re.findall(
        r"(?:ConfigurationError|TransientError|ObjectVanishedError|EnricherError|TooManyRejectedError): (.+)",
        str(error),
    )
    return str(said[-1]) if said else None


def say(text: str) -> None:
    """Progress and errors go to stderr, reports to stdout."""
    print(text, file=sys.stderr, flush=True)
