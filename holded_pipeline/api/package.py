"""A body taken apart: its events as bytes, each judged by itself, none of them altered."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any, Literal

import attrs
import msgspec

from holded_pipeline.api.problems import Problem
from holded_pipeline.api.settings import Limits
from holded_pipeline.model import json_codec
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.identity import event_id_of
from holded_pipeline.reading.envelope_fields import require_object
from holded_pipeline.reading.framing import Record, frame_values, lines_of
from holded_pipeline.reading.holded_envelope import message_id_of
from holded_pipeline.reading.layout import strip_leading_blanks

Layout = Literal["json", "lines"]

_BOM = b"\xef\xbb\xbf"
_COMMAS_PER_EVENT = 100  # an array with more commas is taken apart step by step: its elements might be millions
_SECONDS = 10.0  # of this thread's work, however busy the machine is
_FRAMING_STEP = 1 << 21
_NO_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")
_elements = msgspec.json.Decoder(list[msgspec.Raw])


@attrs.frozen
class Message:
    """One event of a package that is JSON.

    Attributes:
        index: its place in the package, from 0.
        raw: its bytes as they were sent.
        document: their JSON value.
        event_id: the id that its message id makes; None if it has none.
    """

    index: int
    raw: bytes = attrs.field(repr=False)
    document: Any = attrs.field(repr=False)
    event_id: str | None


@attrs.frozen
class Refusal:
    """One event of a package that is not accepted."""

    index: int
    fault: RejectRecord
    event_id: str | None = None


def read_package(body: bytes, layout: Layout, limits: Limits) -> Iterator[Message | Refusal]:
    """Every event of a package, in order, and one at a time: their values take more memory than their bytes.

    Raises:
        Problem: 400 if the body is no package, which may come out only after its last event; 413 if it has too
            many events, or if it and what is done with its events in between take this thread too long.
    """
    if not body.removeprefix(_BOM).strip():
        raise Problem(400, "empty_body", "the body is empty; send an event, an array of events, or lines of them")
    until = time.thread_time() + _SECONDS
    pieces = _lines(body, limits, until) if layout == "lines" else _values(body, limits, until)
    if len(pieces) > limits.events:
        raise Problem(
            413, "too_many_events", f"a package has at most {limits.events:,} events; send it in several packages"
        )
    refused = False
    for index, piece in enumerate(pieces):
        _require_time(until)
        judged = _judged(index, piece, limits)
        refused = refused or isinstance(judged, Refusal)
        yield judged
    framed = not pieces or isinstance(pieces[0], Record)
    if layout == "json" and framed and not refused:
        _require_json(body)


def stored_line(message: Message, *, event_id: str, correlation_id: str, received_at: str) -> bytes:
    """The form that the envelope `holded` reads, on one line; the message stands in it as it was sent.

    JSON has line ends only between its tokens, never inside a string, so a space for each changes no token.
    """
    head = f'{{"event_id":"{event_id}","correlation_id":"{correlation_id}","received_at":"{received_at}","event":'
    return head.encode() + message.raw.translate(_NO_LINE_ENDS) + b"}\n"


def _judged(index: int, piece: bytes | Record, limits: Limits) -> Message | Refusal:
    raw = piece.raw if isinstance(piece, Record) else piece
    if isinstance(piece, Record) and piece.fault is not None:
        return Refusal(index, piece.fault)
    if len(raw) > limits.event_bytes:
        said = f"the event has {len(raw):,} bytes and {limits.event_bytes:,} are accepted"
        return Refusal(index, RejectRecord("record_too_large", said))
    try:
        document = json_codec.decode(raw, max_depth=limits.depth)
        require_object(document, "holded")
    except RejectRecord as fault:
        return Refusal(index, fault)
    message_id = message_id_of(document)
    return Message(index, raw, document, None if message_id is None else event_id_of(message_id))


def _lines(body: bytes, limits: Limits, until: float) -> list[bytes | Record]:
    return list(islice(_framed_lines(body, until), limits.events + 1))


def _framed_lines(text: bytes, until: float) -> Iterator[bytes | Record]:
    """As `frame_lines`, but no longer than there is time: a line may be an array of any size."""
    for line, _ in lines_of([text], keep_bytes=math.inf):
        record = strip_leading_blanks(line) if line.startswith(_BOM) else line
        if record.lstrip().startswith(b"["):
            yield from frame_values(_pieces(record, until))
        elif record.strip():
            yield record.removesuffix(b"\r")


def _values(body: bytes, limits: Limits, until: float) -> list[bytes | Record]:
    """The elements of the array, or the one value; as bytes where the whole is JSON, else as framed."""
    text = body.removeprefix(_BOM).strip()
    if not text.startswith(b"["):
        return _only(list(islice(frame_values(_pieces(text, until)), 2)))
    if text.count(b",") <= limits.events * _COMMAS_PER_EVENT:
        try:
            return [bytes(element) for element in _elements.decode(text)]
        except (ValueError, RecursionError):
            pass  # one element is broken at least; the others are not
    records = list(islice(frame_values(_pieces(text, until)), limits.events + 1))
    if any(record.fault is not None for record in records):
        raise Problem(400, "invalid_json", "the body ends before its array does; send it again in full")
    if len({record.item for record in records} - {None}) != len(records):
        _refuse_several(records[0])
    return list(records)


def _pieces(text: bytes, until: float) -> Iterator[bytes]:
    """The text, for as long as there is time: 64 MiB of brackets would keep a thread for a minute."""
    for at in range(0, len(text), _FRAMING_STEP):
        _require_time(until)
        yield text[at : at + _FRAMING_STEP]


def _require_time(until: float) -> None:
    if time.thread_time() > until:
        said = f"the package takes more than {_SECONDS:g} s to read and check; send it in several packages"
        raise Problem(413, "too_costly", said)


def _only(records: list[Record]) -> list[bytes | Record]:
    if len(records) != 1:
        _refuse_several(records[0])
    if records[0].fault is not None:
        raise Problem(400, "invalid_json", "the body ends before its document does; send it again in full")
    return [records[0].raw]


def _refuse_several(first: Record) -> None:
    try:
        json_codec.decode(first.raw)
    except RejectRecord as fault:
        raise Problem(400, "invalid_json", f"the body does not begin with JSON: {fault.message}") from fault
    raise Problem(
        400,
        "several_values",
        "the body holds several JSON values; send them as one array, or as lines with application/x-ndjson",
    )


def _require_json(body: bytes) -> None:
    """Each element of an array is JSON; where the array is not, the text between them is wrong."""
    try:
        _elements.decode(body.removeprefix(_BOM))
    except (ValueError, RecursionError) as error:
        raise Problem(400, "invalid_json", f"the array is not JSON, though its elements are: {error}") from error
