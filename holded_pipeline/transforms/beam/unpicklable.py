"""Which part of a user's function cannot be pickled: pickle names only its type."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from holded_pipeline.user_code.errors import name_of

_DEEPEST: Final = 4
_MOST_PARTS: Final = 50  # of one thing that are looked at

Part = tuple[str, Any]
"""What messages call a part of a thing, and the part."""


def describe_unpicklable_part(thing: Any, is_picklable: Callable[[Any], bool]) -> str | None:
    """The innermost named part that cannot be pickled, e.g. `its global connection, a Connection`; None if unknown.

    Args:
        thing: what cannot be pickled: a function, or an object.
        is_picklable: whether a part can be.
    """
    found: str | None = None
    for _ in range(_DEEPEST):
        part = next((part for part in _looked_at(thing) if not is_picklable(part[1])), None)
        if part is None:
            break
        name, thing = part
        kind = f"the function {name_of(thing)}" if inspect.isroutine(thing) else f"of type {type(thing).__name__}"
        found = f"{name}, {kind}" if found is None else f"{found}, and of that {name}, {kind}"
    return found


def _looked_at(thing: Any) -> Iterator[Part]:
    named = (part for _, part in zip(range(_MOST_PARTS), _named_parts(thing), strict=False))
    return ((name, value) for name, value in named if not inspect.ismodule(value))


def _named_parts(thing: Any) -> Iterator[Part]:
    if isinstance(thing, functools.partial):
        yield "the function of the partial", thing.func
        yield from ((f"its argument {number}", value) for number, value in enumerate(thing.args, 1))
        yield from _prefixed("its argument", thing.keywords)
    elif inspect.ismethod(thing):
        yield "its object", thing.__self__
    elif inspect.isfunction(thing):
        yield from _function_parts(thing)
    elif isinstance(thing, Mapping):
        yield from _prefixed("the entry", thing)
    elif isinstance(thing, list | tuple | set | frozenset):
        yield from ((f"item {number}", value) for number, value in enumerate(thing, 1))
    else:
        yield from _prefixed("its attribute", getattr(thing, "__dict__", {}))


def _function_parts(function: Any) -> Iterator[Part]:
    try:
        used = inspect.getclosurevars(function)
    except (TypeError, ValueError):  # a variable of a closure has no value yet
        return
    yield from _prefixed("the variable", used.nonlocals)
    yield from _prefixed("the global", used.globals)
    yield from ((f"its default {value!r:.40}", value) for value in function.__defaults__ or ())
    yield from _prefixed("its default", function.__kwdefaults__ or {})


def _prefixed(kind: str, values: Mapping[Any, Any]) -> Iterator[Part]:
    return ((f"{kind} {name!s:.60}", value) for name, value in list(values.items()))
