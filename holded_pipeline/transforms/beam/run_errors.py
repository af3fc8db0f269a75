"""The error of a run for its user: this library's own, with its sentence first, whatever the runner made of it."""

from __future__ import annotations

import re
from typing import Final

from holded_pipeline.model import errors
from holded_pipeline.model.errors import HoldedPipelineError, RejectRecord

_BY_NAME: Final = {
    each.__name__: each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, HoldedPipelineError) and each is not RejectRecord
}
# A line of a traceback; some services write the whole of it in one line, with "\\n" as text.
_IN_TRACEBACK: Final = re.compile(rf"(?:^|[\s.'\"]|\\n)({'|'.join(_BY_NAME)}): (.+?)(?=\\n|\n|$)")
_INTERRUPT: Final = re.compile(r"(?:^|\n|\\n)KeyboardInterrupt")
_LONGEST: Final = 4_000


def error_for_user(error: BaseException) -> BaseException:
    """The error of this library that ended a run; the error itself if there is none.

    A runner with workers in other processes raises a RuntimeError that has their traceback as its text. Its last line
    with an error of this library is what happened. Ctrl-C, which Beam may turn into a RuntimeError, is itself again.
    """
    if isinstance(error, HoldedPipelineError):
        return error
    if is_interrupt(error):
        return KeyboardInterrupt()
    found = _IN_TRACEBACK.findall(str(error)) if type(error) is RuntimeError else []
    if not found:
        return error
    name, sentence = found[-1]
    return _BY_NAME[name](sentence.strip())


def is_said_once(error: BaseException | None, text: str) -> bool:
    """Whether an error, or the text of a traceback, is what `error_for_user` makes one clear error of."""
    if isinstance(error, HoldedPipelineError) or is_interrupt(error):
        return True
    return "Traceback" in text and bool(_IN_TRACEBACK.search(text) or _INTERRUPT.search(text))


def is_interrupt(error: BaseException | None) -> bool:
    """Whether it is Ctrl-C, or was raised while Ctrl-C was handled."""
    seen: set[int] = set()  # an error may stand among its own causes
    while error is not None and not isinstance(error, KeyboardInterrupt) and id(error) not in seen:
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return isinstance(error, KeyboardInterrupt)


def describe_for_user(error: BaseException) -> str:
    """What a record says of the error that ended a run: its class and what it says, without a traceback."""
    cause = error_for_user(error)
    if isinstance(cause, KeyboardInterrupt):
        return "the run was interrupted (Ctrl-C)"
    lines = [line for line in str(cause).strip().splitlines() if line.strip()]
    is_traceback = any(line.startswith("Traceback (most recent call last)") for line in lines)
    text = (lines[-1] if is_traceback else "\n".join(lines)) if lines else ""
    return f"{type(cause).__name__}: {text}"[:_LONGEST] if text else type(cause).__name__
