"""What an exception of user code means: a fault of the event, an outage, or a wrong setting.

User code is enrichers, quality rules, envelopes, subject functions, row functions, and types of columns.
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

_TEXT = 500  # characters of an exception's text that are repeated
_MESSAGE = 4_000  # characters of a rejection's message that are kept
_REASON_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
# OSErrors that a value causes, not a server: datetime.fromtimestamp of a number out of range, a file name that is too
# long, data that are not gzip, an operation that a file in memory does not support.
_VALUE_ERRNOS = {errno.EOVERFLOW, errno.EINVAL, errno.ENAMETOOLONG}
_VALUE_ERRORS = (gzip.BadGzipFile, io.UnsupportedOperation)
_FILE_ERRORS = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)


class EnricherFault(Exception):  # noqa: N818  a result about one event; the caller decides what happens
    """An enricher failed for one event.

    Args:
        reason: `enricher_error`, `enricher_output` or `enricher_timeout`.
        text: what happened, to follow the enricher's name.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(reason, text)
        self.reason = reason
        self.text = text


def result_or_error(call: Callable[[Any], Any], argument: Any) -> Any:
    """What a call returned, or the exception that it raised."""
    try:
        return call(argument)
    except KeyboardInterrupt:  # the user stops the run
        raise
    except BaseException as error:  # noqa: BLE001  user code may raise anything, SystemExit too
        return error


def check_batch_result(outcome: Any, size: int) -> Any:
    """What `enrich_batch` returned, if it is a list with one item for each event; else what is wrong with it."""
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
    """Whether a server did not answer: one of the `transient` errors, or an `OSError` that is not about a file.

    `ConnectionError`, `TimeoutError`, `socket.gaierror`, `ssl.SSLError` and all errors of `requests` and `urllib` are
    such `OSError`s. An error of this library is an outage only if it is in `transient`: a `TransientError` comes after
    the retries. A `RejectRecord` or an `EnricherFault` never is one.
    """
    if isinstance(error, RejectRecord | EnricherFault):
        return False
    is_about_a_server = isinstance(error, OSError) and not isinstance(error, _FILE_ERRORS + _VALUE_ERRORS)
    return is_about_a_server or isinstance(error, transient)


def run_failure(error: BaseException, transient: tuple[type[Exception], ...], whose: str) -> HoldedPipelineError | None:
    """The error that the run fails with; None if the exception may be a fault of the event."""
    if is_outage(error, transient):
        return TransientError(
            f"{whose} raised {describe_error(error)}, which is an outage and never a fault of the event. "
            "Nothing was rejected for it: run again once the server is back"
        )
    for kind in (TransientError, ConfigurationError):  # not type(error), whose constructor may take other arguments
        if isinstance(error, kind):
            return kind(f"{whose.rstrip(',')}: {_text_of(error)}")
    if isinstance(error, HoldedPipelineError):
        return EnricherError(f"{whose} raised {describe_error(error)}")
    if isinstance(error, OSError) and not isinstance(error, _VALUE_ERRORS):
        return ConfigurationError(
            f"{whose} raised {describe_error(error)}: a file or a grant is missing on the worker; fix that, or "
            "raise RejectRecord if it is a fault of the event"
        )
    return None


def pipeline_error_for(reason: str, error: BaseException, whose: str, failed: str) -> HoldedPipelineError:
    """The error for an exception of a user's function: a `RejectRecord`, or one that fails the run.

    Args:
        reason: the reason code, unless the function raised a `RejectRecord` with a valid one.
        error: what it raised.
        whose: the name of the function, for the message.
        failed: what it could not do, to follow its name: `could not read the document`.
    """
    if isinstance(error, RejectRecord):
        rejection = bounded_rejection(error, whose)
        return rejection if isinstance(rejection, RejectRecord) else RejectRecord(reason, f"{whose} {rejection.text}")
    is_about_the_value = isinstance(error, OSError) and error.errno in _VALUE_ERRNOS
    failure = None if is_about_the_value else run_failure(error, (), whose)
    return failure or RejectRecord(reason, f"{whose} {failed}: {describe_error(error)}")


def bounded_rejection(rejection: RejectRecord, whose: str) -> RejectRecord | EnricherFault:
    """A rejection by user code with bounded texts and the name of that code; a fault if its fields are invalid."""
    bounded = result_or_error(lambda _: _bound_texts(rejection, whose), None)
    if isinstance(bounded, RejectRecord | EnricherFault):
        return bounded
    what = f"raised {type(rejection).__name__}, a RejectRecord that cannot be read ({describe_error(bounded)})"
    return EnricherFault("enricher_error", f"{what}; call super().__init__(reason, message)")


def _bound_texts(rejection: RejectRecord, whose: str) -> RejectRecord | EnricherFault:
    if not (isinstance(rejection.reason, str) and _REASON_CODE.fullmatch(rejection.reason)):
        code = truncated(repr(rejection.reason))
        what = f"raised RejectRecord with the reason {code}, which is not a snake_case code"
        return EnricherFault("enricher_error", f"{what}: {truncated(str(rejection.message))}")
    violations = [
        Violation(truncated(str(each.pointer)), truncated(str(each.keyword)), truncated(str(each.message)))
        for each in rejection.violations
        if isinstance(each, Violation)
    ]
    message = truncated(str(rejection.message), _MESSAGE)
    return RejectRecord(rejection.reason, f"{message} (rejected by {whose})", violations)


def name_of(function: Any) -> str:
    """The name of a user's function in messages."""
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def describe_error(error: BaseException) -> str:
    """The class of an exception and its text, truncated, with advice where the text alone does not help."""
    if isinstance(error, attrs.exceptions.FrozenInstanceError):
        return f"{type(error).__name__}: {CHANGE_REJECTED}"
    text = _text_of(error)
    if isinstance(error, SystemExit):
        text = f"{text}: it called sys.exit, which would end the run; raise an exception instead"
    return f"{type(error).__name__}: {truncated(text)}" if text else type(error).__name__


def _text_of(error: BaseException) -> str:
    text = result_or_error(str, error)
    return text if isinstance(text, str) else f"no message, its __str__ raised {type(text).__name__}"


def truncated(text: str, most: int = _TEXT) -> str:
    """At most `most` characters of a text; U+0000 and lone surrogates are escaped, for JSON and PostgreSQL."""
    return text[:most].replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()[:most]
