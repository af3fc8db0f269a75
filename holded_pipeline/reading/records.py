"""From a framed record to an event, and from a key pattern to the keys it means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs

from holded_pipeline.model import json_codec
from holded_pipeline.model.errors import ConfigurationError, RejectRecord
from holded_pipeline.model.values import Event, Source
from holded_pipeline.reading.envelopes import ENVELOPES, STORED_LEVELS, Envelope
from holded_pipeline.reading.envelopes import event as stored_event
from holded_pipeline.reading.framing import KEEP_BYTES, Record
from holded_pipeline.user_code.errors import name_of, pipeline_error_for, result_or_error

_GLOB = re.compile(r"\*\*/?|[*?]|\[!?[^]]+\]")


class RecordReader:
    """Makes events of records: exact JSON first, then the envelope.

    Args:
        envelope: how a document becomes an event.
        max_record_bytes: larger records are refused.
        max_depth: more deeply nested records are refused.

    Both are limits of what producers send. What the pipeline accepted and stored is larger and deeper than that, and
    is always read back: with the envelope `event` they grow by what the stored form may add.
    """

    def __init__(self, envelope: Envelope, *, max_record_bytes: int, max_depth: int) -> None:
        self._envelope = envelope
        self._is_ours = any(envelope is known for known in ENVELOPES.values())
        is_stored = envelope is stored_event
        self._max_record_bytes = max(max_record_bytes, KEEP_BYTES) if is_stored else max_record_bytes
        self._max_depth = max_depth + STORED_LEVELS if is_stored else max_depth

    def event(self, record: Record, source: Source) -> Event:
        """The event, with the record's bytes and place.

        Raises:
            RejectRecord: the record is no JSON, too large, or fits no envelope.
        """
        if record.fault is not None:
            raise record.fault
        if len(record.raw) > self._max_record_bytes:
            raise RejectRecord(
                "record_too_large",
                f"the record has {len(record.raw):,} bytes and {self._max_record_bytes:,} are accepted; "
                "send less, or raise max_record_bytes",
            )
        document = json_codec.decode(record.raw, max_depth=self._max_depth)
        event = self._envelope(document, source) if self._is_ours else self._call_user_envelope(document, source)
        return attrs.evolve(event, raw=record.raw, source=event.source or source)

    def _call_user_envelope(self, document: Any, source: Source) -> Event:
        """What a user's envelope makes of a document, once it is known to be usable."""
        name = describe_envelope(self._envelope)
        event = result_or_error(lambda document: self._envelope(document, source), document)
        if isinstance(event, BaseException):
            raise pipeline_error_for("envelope_error", event, name, "could not read the document") from event
        if not isinstance(event, Event):
            raise ConfigurationError(
                f"{name} returned {type(event).__name__}; it must return an Event, or raise "
                "hp.RejectRecord for a document that is none"
            )
        wrong = unusable(event)
        if wrong is not None:
            raise RejectRecord("envelope_error", f"{name} returned an Event whose {wrong}")
        return event


def describe_envelope(envelope: str | Envelope) -> str:
    """What an envelope is called in messages: by its name, or as the function or class that it is."""
    if isinstance(envelope, str):
        return f"the envelope {envelope!r}"
    return f"the envelope {name_of(envelope)}"


def unusable(event: Event) -> str | None:
    """What is wrong with an event that strange code made; None if nothing is."""
    for name, kinds, wanted in (
        ("id", str, "must be text, e.g. str(…)"),
        ("type", str, "must be text, e.g. str(…)"),
        ("company_id", str, "must be text, e.g. str(…)"),
        ("user_id", str | None, "must be text, e.g. str(…)"),
        ("data", Mapping, "must be a mapping"),
        ("metadata", Mapping, "must be a mapping"),
        ("source", Source | None, "may be left out, or be the one that was given"),
    ):
        value = getattr(event, name)
        if not isinstance(value, kinds):
            return f"{name} is {type(value).__name__}; it {wanted}"
    if not event.id:
        return "id is empty; each event needs one of its own"
    if (event.attempts, event.replay_of) != (1, None):
        return "attempts or replay_of is set; they are the pipeline's own"
    return _no_json(event)


def _no_json(event: Event) -> str | None:
    for name in ("id", "type", "company_id", "user_id", "data", "metadata"):
        value = getattr(event, name)
        try:
            json_codec.check_json_value(dict(value) if isinstance(value, Mapping) else value)
        except TypeError as error:
            return f"{name} is no JSON: {error}"
    return None


def glob_prefix(pattern: str) -> str:
    """The part of a pattern before its first wildcard: what a listing begins with."""
    wildcard = _GLOB.search(pattern)
    return pattern[: wildcard.start()] if wildcard else pattern


def glob_regex(pattern: str) -> str:
    """A regular expression for the keys a pattern means; a pattern without wildcards is a prefix."""
    if not _GLOB.search(pattern):
        return re.escape(pattern)
    parts = []
    position = 0
    for wildcard in _GLOB.finditer(pattern):
        parts.append(re.escape(pattern[position : wildcard.start()]))
        parts.append(_wildcard(wildcard[0]))
        position = wildcard.end()
    return "".join(parts) + re.escape(pattern[position:]) + r"\Z"


def _wildcard(text: str) -> str:
    if text == "**/":
        return "(?:[^/]+/)*"
    if text == "**":
        return ".*"
    if text in "*?":
        return "[^/]*" if text == "*" else "[^/]"
    return f"[^{text[2:]}" if text.startswith("[!") else text
