"""Keys of the objects that are written: their folder, and a name that no other object has."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any
from urllib.parse import quote

import attrs

from holded_pipeline.compiled import compiled
from holded_pipeline.model.carried_text import metadata_value, occurred_text, source_text, was_read
from holded_pipeline.model.templates import EVENT_FIELDS, FieldValue, parse_template
from holded_pipeline.model.values import Event, Rejected

Partition = Callable[[Any], str]

_in_c = compiled("event_lines")

_KEY_BYTES = 1024  # of a key in S3
_LEVEL_BYTES = 255  # of one level: many stores keep objects as files
RUN_BYTES = 160  # of the run's id in a name
_DIGEST_BYTES = 33  # of the ~ and the digest that shortened text ends in
AMBIGUOUS_LEVELS = frozenset({"", ".", ".."})
"""Levels of keys that some stores change or reject."""


MANIFESTS = "_manifests"
"""The folder below a prefix that holds manifests; objects in it hold no events."""


def is_manifest(key: str) -> bool:
    """Whether an object belongs to the manifests of some prefix."""
    return f"/{MANIFESTS}/" in f"/{key}"


def day_of(moment: date) -> str:
    """The day as it stands in keys, `2026-03-01`; the year has four digits, which `strftime` does not guarantee."""
    return f"{moment.year:04}-{moment.month:02}-{moment.day:02}"


def _date_of(event: Event) -> str:
    return occurred_text(event)[:10]  # of 2026-03-01T12:30:15+00:00


def _hour_of(event: Event) -> str:
    return occurred_text(event)[11:13]


def _month_of(event: Event) -> str:
    return occurred_text(event)[:7]


_PARTITION_FIELDS: Mapping[str, FieldValue] = {"date": _date_of, "hour": _hour_of, "month": _month_of, **EVENT_FIELDS}


def partition_template(template: str) -> Partition:
    """A function for a template such as `date={date}/company={company_id}`.

    Values of fields are percent-encoded, so that they can neither open a folder nor leave one.

    Raises:
        ValueError: the template names an unknown field, and the message lists the known ones; or it has an empty
            level or one of the levels `.` and `..`.
    """
    parsed = parse_template(template, _PARTITION_FIELDS, name="partition", encode=escape_key_level)
    validate_prefix(template, name="partition")
    return parsed


def rejected_partition(rejected: Rejected) -> str:
    """The folder of a rejected record: its stage and the day it was rejected."""
    return f"stage={escape_key_level(rejected.stage)}/date={day_of(rejected.rejected_at)}"


def escape_key_level(text: str) -> str:
    """Text as one level of a key, without characters that are special to a store, a shell or a file system.

    `c/1` becomes `c%2F1`, `a..b` becomes `a%2E%2Eb`, `.` becomes `%2E`, and the empty text `_`.
    """
    level = quote(text, safe="-_.=", errors="surrogatepass").replace("..", "%2E%2E")
    return "%2E" if level == "." else level or "_"


def shorten_with_digest(text: str, size: int) -> str:
    """Text of at most `size` bytes in UTF-8: the text itself if it is shorter, else its beginning, `~` and its digest.

    With a size of 40, `aaa…` (50 characters) becomes `aaaaaaa~` and 32 hex digits of the SHA-256 of all 50.
    """
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) < size:
        return text
    digest = hashlib.sha256(encoded).hexdigest()[: _DIGEST_BYTES - 1]
    return f"{encoded[: size - _DIGEST_BYTES].decode('utf-8', 'ignore')}~{digest}"


def _shorten_levels(levels: str, size: int) -> str:
    """Levels of at most `size` bytes: all of them, or the whole ones that fit and a digest of all as the last.

    With a size of 50, `date=2026-03-01/company=…` (80 bytes) becomes `date=2026-03-01/~` and 32 hex digits.
    """
    encoded = levels.encode("utf-8", "surrogatepass")
    if len(encoded) < size:
        return levels
    # Not a part of a level: with the digest behind it, it could be longer than a level may be.
    whole = encoded[: size - _DIGEST_BYTES].decode("utf-8", "ignore").rpartition("/")[0]
    digest = f"~{hashlib.sha256(encoded).hexdigest()[: _DIGEST_BYTES - 1]}"
    return f"{whole}/{digest}" if whole else digest


def join_key(prefix: str, partition: str, name: str) -> str:
    """A key of its parts, with one slash between them: `raw/a.json` of `/raw/`, an empty partition, and `a.json`."""
    return "/".join(part.strip("/") for part in (prefix, partition, name) if part.strip("/"))


def validate_prefix(prefix: str, *, name: str = "prefix") -> str:
    """The prefix, as it was given.

    Args:
        prefix: what keys begin with. Slashes around it make no difference.
        name: of the argument, for the message.

    Raises:
        ValueError: it is not text, or has a level that stores change or reject.
    """
    if not isinstance(prefix, str) or has_ambiguous_level(prefix):
        raise ValueError(
            f"{name} must be text such as 'raw/' or 'a/b/', without empty levels (//) and the levels . and .., which "
            f"stores change or reject; got {prefix!r}"
        )
    return prefix


def has_ambiguous_level(text: str) -> bool:
    """Whether a part of a key has empty levels or the levels `.` and `..`; slashes around it make no difference."""
    levels = text.strip("/")
    return bool(levels) and not AMBIGUOUS_LEVELS.isdisjoint(levels.split("/"))


class ObjectIdentity:
    r"""A digest of what an object contains, so that the same lines of the same records get the same name.

    A record is identified by where it came from (`Event.source`, `Rejected.id`) and by its line. A bundle that is
    retried then replaces its object instead of adding a second one. The time at which the pipeline processed a record
    (`rejected_at`, `processed_at`) is omitted, since a retry changes it. Other elements may be equal and still be
    different records, so their objects get a random name.

    The origins of the records and the text of the lines have a digest each, so it makes no difference how the text is
    cut into blocks. For an event with the id e1 of line 3 of `raw/a.jsonl`, the first covers
    `{"bucket":"lake","key":"raw/a.jsonl","etag":"t1","line":3,"item":null}'e1'` and a line's end, and the second its
    line, in which `"processed_at":"2026-03-01T12:00:00+00:00"` is replaced by a line's end.
    """

    def __init__(self) -> None:
        self._origins = hashlib.sha256()
        self._lines = hashlib.sha256()
        self._is_known = True
        self._new_origins: list[bytes] = []
        self._time_member = b""
        self._processing: Any = None  # what the time member was made of

    def begin(self, element: Any) -> bytes:
        """Starts the line of an element; returns the member of the line that is left out, see `add`."""
        if self._is_known:
            origin = _origin_of(element)
            if origin is None:
                self._is_known = False
                self._time_member = b""
            else:
                self._new_origins.append(origin)
                self._set_time_member(element)
        return self._time_member

    def _set_time_member(self, element: Any) -> None:
        if isinstance(element, Rejected):
            self._time_member = b'"rejected_at":"%b"' % element.rejected_at.isoformat().encode()
            return
        processing = metadata_value(element, "processing")
        if processing is not self._processing:  # events that were processed at once share it
            self._processing = processing
            self._time_member = _time_member_of(processing)

    def take_origins(self) -> bytes:
        """Where the elements came from that were begun since the last time."""
        origins = b"".join(self._new_origins)
        self._new_origins.clear()
        return origins

    def add(self, text: bytes, time_member: bytes, origins: bytes) -> None:
        """Adds the text of lines, all with this member, and their origins.

        The last line may go on in the next text. Another thread may begin more elements meanwhile.
        """
        if self._is_known:
            self._origins.update(origins)
            self._lines.update(text.replace(time_member, b"\n") if time_member else text)

    def digest(self) -> str | None:
        """The digest; None if a record does not say where it came from."""
        return self._origins.hexdigest() + self._lines.hexdigest() if self._is_known else None


def _origin_of(element: Any) -> bytes | None:
    """Where an element came from; a line that no other element of the object has."""
    if _in_c is not None:
        line: bytes | None = _in_c.origin_of(element)
        if line is not None:
            return line
    if isinstance(element, Event):
        if was_read(element):
            return b"%b%b\n" % (source_text(element), repr(element.id).encode("utf-8", "backslashreplace"))
        if element.source is None:
            return None
        origin: tuple[Any, ...] = (attrs.astuple(element.source), element.id)
    elif isinstance(element, Rejected):
        origin = (element.id,)
    else:
        return None
    return b"%b\n" % repr(origin).encode("utf-8", "backslashreplace")


def _time_member_of(processing: Any) -> bytes:
    """The member of a line with the time of processing; its quotes cannot occur within a JSON string."""
    processed_at = processing.get("processed_at") if isinstance(processing, Mapping) else None
    return b'"processed_at":"%b"' % processed_at.encode("utf-8", "replace") if isinstance(processed_at, str) else b""


class ObjectNames:
    """The keys of the objects of one bundle: folder, run, and a digest of step and content; the same ones if retried.

    Args:
        run_id: the run.
        step: the name of the transform that writes; no other transform of the run has it.
        attempt: the attempt at a share of the run; empty if there is none.
    """

    def __init__(self, run_id: str, step: str, attempt: str = "") -> None:
        self._run = shorten_with_digest(escape_key_level(run_id), RUN_BYTES) + (attempt and f".{attempt}")
        self._step = step
        self._counts: Counter[str] = Counter()

    def key(
        self, prefix: str, partition: str, identity: ObjectIdentity, ending: str, *, window: tuple[Any, ...] = ()
    ) -> str:
        """The key of the next object, e.g. `enriched/date=2026-03-01/<run>-0f9e8d7c6b5a49382716f5e4.jsonl.gz`.

        It has at most 1,024 bytes, unless the prefix leaves no room, and the levels below the prefix have at most 255.

        Args:
            prefix: what all keys begin with.
            partition: the folder below it.
            identity: of what the object contains.
            ending: of its name.
            window: identifies the window of its elements.
        """
        content = identity.digest()
        identified_by = secrets.token_hex(16) if content is None else repr((self._step, partition, window, content))
        self._counts[identified_by] += 1  # a bundle may contain the same lines twice
        digest = hashlib.sha256(
            f"{self._counts[identified_by]} {identified_by}".encode("utf-8", "backslashreplace")
        ).hexdigest()
        name = f"{self._run}-{digest[:24]}{ending}"
        levels = "/".join(shorten_with_digest(level, _LEVEL_BYTES) for level in partition.split("/"))
        room = _KEY_BYTES - len(join_key(prefix, "", name).encode("utf-8", "surrogatepass")) - 1
        return join_key(prefix, _shorten_levels(levels, max(room, _DIGEST_BYTES)), name)
