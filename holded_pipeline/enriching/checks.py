"""Validators of an enricher's function and options: they raise when the enricher is written, not on a worker."""

from __future__ import annotations

import inspect
from typing import Any, Final

import attrs

from holded_pipeline.enriching.drafts import PROVENANCE
from holded_pipeline.model.json_strings import is_storable
from holded_pipeline.user_code.errors import name_of

RESERVED: Final = frozenset({"schema", "headers", "correlation_id", "collected_at", "sender", "envelope", PROVENANCE})
"""Entries of `event.metadata` that other stages write."""

_YEAR = 365 * 24 * 60 * 60  # seconds


def is_context_manager(function: Any) -> bool:
    """Whether it is a context manager."""
    return hasattr(type(function), "__enter__") and hasattr(type(function), "__exit__")


def validate_name(_: object, __: object, name: Any) -> None:
    """Checks the name of an enricher.

    Raises:
        ValueError: it is not an identifier, or the name of an entry that another stage writes.
    """
    if not (isinstance(name, str) and name.isidentifier()):
        raise ValueError(
            f"an enricher needs a name that can be a key of event.metadata, got {name!r}; give a lambda or a partial "
            "one with hp.Enricher(name, function)"
        )
    if name in RESERVED:
        raise ValueError(f"the name {name!r} is taken by the pipeline itself; choose another one")


def validate_no_enricher(enricher: object, _: object, function: Any) -> None:
    """Checks that the function of an `Enricher` is not an `Enricher` itself, whose options would be lost.

    Raises:
        TypeError: it is one.
    """
    if isinstance(function, type(enricher)):
        raise TypeError(
            f"{function} is an hp.Enricher already, and its options would be lost; give the function and its options"
        )


def validate_function(_: object, __: object, function: Any) -> None:
    """Checks that a function can be called with an event, or with a list of events.

    Raises:
        TypeError: it is a class, a coroutine or generator function, not callable, or takes other arguments.
    """
    if inspect.isclass(function):
        name = function.__name__
        raise TypeError(f"an enricher is a function or an object, and {name} is a class; make an object: {name}(...)")
    batch = getattr(function, "enrich_batch", None)
    called = function if batch is None else batch
    if not callable(called):
        if is_context_manager(function):
            return  # what __enter__ returns is called, and is checked when it is opened
        advice = "; give several one by one: hp.Enrich(*enrichers)" if isinstance(function, list | tuple) else ""
        raise TypeError(f"an enricher is a function (event) -> mapping, or has enrich_batch; got {function!r}{advice}")
    if inspect.iscoroutinefunction(called) or inspect.iscoroutinefunction(getattr(called, "__call__", None)):  # noqa: B004
        raise TypeError(f"the enricher {function!r} is asynchronous; write a plain function")
    if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        raise TypeError(f"the enricher {function!r} is a generator, since it has a yield; let it return its result")
    _validate_signature(function, called)


def _validate_signature(function: Any, called: Any) -> None:
    try:
        signature = inspect.signature(called)
    except (TypeError, ValueError):  # written in C, without a signature
        return
    try:
        signature.bind(None)
    except TypeError as error:
        raise TypeError(
            f"an enricher is called with one argument, the event or a list of events, "
            f"and {name_of(function)} takes {signature}: {error}"
        ) from error


def validate_seconds(_: object, attribute: attrs.Attribute[Any], seconds: Any) -> None:
    """Checks a duration in seconds.

    Raises:
        ValueError: it is not a number above 0, or more than a year, which thread timeouts cannot hold.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= _YEAR:
        raise ValueError(
            f"an enricher's {attribute.name} is a number of seconds above 0 and up to {_YEAR:,}, got {seconds!r}"
        )


def validate_text(_: object, attribute: attrs.Attribute[Any], text: Any) -> None:
    """Checks a text that is stored with events.

    Raises:
        TypeError: it is not a text.
        ValueError: it contains U+0000 or a lone surrogate.
    """
    if not isinstance(text, str):
        raise TypeError(f"{attribute.name} is a text, got {text!r}")
    if not is_storable(text):
        raise ValueError(f"{attribute.name} is kept with events, and U+0000 or a lone surrogate in {text!r} cannot be")


def validate_version(_: object, attribute: attrs.Attribute[Any], version: Any) -> None:
    """Checks the version of an enricher.

    Raises:
        TypeError: it is not a text.
        ValueError: it cannot be stored with an event.
    """
    if not isinstance(version, str):
        raise TypeError(f'an enricher\'s version is a text such as "1.0", got {version!r}')
    validate_text(None, attribute, version)


def validate_on_error(_: object, __: object, on_error: Any) -> None:
    """Checks `on_error`.

    Raises:
        ValueError: it is not one of the three words.
    """
    if on_error not in ("reject", "skip", "fail"):
        raise ValueError(f'an enricher\'s on_error is "reject", "skip" or "fail", got {on_error!r}')


def validate_batch_size(_: object, __: object, size: Any) -> None:
    """Checks the size of a batch.

    Raises:
        ValueError: it is not a whole number of 1 or more.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"an enricher's batch_size is a whole number of events, 1 or more, got {size!r}")


def validate_retry(_: object, __: object, retry: Any) -> None:
    """Checks `retry`.

    Raises:
        TypeError: it has no method `call`.
    """
    if inspect.isclass(retry) or not callable(getattr(retry, "call", None)):
        raise TypeError(f"an enricher's retry is an hp.Retry, got {retry!r}")


def validate_exception_types(_: object, __: object, transient: Any) -> None:
    """Checks `transient`.

    Raises:
        TypeError: it is not a tuple of exception classes.
    """
    if not isinstance(transient, tuple) or not all(
        inspect.isclass(kind) and issubclass(kind, Exception) for kind in transient
    ):
        raise TypeError(f"an enricher's transient is a tuple of exception classes, e.g. (MyError,), got {transient!r}")
