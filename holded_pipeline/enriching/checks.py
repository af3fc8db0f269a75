"""What an enricher's function and options must be like, found out when they are written rather than on a worker."""

from __future__ import annotations

import inspect
from typing import Any, Final

import attrs

from holded_pipeline.enriching.drafts import PROVENANCE
from holded_pipeline.model.json_codec import is_storable

RESERVED: Final = frozenset({"schema", "headers", "correlation_id", "collected_at", "envelope", PROVENANCE})
"""Entries of `event.metadata` that other stages write."""

_YEAR = 365 * 24 * 60 * 60  # seconds


def opens_and_closes(function: Any) -> bool:
    """Whether it is a context manager."""
    return hasattr(type(function), "__enter__") and hasattr(type(function), "__exit__")


def usable_name(_: object, __: object, name: Any) -> None:
    """Refuses what cannot name an entry of `event.metadata`.

    Raises:
        ValueError: it is no identifier, or the name of an entry that another stage writes.
    """
    if not (isinstance(name, str) and name.isidentifier()):
        raise ValueError(
            f"an enricher needs a name that can stand in event.metadata, got {name!r}; give a lambda or a partial "
            "one with hp.Enricher(name, function)"
        )
    if name in RESERVED:
        raise ValueError(f"the name {name!r} is taken by the pipeline itself; choose another one")


def no_enricher_itself(enricher: object, _: object, function: Any) -> None:
    """Refuses an `Enricher` in the place of a function: of its options none would be kept.

    Raises:
        TypeError: it is one.
    """
    if isinstance(function, type(enricher)):
        raise TypeError(
            f"{function} is an hp.Enricher already, and its options would be lost; give the function and its options"
        )


def usable_function(_: object, __: object, function: Any) -> None:
    """Refuses what could only fail for every event.

    Raises:
        TypeError: it is a class, a coroutine function, nothing that can be called, or takes other arguments.
    """
    if inspect.isclass(function):
        name = function.__name__
        raise TypeError(f"an enricher is a function or an object, and {name} is a class; make an object: {name}(...)")
    batch = getattr(function, "enrich_batch", None)
    called = function if batch is None else batch
    if not callable(called):
        if opens_and_closes(function):
            return  # what __enter__ returns is called; it is looked at when it is opened
        raise TypeError(f"an enricher is a function (event) -> mapping, or has enrich_batch; got {function!r}")
    if inspect.iscoroutinefunction(called) or inspect.iscoroutinefunction(getattr(called, "__call__", None)):  # noqa: B004
        raise TypeError(f"the enricher {function!r} is asynchronous; write a plain function")
    if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        raise TypeError(f"the enricher {function!r} is a generator, since it has a yield; let it return its result")
    _takes_one_argument(function, called)


def _takes_one_argument(function: Any, called: Any) -> None:
    try:
        signature = inspect.signature(called)
    except (TypeError, ValueError):  # written in C, without a signature
        return
    try:
        signature.bind(None)
    except TypeError as error:
        raise TypeError(
            f"an enricher is called with one argument, the event or a list of events, "
            f"and {function!r} takes {signature}: {error}"
        ) from error


def usable_seconds(_: object, attribute: attrs.Attribute[Any], seconds: Any) -> None:
    """Refuses what is no time to wait.

    Raises:
        ValueError: it is no number above 0, or more than a year, which no clock here can wait for.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= _YEAR:
        raise ValueError(
            f"an enricher's {attribute.name} is a number of seconds above 0 and up to {_YEAR:,}, got {seconds!r}"
        )


def usable_text(_: object, attribute: attrs.Attribute[Any], text: Any) -> None:
    """Refuses what cannot be kept with an event.

    Raises:
        TypeError: it is no text.
        ValueError: it holds U+0000 or a lone surrogate.
    """
    if not isinstance(text, str):
        raise TypeError(f"{attribute.name} is a text, got {text!r}")
    if not is_storable(text):
        raise ValueError(f"{attribute.name} is kept with events, and U+0000 or a lone surrogate in {text!r} cannot be")


def usable_version(_: object, attribute: attrs.Attribute[Any], version: Any) -> None:
    """Refuses what is no version.

    Raises:
        TypeError: it is no text.
        ValueError: it cannot be kept with an event.
    """
    if not isinstance(version, str):
        raise TypeError(f'an enricher\'s version is a text such as "1.0", got {version!r}')
    usable_text(None, attribute, version)


def usable_on_error(_: object, __: object, on_error: Any) -> None:
    """Refuses what says nothing about failures.

    Raises:
        ValueError: it is none of the three words.
    """
    if on_error not in ("reject", "skip", "fail"):
        raise ValueError(f'an enricher\'s on_error is "reject", "skip" or "fail", got {on_error!r}')


def usable_batch_size(_: object, __: object, size: Any) -> None:
    """Refuses what is no size of a batch.

    Raises:
        ValueError: it is no whole number of 1 or more.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"an enricher's batch_size is a whole number of events, 1 or more, got {size!r}")


def usable_retry(_: object, __: object, retry: Any) -> None:
    """Refuses what cannot retry.

    Raises:
        TypeError: it has no `call`.
    """
    if inspect.isclass(retry) or not callable(getattr(retry, "call", None)):
        raise TypeError(f"an enricher's retry is an hp.Retry, got {retry!r}")


def exception_types(_: object, __: object, transient: Any) -> None:
    """Refuses what names no exceptions.

    Raises:
        TypeError: it is no tuple of exception classes.
    """
    if not isinstance(transient, tuple) or not all(
        inspect.isclass(kind) and issubclass(kind, Exception) for kind in transient
    ):
        raise TypeError(f"an enricher's transient is a tuple of exception classes, e.g. (MyError,), got {transient!r}")
