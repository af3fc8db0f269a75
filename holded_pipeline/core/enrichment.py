"""Enrichers: functions that learn something about an event, and how their results are added to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, runtime_checkable

import attrs

from holded_pipeline.core import json_codec
from holded_pipeline.core.errors import HoldedPipelineError, RejectRecord
from holded_pipeline.core.values import Event

EnrichFunction = Callable[[Event], Mapping[str, Any]]
OnError = Literal["reject", "skip", "fail"]

RESERVED = frozenset({"schema", "headers", "correlation_id", "collected_at"})
"""Entries of `event.metadata` that other stages write."""


@runtime_checkable
class RunAware(Protocol):
    """An enricher that wants to know the run it belongs to; asked once, when the pipeline is built."""

    def for_run(self, run_id: str) -> EnrichFunction:
        """The enricher for this run."""
        ...


def _usable_name(_: object, __: object, name: str) -> None:
    if not name.isidentifier():
        raise ValueError(
            f"an enricher needs a name that can stand in event.metadata, got {name!r}; give a lambda or a partial "
            "one with hp.Enricher(name, function)"
        )
    if name in RESERVED:
        raise ValueError(f"the name {name!r} is taken by the pipeline itself; choose another one")


@attrs.frozen
class Enricher:
    """An enricher under its name.

    Attributes:
        name: where the result stands in `event.metadata`.
        function: `(event) -> mapping`; the mapping must be JSON. It may raise `RejectRecord`.
        version: told in error messages, so that it is clear what refused a record.
        on_error: what an exception does that is not `RejectRecord`: `reject` the event with reason
            `enricher_error`, `skip` this enricher for it, or `fail` the run. An `OSError` (that is every
            connection error and timeout) and this library's own errors always fail the run: they are not the
            event's fault.
    """

    name: str = attrs.field(validator=_usable_name)
    function: EnrichFunction = attrs.field(validator=attrs.validators.is_callable())
    version: str | None = attrs.field(default=None, kw_only=True)
    on_error: OnError = attrs.field(
        default="reject", kw_only=True, validator=attrs.validators.in_(("reject", "skip", "fail"))
    )

    def __call__(self, event: Event) -> Event:
        """The event with this enricher's result.

        Raises:
            RejectRecord: the enricher refused the event, raised (reason `enricher_error`), or returned what is
                no JSON object (reason `enricher_output`).
        """
        try:
            result = self.function(event)
        except (HoldedPipelineError, OSError):
            raise
        except Exception as error:  # noqa: BLE001  a stranger's function may raise anything; on_error decides
            return self._failed(event, error)
        return event.with_metadata(**{self.name: self._checked(result)})

    def _failed(self, event: Event, error: Exception) -> Event:
        if self.on_error == "skip":
            return event
        what = f"the enricher {self} raised {type(error).__name__}: {error}"
        if self.on_error == "fail":
            error.add_note(f"raised by the enricher {self} for event {event.id} at {event.source}")
            raise error
        raise RejectRecord("enricher_error", what) from error

    def _checked(self, result: Any) -> dict[str, Any]:
        if not isinstance(result, Mapping):
            raise RejectRecord(
                "enricher_output",
                f"the enricher {self} returned {type(result).__name__}; it must return a mapping",
            )
        plain = dict(result)
        try:
            json_codec.check_json_value(plain)
        except TypeError as error:
            raise RejectRecord("enricher_output", f"the enricher {self} returned no JSON: {error}") from error
        return plain

    def for_run(self, run_id: str) -> Enricher:
        """This enricher for one run."""
        if isinstance(self.function, RunAware):
            return attrs.evolve(self, function=self.function.for_run(run_id))
        return self

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name} {self.version}"


def named(enricher: EnrichFunction | Enricher) -> Enricher:
    """A plain function becomes an enricher of its own name."""
    if isinstance(enricher, Enricher):
        return enricher
    name = getattr(enricher, "name", None) or getattr(enricher, "__name__", "")
    return Enricher(str(name), enricher)
