"""An event as a row of `business_events`: its columns, or at once its line for COPY."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import attrs

from holded_pipeline.compiled import compiled
from holded_pipeline.model.business_context import business_context_of
from holded_pipeline.model.carried_text import (
    data_text,
    has_source,
    is_proved_json,
    metadata_text,
    metadata_value,
    occurred_text,
    source_text,
)
from holded_pipeline.model.values import Event
from holded_pipeline.postgres.copy_format import escape_text

_in_c: Final = compiled("event_lines")

EVENT_COLUMNS: Final = (
    "event_id",
    "event_type",
    "company_id",
    "user_id",
    "occurred_at",
    "business_context",
    "data_quality_score",
    "data",
    "metadata",
    "source",
)
"""The columns of `business_events` that an event fills, in the table's order."""

PRODUCED_COLUMNS: Final = ("event_type", "company_id", "user_id", "occurred_at", "data")
"""The columns that the producer gave beside the id: they make the content of an event.

The others are what the pipeline found out or where it read the event, which another run may find out otherwise.
"""


def event_row(event: Event) -> dict[str, Any]:
    """The columns of `business_events` that an event fills.

    The business context and the quality score are the results of the enrichers `business_context` and `quality` in
    the metadata. Without them the context comes from the type, and the score is NULL.
    """
    return {
        "event_id": event.id,
        "event_type": event.type,
        "company_id": event.company_id,
        "user_id": event.user_id,
        "occurred_at": event.occurred_at,
        "business_context": _enricher_result(event, "business_context", "context") or business_context_of(event.type),
        "data_quality_score": _enricher_result(event, "quality", "score"),
        "data": dict(event.data),
        "metadata": dict(event.metadata),
        "source": None if event.source is None else attrs.asdict(event.source),
    }


def event_line(event: Any) -> bytes | None:
    """The line that `RowFormat.line` makes of `event_row`, with the text that the event carries.

    None for an element whose line has to be made of its row: another value than an event, an event that does not carry
    its text or has no source, or one whose enrichers gave a context or a score of another type than usual.
    """
    # An event e1 of type t that occurred at noon, whose data is the text {"a":"x\"y"}, as columns with a tab between:
    #   e1  t  c1  \N  2026-03-01T12:00:00+00:00  other  0.5  {"a":"x\\"y"}  {...}  {"bucket":...}
    if _in_c is not None:
        line: bytes | None = _in_c.event_line(event)
        if line is not None:
            return line
    if not isinstance(event, Event) or not is_proved_json(event):
        return None
    context = _enricher_result(event, "business_context", "context") or business_context_of(event.type)
    score = _enricher_result(event, "quality", "score")
    has_usual_score = score is None or (type(score) is float and 0 <= score <= 1)
    if type(context) is not str or not has_usual_score or not has_source(event):
        return None
    texts = "\t".join(
        (
            _escaped(event.id),
            _known_escaped(event.type),
            _known_escaped(event.company_id),
            "\\N" if event.user_id is None else _known_escaped(event.user_id),
            occurred_text(event),
            _known_escaped(context),
            "\\N" if score is None else repr(score),
        )
    )
    try:
        documents = b"%b\t%b\t%b" % (data_text(event), metadata_text(event), source_text(event))
    except TypeError:  # somebody put something into the metadata that is not JSON
        return None
    # JSON escapes control characters itself, so only its backslashes are left to escape.
    return b"%b\t%b\n" % (texts.encode(), documents.replace(b"\\", b"\\\\"))


def _escaped(text: str) -> str:
    return text if text.isprintable() and "\\" not in text else escape_text(text).decode()


@lru_cache(maxsize=16_384)  # a run has few types and companies, each many times
def _known_escaped(text: str) -> str:
    return escape_text(text).decode()


def _enricher_result(event: Event, enricher: str, name: str) -> Any:
    result = metadata_value(event, enricher)
    # Of a dict that is known without asking, which takes a while for a Mapping.
    return result.get(name) if type(result) is dict or isinstance(result, Mapping) else None
