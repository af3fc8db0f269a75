"""Reads the events that the API stored: by date, in pages, or by id."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import Iterator
from datetime import date

import attrs
import msgspec

from holded_pipeline.api.problems import Problem
from holded_pipeline.api.settings import Limits
from holded_pipeline.model.errors import ObjectUnreadableError, ObjectVanishedError
from holded_pipeline.model.json_codec import is_json
from holded_pipeline.reading.framing import frame_lines
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.object_names import day_of, join_key
from holded_pipeline.store.read_plan import Slice, StoredObject

_BATCH_OBJECTS = 32
_BATCH_BYTES = 16 << 20
_LINE_START = b'{"event_id":"'


def partition_of(day: date, hour: int | None = None) -> str:
    """The partition of the events of a day, or of one hour of it: `date=2026-11-24/hour=09`."""
    return f"date={day_of(day)}" + ("" if hour is None else f"/hour={hour:02}")


@attrs.frozen
class Cursor:
    """Where the next page starts: after the object `after`, and `skip` events into the object `at`."""

    after: str = ""
    at: str = ""
    skip: int = 0

    def encode(self) -> str:
        """The cursor as text for a URL."""
        text = json.dumps([self.after, self.at, self.skip], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(text).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """Parses the text that `encode` returned.

        Raises:
            Problem: 400; the text is something else.
        """
        try:
            padded = base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
            after, at, skip = msgspec.json.decode(padded, type=tuple[str, str, int])
        except (ValueError, UnicodeError) as error:
            raise Problem(400, "invalid_cursor", "cursor is not valid; use next_cursor of the previous page") from error
        return cls(after, at, max(0, skip))


@attrs.frozen
class Page:
    """Stored lines, and the cursor of the next page; None on the last page."""

    lines: list[bytes]
    cursor: Cursor | None


class Archive:
    """Reads the stored events below a prefix.

    Args:
        store: the open store; calls come from several threads.
        prefix: what the API's keys begin with.
        limits: see `Limits`.
    """

    def __init__(self, store: ObjectStore, prefix: str, limits: Limits) -> None:
        self._store = store
        self._prefix = prefix
        self._limits = limits

    def read_page(self, partition: str, cursor: Cursor, size: int) -> Page:
        """Up to `size` events of a partition, in the order in which they were stored.

        Raises:
            Problem: 504; the search took too long.
        """
        lines: list[bytes] = []
        page_bytes = 0
        after = cursor.after
        for stored, stored_lines in self._objects(partition, cursor.after):
            skip = cursor.skip if stored.key == cursor.at else 0
            for number, line in enumerate(stored_lines):
                if number < skip:
                    continue
                if lines and (len(lines) == size or page_bytes + len(line) > self._limits.page_bytes):
                    return Page(lines, Cursor(after, stored.key, number))
                lines.append(line)
                page_bytes += len(line)
            after = stored.key
        return Page(lines, None)

    def find_event(self, partition: str, event_id: str) -> bytes | None:
        """The line of an event, None if the partition does not have it.

        Raises:
            Problem: 504; the search took too long.
        """
        start = _LINE_START + event_id.encode() + b'"'
        for _, lines in self._objects(partition, ""):
            for line in lines:
                if line.startswith(start):
                    return line
        return None

    def _objects(self, partition: str, after: str) -> Iterator[tuple[StoredObject, Iterator[bytes]]]:
        """The objects of a partition, each with its lines; several small objects are read at a time."""
        deadline = time.monotonic() + self._limits.scan_seconds
        batch: list[StoredObject] = []
        searched = 0
        # The slash keeps hour=1 apart from hour=12.
        for stored in self._store.objects(join_key(self._prefix, partition, "") + "/", start_after=after):
            if not stored.key.endswith(".jsonl"):
                continue
            batch.append(stored)
            if len(batch) == _BATCH_OBJECTS or sum(each.size for each in batch) >= _BATCH_BYTES:
                yield from self._read(batch)
                searched += len(batch)
                batch = []
            if time.monotonic() > deadline:
                raise _took_too_long(searched, self._limits)
        yield from self._read(batch)

    def _read(self, batch: list[StoredObject]) -> Iterator[tuple[StoredObject, Iterator[bytes]]]:
        slices = [Slice(stored.key, stored.etag, stored.size) for stored in batch]
        if len(batch) == 1:
            yield batch[0], _api_lines(self._stream(slices[0]))
            return
        for stored, body in zip(batch, self._store.read_many(slices), strict=True):
            if isinstance(body, ObjectUnreadableError):
                raise body
            if not isinstance(body, ObjectVanishedError):
                yield stored, _api_lines([body])

    def _stream(self, whole: Slice) -> Iterator[bytes]:
        """The chunks of an object, up to where it is deleted meanwhile. `_api_lines` skips the line that this cuts."""
        with contextlib.suppress(ObjectVanishedError):
            yield from self._store.stream(whole)


def _api_lines(chunks: Iterator[bytes] | list[bytes]) -> Iterator[bytes]:
    """The lines that the API wrote; other writers may use the same prefix."""
    for record in frame_lines(chunks):
        if record.raw.startswith(_LINE_START) and record.fault is None and is_json(record.raw):
            yield record.raw


def _took_too_long(searched: int, limits: Limits) -> Problem:
    return Problem(
        504,
        "took_too_long",
        f"{searched:,} objects were searched in {limits.scan_seconds:g} s and there are more; add hour=, 0 to 23",
    )
