"""What an enricher's exception means: the event's fault, an outage, or a wrong setting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from holded_pipeline.core.errors import ConfigurationError, EnricherError, HoldedPipelineError, TransientError
from holded_pipeline.core.read_only import CHANGED

_TEXT = 500  # characters of a stranger's message that are repeated
_FILE_ERRORS = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)


class EnricherFault(Exception):  # noqa: N818  a finding about one event; what becomes of it is decided elsewhere
    """An enricher failed for one event.

    Args:
        reason: `enricher_error`, `enricher_output` or `enricher_timeout`.
        text: what happened, after the enricher's name.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(reason, text)
        self.reason = reason
        self.text = text


def outcome_of(call: Callable[[Any], Any], argument: Any) -> Any:
    """What an enricher returned, or the exception that it raised."""
    try:
        return call(argument)
    except KeyboardInterrupt:  # the user's own wish
        raise
    except BaseException as error:  # noqa: BLE001  a stranger's function may raise anything, SystemExit too
        return error


def batch_of(outcome: Any, size: int) -> Any:
    """What `enrich_batch` returned, if it is a list with an item for each event; else what is wrong with it."""
    if isinstance(outcome, BaseException):
        return outcome
    if isinstance(outcome, list | tuple) and len(outcome) == size:
        return list(outcome)
    found = type(outcome).__name__
    if isinstance(outcome, list | tuple):
        found += f" of {len(outcome)}"
    wanted = f"a list with one item for each event, here {size}"
    return EnricherFault("enricher_output", f"returned a {found}; enrich_batch must return {wanted}")


def is_outage(error: BaseException, transient: tuple[type[Exception], ...]) -> bool:
    """Whether a server did not answer: a declared error, or an `OSError` that does not speak of a file.

    `ConnectionError`, `TimeoutError`, `socket.gaierror`, `ssl.SSLError` and all errors of `requests` and `urllib` are
    such `OSError`s.
    """
    if isinstance(error, HoldedPipelineError | EnricherFault):
        return False
    return isinstance(error, transient) or (isinstance(error, OSError) and not isinstance(error, _FILE_ERRORS))


def run_failure(error: BaseException, transient: tuple[type[Exception], ...], whose: str) -> HoldedPipelineError | None:
    """What the run fails with for an exception that is not the event's fault; None if it may be."""
    if isinstance(error, TransientError | ConfigurationError):
        return type(error)(f"{whose.rstrip(',')}: {error}")
    if isinstance(error, HoldedPipelineError):
        return EnricherError(f"{whose} raised {told(error)}")
    if is_outage(error, transient):
        return TransientError(
            f"{whose} raised {told(error)}, which is an outage and never the event's fault. "
            "Nothing was rejected for it: run again once the server is back"
        )
    if isinstance(error, OSError):
        return ConfigurationError(
            f"{whose} raised {told(error)}: a file or a grant is missing on the worker; mend that, or let the "
            "enricher raise RejectRecord if the event is to blame"
        )
    return None


def told(error: BaseException) -> str:
    """The kind and the text of an exception, within bounds; what it lacks in words is added."""
    if isinstance(error, attrs.exceptions.FrozenInstanceError):
        return f"{type(error).__name__}: {CHANGED}"
    try:
        text = str(error)
    except Exception as fault:  # noqa: BLE001  a stranger's __str__ may raise anything
        text = f"no message, its __str__ raised {type(fault).__name__}"
    if isinstance(error, SystemExit):
        text = f"{text}: it called sys.exit, which no enricher may; raise an exception instead"
    return f"{type(error).__name__}: {shown(text)}" if text else type(error).__name__


def shown(text: str, most: int = _TEXT) -> str:
    """A stranger's text as it can stand in a message and in JSON: within bounds, and whole characters only."""
    return text[:most].replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()[:most]
