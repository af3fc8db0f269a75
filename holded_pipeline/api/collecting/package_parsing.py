"""Splits a body into its events, as bytes and unaltered, and checks each of them by itself."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from itertools import islice
from typing import Any, Literal

import attrs
import msgspec

from holded_pipeline.api.collecting.package_cost import PackageCost
from holded_pipeline.api.problems import Problem
from holded_pipeline.api.settings import Limits
from holded_pipeline.model import json_codec
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.identity import event_id_of
from holded_pipeline.reading.envelope_fields import require_object
from holded_pipeline.reading.framed_records import Record
from holded_pipeline.reading.framing import lines_of
from holded_pipeline.reading.holded_envelope import message_id_of
from holded_pipeline.reading.layout import strip_leading_blanks
from holded_pipeline.reading.value_framing import ValueFramer, frame_values

Layout = Literal["json", "lines"]

_BOM = b"\xef\xbb\xbf"
_COMMAS_PER_EVENT = 100  # an array with more commas is split step by step, as it may have millions of elements
_CHUNK_BYTES = 1 << 21
_NO_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")
_elements = msgspec.json.Decoder(list[msgspec.Raw])
_one_value = msgspec.json.Decoder(msgspec.Raw)
_MAX_BROKEN_TOKENS = 2_000_000  # of a broken text that is split value by value: about a second
_TOKENS = b'[]{},"'


@attrs.frozen
class Message:
    """One event of a package, which is valid JSON.

    Attributes:
        index: its position in the package, from 0.
        raw: its bytes as they were sent.
        document: its JSON value.
        event_id: the event id that follows from its message id; None if it has no message id.
    """

    index: int
    raw: bytes = attrs.field(repr=False)
    document: Any = attrs.field(repr=False)
    event_id: str | None


@attrs.frozen
class RejectedMessage:
    """One event of a package that is not accepted."""

    index: int
    fault: RejectRecord
    event_id: str | None = None


def parse_package(
    body: bytes, layout: Layout, limits: Limits, cost: PackageCost | None = None
) -> Iterator[Message | RejectedMessage]:
    """Yields every event of a package, in order. One at a time, since a JSON value takes more memory than its bytes.

    Args:
        body: the package.
        layout: whether it is JSON, or lines of it.
        limits: see `Limits`.
        cost: counts what the package costs, with what the caller does between the events.

    Raises:
        Problem: 400; the body is not a package. It may be raised only after the last event. 413; the package has too
            many events, or costs too much.
    """
    if not body.removeprefix(_BOM).strip():
        raise Problem(400, "empty_body", "the body is empty; send an event, an array of events, or lines of them")
    cost = cost or PackageCost()
    elements = (_split_lines if layout == "lines" else _split_json)(body, limits, cost)
    if len(elements) > limits.events:
        raise Problem(
            413, "too_many_events", f"the package has more than {limits.events:,} events; split it into several"
        )
    any_rejected = False
    for index, element in enumerate(elements):
        message = _check_element(index, element, limits)
        cost.add(len(element.raw if isinstance(element, Record) else element))
        any_rejected = any_rejected or isinstance(message, RejectedMessage)
        yield message
    were_framed = not elements or isinstance(elements[0], Record)
    if layout == "json" and were_framed and not any_rejected:
        _require_json_array(body)


def stored_line(message: Message, *, event_id: str, correlation_id: str, received_at: str, sender: str) -> bytes:
    r"""The stored form of a message: one line, which the envelope `holded` reads.

    The message is kept as it was sent, but for line ends, which become spaces. JSON has them only between tokens:

        {"n":\n 1.10}  ->  {"event_id":"…","correlation_id":"…","received_at":"…","sender":"…","event":{"n":  1.10}}

    Args:
        message: the message.
        event_id: its event id.
        correlation_id: of its package.
        received_at: when the package was received.
        sender: the name of the API key that sent it. A member `sender` of the message itself is data.
    """
    start = f'{{"event_id":"{event_id}","correlation_id":"{correlation_id}","received_at":"{received_at}","sender":'
    return b'%b%b,"event":%b}\n' % (start.encode(), _encode_sender(sender), message.raw.translate(_NO_LINE_ENDS))


@functools.lru_cache(maxsize=1024)  # a server has few keys, each with many events
def _encode_sender(sender: str) -> bytes:
    return json_codec.encode(sender)


def _check_element(index: int, element: bytes | Record, limits: Limits) -> Message | RejectedMessage:
    raw = element.raw if isinstance(element, Record) else element
    if isinstance(element, Record) and element.fault is not None:
        return RejectedMessage(index, element.fault)
    if len(raw) > limits.event_bytes:
        message = f"the event has {len(raw):,} bytes, more than the limit of {limits.event_bytes:,}"
        return RejectedMessage(index, RejectRecord("record_too_large", message))
    try:
        document = json_codec.decode(raw, max_depth=limits.depth)
        require_object(document, "holded")
    except RejectRecord as fault:
        return RejectedMessage(index, fault)
    message_id = message_id_of(document)
    return Message(index, raw, document, None if message_id is None else event_id_of(message_id))


def _split_lines(body: bytes, limits: Limits, cost: PackageCost) -> list[bytes | Record]:
    return list(islice(_frame_lines_in_time(body, cost), limits.events + 1))


def _frame_lines_in_time(text: bytes, cost: PackageCost) -> Iterator[bytes | Record]:
    """As `frame_lines`, but stops when it costs too much: a line may be an array of any size."""
    for line, _ in lines_of([text], keep_bytes=math.inf):
        record = strip_leading_blanks(line) if line.startswith(_BOM) else line
        if record.lstrip().startswith(b"["):
            _require_splittable(record)
            yield from frame_values(_chunks_in_time(record, cost))
        elif record.strip():
            yield record.removesuffix(b"\r")


def _split_json(body: bytes, limits: Limits, cost: PackageCost) -> list[bytes | Record]:
    """The elements of an array, or the one value.

    Elements of a valid array are bytes. Elements of a broken one are `Record`s, framed one by one, so that only
    those with a fault are rejected.
    """
    text = body.removeprefix(_BOM).strip()
    if not text.startswith(b"["):
        if _fault_of(text) is None:
            return [text]
        _require_splittable(text)
        return _require_one(list(islice(frame_values(_chunks_in_time(text, cost)), 2)))
    if text.count(b",") <= limits.events * _COMMAS_PER_EVENT:
        try:
            return [bytes(element) for element in _elements.decode(text)]
        except (ValueError, RecursionError):
            _require_splittable(text)  # at least one element is broken; the others may be valid
    else:
        _require_splittable(text)
    framer = ValueFramer()
    framed = framer.frame(_chunks_in_time(text, cost))
    records = list(islice((record for record in framed if record.raw or record.fault), limits.events + 1))
    if any(record.fault is not None for record in records):
        raise Problem(400, "invalid_json", "the body ends before its array does; send it again in full")
    if framer.values > 1 or framer.has_rubbish:
        _raise_several_values(records[0])
    return list(records)


def _fault_of(text: bytes) -> str | None:
    """Why a text is not one JSON value, found without splitting it; None if it is."""
    try:
        _one_value.decode(text)
    except RecursionError:
        return "it has too many levels"
    except ValueError as error:
        return str(error)
    return None


def _require_splittable(text: bytes) -> None:
    """Rejects a broken text that takes too long to split: 16 MiB of brackets would take a thread ten seconds."""
    tokens = len(text) - len(text.translate(None, _TOKENS))
    fault = _fault_of(text) if tokens > _MAX_BROKEN_TOKENS else None
    if fault is None:
        return
    if "truncated" in fault:
        raise Problem(400, "invalid_json", "the body ends before its JSON does; send it again in full")
    detail = f"the body is broken ({fault}), and too large to find the events in it that are not; correct or split it"
    raise Problem(413, "too_costly", detail)


def _chunks_in_time(text: bytes, cost: PackageCost) -> Iterator[bytes]:
    """The chunks of the text, until they cost too much: 64 MiB of brackets would keep a thread for a minute."""
    for start in range(0, len(text), _CHUNK_BYTES):
        chunk = text[start : start + _CHUNK_BYTES]
        yield chunk
        cost.add(len(chunk))


def _require_one(records: list[Record]) -> list[bytes | Record]:
    if len(records) != 1:
        _raise_several_values(records[0])
    if records[0].fault is not None:
        raise Problem(400, "invalid_json", "the body ends before its document does; send it again in full")
    return [records[0].raw]


def _raise_several_values(first: Record) -> None:
    try:
        json_codec.decode(first.raw)
    except RejectRecord as fault:
        raise Problem(400, "invalid_json", f"the body does not begin with JSON: {fault.message}") from fault
    raise Problem(
        400,
        "several_values",
        "the body holds several JSON values; send them as one array, or as lines with application/x-ndjson",
    )


def _require_json_array(body: bytes) -> None:
    """Checks the text between the elements, each of which is known to be JSON."""
    try:
        _elements.decode(body.removeprefix(_BOM))
    except (ValueError, RecursionError) as error:
        raise Problem(
            400, "invalid_json", f"the text between the elements of the array is not JSON: {error}"
        ) from error
