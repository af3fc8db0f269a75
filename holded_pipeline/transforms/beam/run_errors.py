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
_IN_TRACEBACK: Final = re.compile(rf"(?:^|[\s.'\"])({'|'.join(_BY_NAME)}): (.+)")
_ESCAPED_END: Final = re.compile(r"\\n|\n")


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
    return _BY_NAME[name](_ESCAPED_END.split(sentence, maxsplit=1)[0].strip())


def is_interrupt(error: BaseException | None) -> bool:
    """Whether it is Ctrl-C, or was raised while Ctrl-C was handled."""
    seen: set[int] = set()  # an error may stand among its own causes
    while error is not None and not isinstance(error, KeyboardInterrupt) and id(error) not in seen:
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return isinstance(error, KeyboardInterrupt)
