"""Keys of the objects we write: where they are filed, and why no two are called the same."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any
from urllib.parse import quote

from holded_pipeline.model.templates import EVENT_FIELDS, FieldValue, parse_template
from holded_pipeline.model.values import Event, Rejected

Partition = Callable[[Any], str]

_KEY_BYTES = 1024  # of a key in S3
_LEVEL_BYTES = 255  # of one level: many a store keeps objects as files
_RUN_BYTES = 160  # of the run's id in a name
_END_BYTES = 33  # of the digest that shortened text ends in
_ODD_LEVELS = frozenset({"", ".", ".."})


def day_of(moment: date) -> str:
    """The day as keys have it, `2026-03-01`; the year in four digits, which `strftime` does not promise."""
    return f"{moment.year:04}-{moment.month:02}-{moment.day:02}"


def _date_of(event: Event) -> str:
    return day_of(event.occurred_at)


def _hour_of(event: Event) -> str:
    return f"{event.occurred_at:%H}"


def _month_of(event: Event) -> str:
    return day_of(event.occurred_at)[:-3]


_PARTITION_FIELDS: Mapping[str, FieldValue] = {"date": _date_of, "hour": _hour_of, "month": _month_of, **EVENT_FIELDS}


def partition_template(template: str) -> Partition:
    """A function for a template such as `date={date}/company={company_id}`.

    What an event puts in is percent-encoded, so that it can neither open a folder nor leave one.

    Raises:
        ValueError: the template names an unknown field; the message lists the known ones; or it has a level that
            stores may take for another.
    """
    parsed = parse_template(template, _PARTITION_FIELDS, name="partition", encode=escape_key_level)
    usable_prefix(template, name="partition")
    return parsed


def rejected_partition(rejected: Rejected) -> str:
    """Rejected records are filed by stage and by the day they were refused."""
    return f"stage={escape_key_level(rejected.stage)}/date={day_of(rejected.rejected_at)}"


def escape_key_level(text: str) -> str:
    """Text as one level of a key: nothing in it is special to a store, a shell or a file system."""
    level = quote(text, safe="-_.=", errors="surrogatepass").replace("..", "%2E%2E")
    return "%2E" if level == "." else level or "_"


def shorten_with_digest(text: str, size: int) -> str:
    """Text of at most `size` bytes in UTF-8; what is as long, or longer, ends in a digest of all of it."""
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) < size:
        return text
    digest = hashlib.sha256(encoded).hexdigest()[: _END_BYTES - 1]
    return f"{encoded[: size - _END_BYTES].decode('utf-8', 'ignore')}~{digest}"


def _whole_levels(levels: str, size: int) -> str:
    """Levels of at most `size` bytes; where that is not all of them, those that fit and a digest of all as the last."""
    encoded = levels.encode("utf-8", "surrogatepass")
    if len(encoded) < size:
        return levels
    # Not the part of one that would fit: with the digest behind it, it may be longer than a level may.
    whole = encoded[: size - _END_BYTES].decode("utf-8", "ignore").rpartition("/")[0]
    digest = f"~{hashlib.sha256(encoded).hexdigest()[: _END_BYTES - 1]}"
    return f"{whole}/{digest}" if whole else digest


def joined(prefix: str, partition: str, name: str) -> str:
    """A key; the parts of which may or may not end in a slash."""
    return "/".join(part.strip("/") for part in (prefix, partition, name) if part.strip("/"))


def usable_prefix(prefix: str, *, name: str = "prefix") -> str:
    """The prefix, as it was given.

    Args:
        prefix: what keys begin with. Slashes around it make no difference.
        name: the argument it was given as.

    Raises:
        ValueError: a store may file what is written there elsewhere, or take no such key.
    """
    if not isinstance(prefix, str) or has_odd_level(prefix):
        raise ValueError(
            f"{name} must be text such as 'raw/' or 'a/b/', without empty levels (//) and the levels . and .., which "
            f"stores take for other keys or refuse; got {prefix!r}"
        )
    return prefix


def usable_pattern(pattern: str) -> str:
    """A prefix or glob for listing keys, without slashes before it and with one behind it at the most.

    Raises:
        ValueError: as for `usable_prefix`.
    """
    text = pattern.lstrip("/")
    if text.endswith("/"):
        text = text.rstrip("/") + "/"
    *levels, _ = text.split("/")  # the last one may be how a name begins
    if _ODD_LEVELS.intersection(levels):
        raise ValueError(
            f"pattern must be text such as 'raw/' or 'raw/**/*.json', without empty levels (//) and the levels . and "
            f".., by which some stores list nothing; a wildcard, as in 'a/*/b/**', finds such keys; got {pattern!r}"
        )
    return text


def has_odd_level(text: str) -> bool:
    """Whether a part of a key has levels that a store may take for others; slashes around it make no difference."""
    levels = text.strip("/")
    return bool(levels) and not _ODD_LEVELS.isdisjoint(levels.split("/"))


class ObjectIdentity:
    """Follows what an object holds, so that the same lines of the same records make the same name.

    Records that say where they came from (`Event.source`, `Rejected.id`) name the object, together with their lines;
    a bundle that is tried again then replaces its object instead of leaving a second one. The moment at which the
    pipeline itself met a record (`rejected_at`, `processed_at`) is left out, since it is another one each time.
    Objects of other elements, which may be equal and still not the same, get a name at random.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._known = True
        self._moment = b""

    def begin(self, element: Any) -> None:
        """Takes in whose line comes next."""
        origin = _origin_of(element)
        self._known = self._known and origin is not None
        if self._known:
            self._moment = _moment_of(element)
            # No line holds a line's end, and no repr does, so nothing can be taken for something else.
            self._digest.update(b"\n%b\n" % repr(origin).encode("utf-8", "backslashreplace"))

    def add(self, piece: bytes) -> None:
        """Takes in the next piece of that line."""
        if self._known:
            self._digest.update(piece.replace(self._moment, b"\n") if self._moment else piece)

    def digest(self) -> str | None:
        """Stands for what the object holds; None if its records do not say where they came from."""
        return self._digest.hexdigest() if self._known else None


def _origin_of(element: Any) -> tuple[Any, ...] | None:
    if isinstance(element, Rejected):
        return (element.id,)
    if isinstance(element, Event) and (source := element.source) is not None:
        return source.bucket, source.key, source.etag, source.line, source.item, element.id
    return None


def _moment_of(element: Any) -> bytes:
    """The member of an element's line that a clock makes; such text stands nowhere within a JSON string."""
    if isinstance(element, Rejected):
        return b'"rejected_at":"%b"' % element.rejected_at.isoformat().encode()
    processing = element.metadata.get("processing")
    processed_at = processing.get("processed_at") if isinstance(processing, Mapping) else None
    return b'"processed_at":"%b"' % processed_at.encode("utf-8", "replace") if isinstance(processed_at, str) else b""


class ObjectNames:
    """Gives the objects of one bundle their keys: a place, the run, and a digest of who writes what there.

    Different content, places, steps and runs make different keys. The same bundle tried again makes the same ones.

    Args:
        run_id: the run.
        step: the transform that writes, by a name that no other one of the run has.
    """

    def __init__(self, run_id: str, step: str) -> None:
        self._run = shorten_with_digest(escape_key_level(run_id), _RUN_BYTES)
        self._step = step
        self._made: Counter[str] = Counter()

    def key(
        self, prefix: str, partition: str, identity: ObjectIdentity, ending: str, *, window: tuple[Any, ...] = ()
    ) -> str:
        """The key of the next object.

        It has at most 1,024 bytes, unless the prefix leaves no room, and the levels below the prefix have at most 255.

        Args:
            prefix: what all keys begin with.
            partition: the folder below it.
            identity: of what the object holds.
            ending: of its name.
            window: what tells the window of its elements from others.
        """
        content = identity.digest()
        told = secrets.token_hex(16) if content is None else repr((self._step, partition, window, content))
        self._made[told] += 1  # a bundle may hold the same lines twice
        digest = hashlib.sha256(f"{self._made[told]} {told}".encode("utf-8", "backslashreplace")).hexdigest()
        name = f"{self._run}-{digest[:24]}{ending}"
        levels = "/".join(shorten_with_digest(level, _LEVEL_BYTES) for level in partition.split("/"))
        room = _KEY_BYTES - len(joined(prefix, "", name).encode("utf-8", "surrogatepass")) - 1
        return joined(prefix, _whole_levels(levels, max(room, _END_BYTES)), name)
