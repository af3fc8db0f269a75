"""Gives events the JSON text that they carry (see `carried_text`), where an envelope has made them of a document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from holded_pipeline.model import json_codec
from holded_pipeline.model.carried_text import Entry, Position, event_with_dict, load_field, make_entry
from holded_pipeline.model.values import Event

_encode = json_codec.encode
_encode_decimals_as_text = msgspec.json.Encoder(decimal_format="string").encode


def carry(event: Event, position: Position | None = None) -> Event:
    """The same event, carrying the text of data and metadata that are known to be JSON, as `json_codec.decode` gives.

    They are no longer changed by whoever made the event.

    Args:
        event: an event with its record, or without one.
        position: what its source says, if that is known.
    """
    entries = {name: make_entry(name, value) for name, value in event.metadata.items()}
    return _carrying(event, event.data, _encode(event.data), entries, position)


def carry_copies(event: Event, position: Position | None = None) -> Event | None:
    """The same event, carrying text, with copies of the data and metadata that code of a user's made.

    Args:
        event: an event whose fields have the types that they should have.
        position: what its source says, if that is known.

    Returns:
        None if a value of it is no plain JSON: then it is to be checked, and may be used as it is.
    """
    if type(event) is not Event:
        return None
    try:
        keys = [event.id, event.type, event.company_id, event.user_id]
        if _plain_copy(keys) is None:
            return None
        data = _plain_copy(dict(event.data))
        metadata = _plain_copy(dict(event.metadata))
    except (TypeError, ValueError, ArithmeticError, RecursionError):
        return None
    if data is None or metadata is None:
        return None
    entries = {name: make_entry(name, value) for name, value in metadata[0].items()}
    return _carrying(event, data[0], data[1], entries, position)


def _plain_copy(value: Any) -> tuple[Any, bytes] | None:
    """A copy of a value, and its text; None if it has something that JSON has no form for, or only a like one.

    A tuple, say, would become a list, and a Decimal a float.
    """
    text = _encode(value)
    copy = json_codec.decode_bounded(text)
    if copy != value or b"\\u0000" in text or _encode_decimals_as_text(value) != text:
        return None
    return copy, text


def _carrying(
    event: Event, data: Mapping[str, Any], data_text: bytes, entries: dict[str, Entry], position: Position | None
) -> Event:
    fields = dict(event.__dict__)
    del fields["data"], fields["metadata"]
    fields["_data"] = data
    fields["_data_text"] = fields["_data_encoded"] = data_text
    fields["_entries"] = entries
    fields["_load"] = load_field
    if position is not None:
        del fields["source"]
        fields["_position"] = position
    if event.raw:
        fields["_carried_bytes"] = len(event.raw) + len(data_text) + sum([len(text) for _, text in entries.values()])
    return event_with_dict(fields)
