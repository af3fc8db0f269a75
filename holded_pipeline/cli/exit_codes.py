"""The exit codes of the command, and which error has which."""

from __future__ import annotations

from enum import IntEnum

from holded_pipeline.local.process import StartError
from holded_pipeline.model.errors import ConfigurationError, TooManyRejectedError, TransientError


class ExitCode(IntEnum):
    """What the exit code of a command says; `docs/reference/cli.md` has the same table."""

    OK = 0
    FAILED = 1
    WRONG_USAGE = 2
    NO_ANSWER = 3
    TOO_MANY_REJECTED = 4
    INTERRUPTED = 130


_BY_ERROR = (
    (TooManyRejectedError, ExitCode.TOO_MANY_REJECTED),
    (TransientError, ExitCode.NO_ANSWER),
    (StartError, ExitCode.NO_ANSWER),
    (ConfigurationError, ExitCode.WRONG_USAGE),
    (ValueError, ExitCode.WRONG_USAGE),
    (KeyboardInterrupt, ExitCode.INTERRUPTED),
)


def exit_code_of(error: BaseException) -> ExitCode:
    """The exit code of the error that ended a command."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), ExitCode.FAILED)
