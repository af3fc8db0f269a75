"""How much work explaining one document may take, in steps rather than seconds.

A slow machine then lists the same violations as a fast one. A step is about ten microseconds: one schema applied to
one value, two thousand characters of a message, or a few names compared with patterns.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sized
from contextvars import ContextVar
from typing import Any, Final

from jsonschema.exceptions import ValidationError

from holded_pipeline.schemas.schema_errors import truncate_message

REMAINING_STEPS: Final[ContextVar[list[int]]] = ContextVar("remaining_steps")
"""How many more steps may be taken; a list of one number. Unlimited where it is not set."""

_MEMBERS_PER_STEP = 256  # that a keyword only looks up
_CHARACTERS_PER_STEP = 2048  # of a message, which may repeat the document


class TooManyStepsError(Exception):
    """`REMAINING_STEPS` are used up. Recursion with `unevaluatedProperties` can double the steps with each level."""


def count_steps(steps: int = 1) -> None:
    """Subtracts steps from those that remain.

    Raises:
        TooManyStepsError: none remain.
    """
    remaining = REMAINING_STEPS.get(None)
    if remaining is not None:
        remaining[0] -= steps
        if remaining[0] < 0:
            raise TooManyStepsError


@contextlib.contextmanager
def limited_steps(steps: int) -> Iterator[None]:
    """Limits the steps of what runs inside."""
    token = REMAINING_STEPS.set([steps])
    try:
        yield
    finally:
        REMAINING_STEPS.reset(token)


def counting_steps(check: Callable[..., Any]) -> Callable[..., Iterator[ValidationError]]:
    """The function of a keyword, as `jsonschema` calls it, that counts its steps and shortens its messages.

    Messages are shortened here, and not at the end: `oneOf` keeps the errors of all its branches.
    """

    def counting(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        count_steps((_length_of(value) + _length_of(instance)) // _MEMBERS_PER_STEP)
        for error in check(validator, value, instance, schema) or ():
            count_steps(len(error.message) // _CHARACTERS_PER_STEP)
            yield with_short_message(error)

    return counting


def with_short_message(error: Any) -> Any:
    """The error with a short message: thousands of errors are kept, and each may repeat a large enum or value."""
    error.message = truncate_message(error.message)
    error.args = ()  # they hold the long message
    return error


def _length_of(value: Any) -> int:
    return len(value) if isinstance(value, Sized) else 0
