"""What the checks of quality rules and envelopes share: each function is pickled, called twice, and has a docstring."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from holded_pipeline.testing.contract.broken_rules import BrokenRules
from holded_pipeline.transforms.beam.pickling import LET_IT_OPEN, pickle_roundtrip
from holded_pipeline.transforms.workers.bounded_calls import BoundedCalls
from holded_pipeline.user_code.errors import EnricherFault, describe_error


def call_twice(bounded: BoundedCalls, call: Callable[[Any], Any], argument: Any) -> tuple[Any, Any]:
    """The outcomes of two calls; if the first does not end in time, its outcome is returned twice."""
    first = bounded.result_or_error(call, argument)
    return first, first if isinstance(first, EnricherFault) else bounded.result_or_error(call, argument)


def copy_for_worker(thing: Any, component: str, broken_rules: BrokenRules) -> Any:
    """The copy that a worker unpickles; the thing itself if it cannot be pickled, which breaks a rule."""
    copy = pickle_roundtrip(thing)
    if not isinstance(copy, BaseException):
        return copy
    seen = f"{component} cannot be pickled for a worker: {describe_error(copy)}"
    broken_rules.add("picklable", seen, LET_IT_OPEN, component=component)
    return thing


def has_docstring(thing: Any) -> bool:
    """Whether a function, or the class of an object, has a docstring."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    if inspect.isroutine(thing):
        return bool(inspect.getdoc(thing))
    kind: type = type(thing)
    return any(each.__doc__ for each in kind.__mro__ if each is not object)


def shorten(text: str, most: int) -> str:
    """The text, cut with an ellipsis after so many characters."""
    return text if len(text) <= most else f"{text[:most]}…"
