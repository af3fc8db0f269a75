"""What an exception of a stranger's code means: the event's fault, an outage, or a wrong setting.

Enrichers, quality rules, envelopes, subject and row functions, and types of columns are such code.
"""

from __future__ import annotations

import errno
import gzip
import io
import re
from collections.abc import Callable
from typing import Any

import attrs

from holded_pipeline.model.errors import (
    ConfigurationError,
    EnricherError,
    HoldedPipelineError,
    RejectRecord,
    TransientError,
)
from holded_pipeline.model.values import Violation
from holded_pipeline.user_code.read_only import CHANGE_REJECTED

_TEXT = 500  # characters of a stranger's message that are repeated
_MESSAGE = 4_000  # characters of a refusal that are kept
_REASON = re.compile(r"[a-z][a-z0-9_]{0,63}")
# OSErrors that a value causes, not a server: datetime.fromtimestamp over a number that is no moment, a name that is too
# long, data that are no gzip, an operation that a file in memory does not have.
_VALUE_ERRNOS = {errno.EOVERFLOW, errno.EINVAL, errno.ENAMETOOLONG}
_VALUE_ERRORS = (gzip.BadGzipFile, io.UnsupportedOperation)
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


def result_or_error(call: Callable[[Any], Any], argument: Any) -> Any:
    """What a call returned, or the exception that it raised."""
    try:
        return call(argument)
    except KeyboardInterrupt:  # the user's own wish
        raise
    except BaseException as error:  # noqa: BLE001  a stranger's function may raise anything, SystemExit too
        return error


def check_batch_result(outcome: Any, size: int) -> Any:
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
    such `OSError`s. An error of ours is one only where it is declared: who raises `TransientError` has waited already.
    A refusal never is, and no finding about an event.
    """
    if isinstance(error, RejectRecord | EnricherFault):
        return False
    is_of_a_server = isinstance(error, OSError) and not isinstance(error, _FILE_ERRORS + _VALUE_ERRORS)
    return is_of_a_server or isinstance(error, transient)


def run_failure(error: BaseException, transient: tuple[type[Exception], ...], whose: str) -> HoldedPipelineError | None:
    """What the run fails with for an exception that is not the event's fault; None if it may be."""
    if is_outage(error, transient):
        return TransientError(
            f"{whose} raised {describe_error(error)}, which is an outage and never the event's fault. "
            "Nothing was rejected for it: run again once the server is back"
        )
    for kind in (TransientError, ConfigurationError):  # not the error's own class, which may take other arguments
        if isinstance(error, kind):
            return kind(f"{whose.rstrip(',')}: {_words(error)}")
    if isinstance(error, HoldedPipelineError):
        return EnricherError(f"{whose} raised {describe_error(error)}")
    if isinstance(error, OSError) and not isinstance(error, _VALUE_ERRORS):
        return ConfigurationError(
            f"{whose} raised {describe_error(error)}: a file or a grant is missing on the worker; mend that, or raise "
            "RejectRecord if the event is to blame"
        )
    return None


def pipeline_error_for(reason: str, error: BaseException, whose: str, failed: str) -> HoldedPipelineError:
    """What a stranger's function that raised does: refuse the record, or end the run.

    Args:
        reason: of the refusal, unless the function gave one that can stand.
        error: what it raised.
        whose: names the function.
        failed: what it did not do, after its name: `could not read the document`.
    """
    if isinstance(error, RejectRecord):
        refused = bounded_rejection(error, whose)
        return refused if isinstance(refused, RejectRecord) else RejectRecord(reason, f"{whose} {refused.text}")
    is_of_the_value = isinstance(error, OSError) and error.errno in _VALUE_ERRNOS
    failure = None if is_of_the_value else run_failure(error, (), whose)
    return failure or RejectRecord(reason, f"{whose} {failed}: {describe_error(error)}")


def bounded_rejection(refused: RejectRecord, whose: str) -> RejectRecord | EnricherFault:
    """A refusal by a stranger's code within bounds, with the name of that code; a fault if there is rubbish in it."""
    found = result_or_error(lambda _: _read_refusal(refused, whose), None)
    if isinstance(found, RejectRecord | EnricherFault):
        return found
    what = f"raised {type(refused).__name__}, a RejectRecord that cannot be read ({describe_error(found)})"
    return EnricherFault("enricher_error", f"{what}; call super().__init__(reason, message)")


def _read_refusal(refused: RejectRecord, whose: str) -> RejectRecord | EnricherFault:
    if not (isinstance(refused.reason, str) and _REASON.fullmatch(refused.reason)):
        what = f"raised RejectRecord with the reason {truncated(repr(refused.reason))}, which is no snake_case code"
        return EnricherFault("enricher_error", f"{what}: {truncated(str(refused.message))}")
    violations = [
        Violation(truncated(str(each.pointer)), truncated(str(each.keyword)), truncated(str(each.message)))
        for each in refused.violations
        if isinstance(each, Violation)
    ]
    said = truncated(str(refused.message), _MESSAGE)
    return RejectRecord(refused.reason, f"{said} (refused by {whose})", violations)


def name_of(function: Any) -> str:
    """What a stranger's function is called in messages."""
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def describe_error(error: BaseException) -> str:
    """The kind and the text of an exception, within bounds; what it lacks in words is added."""
    if isinstance(error, attrs.exceptions.FrozenInstanceError):
        return f"{type(error).__name__}: {CHANGE_REJECTED}"
    text = _words(error)
    if isinstance(error, SystemExit):
        text = f"{text}: it called sys.exit, which would end the run; raise an exception instead"
    return f"{type(error).__name__}: {truncated(text)}" if text else type(error).__name__


def _words(error: BaseException) -> str:
    words = result_or_error(str, error)
    return words if isinstance(words, str) else f"no message, its __str__ raised {type(words).__name__}"


def truncated(text: str, most: int = _TEXT) -> str:
    """A stranger's text as it can stand in a message and in JSON: within bounds, and whole characters only."""
    return text[:most].replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()[:most]
