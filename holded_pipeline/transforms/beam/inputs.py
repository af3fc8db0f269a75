"""What a transform is applied to, checked where it is applied: Beam's own errors name its inner parts instead."""

from __future__ import annotations

from typing import Any

import apache_beam as beam

from holded_pipeline.model.values import Event, Outcome, Rejected
from holded_pipeline.servers.argument_types import described_argument


def require_events(given: Any, whose: str) -> None:
    """Checks that a transform of events is applied to one PCollection, and not to one of `Rejected`.

    Raises:
        TypeError: it is not; the message says what to write instead.
    """
    require_collection(given, whose)
    if given.element_type is Rejected:
        raise TypeError(f"{whose} takes events, and {given} has rejected records; write outcome.passed | hp.{whose}(…)")


def require_rejected(given: Any, whose: str) -> None:
    """Checks that a transform of rejected records is applied to one PCollection, and not to one of `Event`.

    Raises:
        TypeError: it is not; the message says what to write instead.
    """
    require_collection(given, whose, output="rejected")
    if given.element_type is Event:
        raise TypeError(
            f"{whose} takes rejected records, and {given} has events; write outcome.rejected | hp.{whose}(…), or "
            "hp.WriteMinIO for events"
        )


def require_collection(given: Any, whose: str, *, output: str = "passed") -> None:
    """Checks that a transform is applied to one PCollection.

    Args:
        given: what it is applied to.
        whose: the transform's name.
        output: which output of an `Outcome` it is meant for.

    Raises:
        TypeError: it is not; the message says what to write instead.
    """
    if isinstance(given, beam.PCollection):
        return
    fields = getattr(given, "_fields", ())
    if output in fields:
        name = "outcome" if isinstance(given, Outcome) else type(given).__name__.lower()
        advice = f"write {name}.{output} | hp.{whose}(…)"
    elif fields:
        advice = f"it has {', '.join(fields)}: name one"
    elif isinstance(given, tuple | list):
        advice = f"join them: (…, …) | beam.Flatten() | hp.{whose}(…)"
    else:
        advice = f"read first: raw = pipeline | hp.ReadMinIO(…), then raw.{output} | hp.{whose}(…)"
    raise TypeError(f"{whose} is applied to a PCollection, and got {_described_input(given)}; {advice}")


def require_beginning(given: Any, whose: str) -> None:
    """Checks that a transform that reads is applied to a pipeline.

    Raises:
        TypeError: it is applied to something else, such as a PCollection.
    """
    if not isinstance(given, beam.pvalue.PBegin | beam.Pipeline):
        raise TypeError(
            f"{whose} begins a pipeline, and is applied to {_described_input(given)}; write pipeline | hp.{whose}(…) "
            "with a beam.Pipeline on the left"
        )


def _described_input(given: Any) -> str:
    return "the pipeline itself" if isinstance(given, beam.pvalue.PBegin) else described_argument(given)
