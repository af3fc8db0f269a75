"""Whether what a user gave can be called as a function of a certain form: checked where it is given."""

from __future__ import annotations

import inspect
from typing import Any

from holded_pipeline.user_code.errors import name_of


def require_function(given: Any, what: str, form: str, *, arguments: int = 1, names: tuple[str, ...] = ()) -> None:
    """Checks that something can be called so.

    Args:
        given: the function, or an object or a class that is called.
        what: what messages call it, e.g. `row`.
        form: how it is called and what it returns, e.g. `(element) -> {column: value}`.
        arguments: how many positional arguments it is given.
        names: keyword arguments that it is given, too.

    Raises:
        TypeError: it cannot be called, is asynchronous or a generator, or takes other arguments.
    """
    wanted = f"{what} is a function {form}"
    if not callable(given):
        raise TypeError(f"{wanted}, got {type(given).__name__}")
    name = name_of(given)
    if inspect.isclass(given) and "__call__" in vars(given):
        raise TypeError(f"{wanted}, and {name} is a class whose objects are called; make an object: {name}(…)")
    if inspect.iscoroutinefunction(given) or inspect.isasyncgenfunction(given):
        raise TypeError(f"{wanted}, and {name} is asynchronous; write a plain function")
    if inspect.isgeneratorfunction(given):
        raise TypeError(f"{wanted}, and {name} is a generator, since it has a yield; let it return its result")
    try:
        signature = inspect.signature(given)
    except (TypeError, ValueError):  # written in C, without a signature
        return
    try:
        signature.bind(*[None] * arguments, **dict.fromkeys(names))
    except TypeError as error:
        raise TypeError(f"{wanted}, and {name} takes {signature}: {error}") from error
