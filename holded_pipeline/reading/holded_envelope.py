"""The envelope `holded`: messages of Holded's services, as they were sent or as the collecting API stored them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from holded_pipeline.model.identity import event_id_of
from holded_pipeline.model.json_pointer import json_pointer
from holded_pipeline.model.values import Event, Source
from holded_pipeline.reading.envelope_fields import (
    CONFLICT,
    WRAPPER_MEMBERS,
    Faults,
    package_metadata,
    require_object,
)

_CONTEXT = r"X-Message-Stamp-Holded\Shared\Infrastructure\Messenger\Stamp\NewContextStamp"
_TIMESTAMP = r"X-Message-Stamp-Holded\Core\Messaging\Messenger\Stamp\TimestampStamp"
_MESSAGE_ID = r"X-Message-Stamp-Holded\Core\Messaging\Messenger\Stamp\MessageIdStamp"
_HEADERS = ("headers", "attributes")
_MESSAGE_MEMBERS = frozenset({"data", *_HEADERS})


def holded(document: Any, source: Source) -> Event:
    r"""Reads a message of Holded's services: `{"data": {...}, "headers": {...}}`.

    `attributes` may stand for `headers`, or beside them if they do not contradict each other. The form that the
    collecting API stores is read too: `event_id`, `correlation_id` and `received_at` around the message, which is
    then under `event`, or beside its `data` and `headers`.

    The id comes from the message id alone, so the same message is the same event in every package and wrapper;
    only a message without an id takes the `event_id` it was collected under. `data` stays as it was sent.
    `metadata` gets `correlation_id` (of the package), `collected_at` if it is known, `headers` in full, and under
    `envelope` whatever else the producer put around the message.

    Args:
        document: the JSON value of one record.
        source: its place.

    Raises:
        RejectRecord: it does not fit; see `envelopes`.
    """
    faults = Faults("holded")
    outer = require_object(document, "holded")
    message, place = _unwrapped(outer, faults)
    data = faults.mapping(message.get("data"), f"{place}/data", "the business document")
    headers, at = _headers(message, place, faults)
    stamps = _Stamps.read(headers, at, faults)
    collected_as = faults.key(outer.get("event_id"), "/event_id", "the id it was collected under", required=False)
    if stamps.message_id is None and collected_as is None and headers is not None:
        _explain_missing_id(headers, at, faults)
    metadata = package_metadata(outer, source, faults)
    faults.check()
    event_id = event_id_of(stamps.message_id or collected_as)
    around = _around(outer, message, event_id)
    return Event(
        id=event_id,
        type=stamps.type,
        company_id=stamps.company_id,
        user_id=stamps.user_id,
        occurred_at=stamps.dispatched_at,
        data=data,
        metadata=metadata | {"headers": headers} | ({"envelope": around} if around else {}),
        source=source,
    )


def message_id_of(document: Any) -> str | None:
    """The id that the envelope `holded` would read from this message; None if it has none that can be used.

    Args:
        document: the message as it was sent, not as it was stored. Need not fit the envelope otherwise.
    """
    if not isinstance(document, Mapping):
        return None
    faults = Faults("holded")
    headers, at = _headers(document, "", faults)
    if headers is None:
        return None
    message_id: str | None = faults.key(*_message_id(headers, at), required=False)
    return message_id


@attrs.frozen
class _Stamps:
    """What the headers of a message say."""

    type: Any
    company_id: Any
    user_id: str | None
    dispatched_at: Any
    message_id: str | None

    @classmethod
    def read(cls, headers: Mapping[str, Any] | None, at: str, faults: Faults) -> _Stamps:
        if headers is None:
            return cls(None, None, None, None, None)
        place = at + json_pointer([_CONTEXT])
        context = faults.mapping(headers.get(_CONTEXT), place, "the context with the company's accountId")
        company_id = user_id = None
        if context is not None:
            company_id = faults.key(context.get("accountId"), f"{place}/accountId", "the company")
            user_id = faults.key(context.get("userId"), f"{place}/userId", "the user", required=False)
        return cls(
            faults.key(headers.get("type"), f"{at}/type", "the PHP class of the event"),
            company_id,
            user_id,
            faults.moment(*_stamped(headers, at, _TIMESTAMP, "dispatchedAt"), "when it was dispatched"),
            faults.key(*_message_id(headers, at), required=False),
        )


def _unwrapped(outer: Mapping[str, Any], faults: Faults) -> tuple[Mapping[str, Any], str]:
    """The message, and the pointer to it."""
    if "event" not in outer or "data" in outer or any(name in outer for name in _HEADERS):
        return outer, ""
    inner = faults.mapping(outer["event"], "/event", "the message that was collected")
    if inner is None:
        faults.check()
    return inner, "/event"


def _headers(message: Mapping[str, Any], place: str, faults: Faults) -> tuple[dict[str, Any] | None, str]:
    """The headers under either name, and the pointer to them."""
    first, second = (
        faults.mapping(message.get(name), f"{place}/{name}", "the message's headers", required=False)
        for name in _HEADERS
    )
    if first is not None and second is not None:
        for name in first:
            if name in second and first[name] != second[name]:
                at = f"{place}/attributes{json_pointer([name])}"
                faults.add(CONFLICT, at, "const", f"{at} contradicts the header of the same name; send one of them")
        return {**second, **first}, f"{place}/headers"
    if first is None and second is None and all(message.get(name) is None for name in _HEADERS):
        faults.missing(f"{place}/headers", "the message's headers, which may also be called attributes")
    if first is not None:
        return dict(first), f"{place}/headers"
    return (None if second is None else dict(second)), f"{place}/attributes"


def _stamped(headers: Mapping[str, Any], at: str, stamp: str, member: str) -> tuple[Any, str]:
    """The value of a stamp that is an object or the bare value, and the pointer to it."""
    value = headers.get(stamp)
    place = at + json_pointer([stamp])
    return (value.get(member), f"{place}/{member}") if isinstance(value, Mapping) else (value, place)


def _message_id(headers: Mapping[str, Any], at: str) -> tuple[Any, str, str]:
    return *_stamped(headers, at, _MESSAGE_ID, "id"), "the message's id"


def _explain_missing_id(headers: Mapping[str, Any], at: str, faults: Faults) -> None:
    value, place, _ = _message_id(headers, at)
    if value is None:
        faults.missing(place, "the message's id, and there is no event_id around the message either")


def _around(outer: Mapping[str, Any], message: Mapping[str, Any], event_id: str) -> dict[str, Any]:
    """Members that no field of an event takes up, so that they are not lost either."""
    read = _MESSAGE_MEMBERS | WRAPPER_MEMBERS if message is outer else WRAPPER_MEMBERS | {"event"}
    around = {name: value for name, value in outer.items() if name not in read}
    if outer.get("event_id") not in (None, event_id):
        around["event_id"] = outer["event_id"]
    if message is not outer and (rest := {n: v for n, v in message.items() if n not in _MESSAGE_MEMBERS}):
        around["event"] = rest
    return around
