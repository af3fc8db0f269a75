"""How the function of an enricher is opened, and what is called of it then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from holded_pipeline.enriching.checks import is_context_manager
from holded_pipeline.model.errors import ConfigurationError


@contextmanager
def open_function(function: Any) -> Iterator[Any]:
    """Opens a function if it is a context manager; yields what `__enter__` returned, else the function itself."""
    if not is_context_manager(function):
        yield function
        return
    raised = None
    with function as entered:
        try:
            yield entered
        except BaseException as error:
            raised = error
            raise
    if raised is not None:  # an __exit__ that returns True must not hide an error that is not its own
        raise raised


def callee_of(function: Any, opened: Any, enricher: object) -> Callable[[Any], Any]:
    """What is called of an opened function: with an event, or with a list of events if it has `enrich_batch`.

    Args:
        function: of the enricher.
        opened: what `open_function` yielded for it.
        enricher: named in the message.

    Raises:
        ConfigurationError: there is nothing to call.
    """
    takes_batches = hasattr(function, "enrich_batch")
    callee: Callable[[Any], Any] | None = getattr(opened, "enrich_batch", None) if takes_batches else opened
    if not callable(callee):
        found = "None" if opened is None else f"an object of the type {type(opened).__name__}"
        also = "; the enricher itself must have enrich_batch, too" if hasattr(opened, "enrich_batch") else ""
        advice = "give it a __call__(self, event)" if opened is function else "let it return self"
        raise ConfigurationError(
            f"the enricher {enricher} cannot be called: its __enter__ returned {found}; {advice}{also}"
        )
    return callee
