"""The JSON text that an event carries beside its fields, so that nothing is encoded or proved twice.

That the text of a record is JSON, is not too deep, and has no U+0000 and no name twice is proved when it is read. What
follows uses slices of that text: the column `data` and the member `data` of a stored event are the bytes that the
producer sent. Entries of the metadata carry their text from where they are made.

An event carries this in its `__dict__`, under names that begin with an underscore:

    _load           makes the fields `data`, `metadata` and `source` when somebody looks at them
    _data           the decoded data, which code of this library only reads; others get a copy
    _data_text      the bytes of the data, on one line
    _data_encoded   what `json_codec.encode` gives for the data: shows whether somebody changed what they looked at;
                    it may be made when they first look
    _entries        the entries of the metadata by name, each an `Entry`
    _position       the object, line and item that it was read from
    _carried_bytes  the bytes of its record and of what was added to the metadata

Whoever looks at `data` or `metadata` may change what they get. So from then on the text is used only if it still says
the same. An event that was made in another way carries nothing, and its text is made from its fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import attrs

from holded_pipeline.compiled import compiled
from holded_pipeline.model import json_codec
from holded_pipeline.model.values import Event, Source

Entry = tuple[Any, bytes]
"""An entry of the metadata: its value, which is only read, and its member of the JSON object: `"name":value`."""

NOT_DECODED: Any = object()
"""Stands for the value of an entry whose text was not decoded yet."""

_in_c = compiled("metadata_entries")
_times_in_c = compiled("iso_times")
_iso_text: Callable[[datetime], str] = datetime.isoformat if _times_in_c is None else _times_in_c.iso_text
_set_attribute = object.__setattr__
_new_object = object.__new__
_MADE_OF_ENTRIES: tuple[str, ...] = ("metadata", "_metadata_text")


@attrs.frozen
class ReadObject:
    """The version of an object that events are read from, with the beginning of the JSON text of their sources."""

    bucket: str
    key: str
    etag: str
    text: bytes = attrs.field(init=False, repr=False)

    @text.default
    def _encode(self) -> bytes:
        document = {"bucket": self.bucket, "key": self.key, "etag": self.etag}
        return json_codec.encode(document)[:-1] + b',"line":'


Position = tuple[ReadObject, int, int | None]
"""Where a record begins: the object, the line, and the item of an array."""


def make_entry(name: str, value: Any) -> Entry:
    """An entry of the metadata. The value is JSON, and is not changed afterwards."""
    return value, text_member(name, json_codec.encode(value))


def text_member(name: str, text: bytes) -> bytes:
    """The member of a JSON object with this JSON text as its value."""
    return _encoded_name(name) + text


@lru_cache(maxsize=1024)
def _encoded_name(name: str) -> bytes:
    return json_codec.encode(name) + b":"


def event_with_dict(fields: dict[str, Any]) -> Event:
    """An event with these fields and this carried text; far quicker than its constructor."""
    event = _new_object(Event)
    _set_attribute(event, "__dict__", fields)
    return event


def load_field(event: Event, name: str) -> Any:
    """Makes a field that an event carries as text."""
    fields = event.__dict__
    if name == "data":
        data = json_codec.decode_own(fields["_data_text"])  # anew: events that were made of one share `_data`
        if "_data_encoded" not in fields:
            fields["_data_encoded"] = json_codec.encode(data)
        return data
    if name == "metadata":
        return json_codec.decode_own(metadata_text(event))
    read_object, line, item = fields["_position"]
    return Source(read_object.bucket, read_object.key, read_object.etag, line, item)


def is_proved_json(event: Event) -> bool:
    """Whether the data of an event are as they were read, so that they are JSON."""
    fields = event.__dict__
    return "_data" in fields and "data" not in fields


def data_of(event: Event) -> Mapping[str, Any]:
    """The data of an event, for code that only reads them: the text stays in use."""
    fields = event.__dict__
    data: Mapping[str, Any] = fields["data"] if "data" in fields or "_data" not in fields else fields["_data"]
    return data


def metadata_of(event: Event) -> Mapping[str, Any]:
    """The metadata of an event, for code that only reads them: the text stays in use."""
    fields = event.__dict__
    if "metadata" in fields or "_entries" not in fields:
        return event.metadata
    metadata: dict[str, Any] = json_codec.decode_own(_join_entries(fields["_entries"]))
    return metadata


def metadata_value(event: Event, name: str) -> Any:
    """An entry of the metadata, for code that only reads it; None if there is none."""
    fields = event.__dict__
    entries = fields.get("_entries")
    if entries is None or "metadata" in fields:
        return event.metadata.get(name)
    entry = entries.get(name)
    if entry is None:
        return None
    value, text = entry
    return json_codec.decode_own(text[len(_encoded_name(name)) :]) if value is NOT_DECODED else value


def with_entries(event: Event, added: Mapping[str, Entry]) -> Event:
    """The same event with these entries in its metadata; an entry of the same name is replaced."""
    if _in_c is not None and type(added) is dict:
        made: Event | None = _in_c.with_entries(event, added)
        if made is not None:
            return made
    fields = event.__dict__
    entries = fields.get("_entries")
    if entries is None or not _is_unchanged(event):
        # Copies, since values of entries may be shared by events, and whoever looks at metadata may change them.
        fields = {**fields, "metadata": {**event.metadata, **json_codec.decode_own(_join_entries(added))}}
        forgotten: tuple[str, ...] = ("_entries", "_metadata_text", "_carried_bytes")
    else:
        fields = fields.copy()
        fields["_entries"] = {**entries, **added}
        if "_carried_bytes" in fields:
            for _, text in added.values():
                fields["_carried_bytes"] += len(text)
        forgotten = _MADE_OF_ENTRIES
    for name in forgotten:
        if name in fields:
            del fields[name]
    return event_with_dict(fields)


def _is_unchanged(event: Event) -> bool:
    """Whether the entries still say what the metadata are, if somebody looked at those."""
    fields = event.__dict__
    if "metadata" not in fields:
        return True
    encoded = json_codec.encode(json_codec.decode_own(_join_entries(fields["_entries"])))
    return _is_same(fields["metadata"], encoded)


def _is_same(value: Any, encoded: bytes) -> bool:
    """Whether a value still is the one that was encoded. Compared in both forms, since `1 == True`."""
    try:
        return json_codec.encode(value) == encoded and bool(json_codec.decode_own(encoded) == value)
    except (TypeError, ValueError, ArithmeticError, RecursionError):  # it is not JSON any more
        return False


def _join_entries(entries: Mapping[str, Entry]) -> bytes:
    return b"{%b}" % b",".join([text for _, text in entries.values()])


def data_text(event: Event) -> bytes:
    """The JSON text of the data, on one line.

    Raises:
        TypeError: the data of an event that code made have a value that JSON has no form for.
    """
    fields = event.__dict__
    text: bytes | None = fields.get("_data_text")
    if text is not None and ("data" not in fields or _is_same(fields["data"], fields["_data_encoded"])):
        return text
    return json_codec.encode_checked(dict(event.data))


def metadata_text(event: Event) -> bytes:
    """The JSON text of the metadata, on one line.

    Raises:
        TypeError: the metadata of an event that code made have a value that JSON has no form for.
    """
    fields = event.__dict__
    if "_entries" not in fields or not _is_unchanged(event):
        return json_codec.encode_checked(dict(event.metadata))
    text: bytes | None = fields.get("_metadata_text")
    if text is None:  # it is asked for twice: for the store and for the database
        text = fields["_metadata_text"] = _join_entries(fields["_entries"])
    return text


def carried_bytes(event: Event) -> int | None:
    """About how many bytes of text an event carries; None for one whose data or metadata code has made."""
    size: int | None = event.__dict__.get("_carried_bytes")
    return size


def was_read(event: Event) -> bool:
    """Whether the event carries where it was read."""
    return "_position" in event.__dict__


def has_source(event: Event) -> bool:
    """Whether the event has a source."""
    return was_read(event) or event.source is not None


def source_text(event: Event) -> bytes:
    """The JSON text of the source; `null` without one."""
    fields = event.__dict__
    position: Position | None = fields.get("_position")
    if position is not None:
        text: bytes | None = fields.get("_source_text")
        if text is None:  # it is asked for several times: for the store, for an object's name and for the database
            read_object, line, item = position
            end = b'%d,"item":null}' % line if item is None else b'%d,"item":%d}' % (line, item)
            text = fields["_source_text"] = read_object.text + end
        return text
    return json_codec.encode(None if event.source is None else attrs.asdict(event.source))


def occurred_text(event: Event) -> str:
    """When the event occurred, in ISO-8601: `event.occurred_at.isoformat()`."""
    fields = event.__dict__
    text: str | None = fields.get("_occurred_text")
    if text is None:  # it is asked for twice: for the store and for the database
        text = fields["_occurred_text"] = _iso_text(event.occurred_at)
    return text
