"""Keys of the objects we write: where they are filed, and why no two are called the same."""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from holded_pipeline.core.values import Event, Rejected

Partition = Callable[[Any], str]

_ODD_LEVELS = frozenset({"", ".", ".."})

_EVENT_FIELDS: dict[str, Callable[[Event], str]] = {
    "date": lambda event: f"{event.occurred_at:%Y-%m-%d}",
    "hour": lambda event: f"{event.occurred_at:%H}",
    "month": lambda event: f"{event.occurred_at:%Y-%m}",
    "type": lambda event: event.type,
    "type_name": lambda event: re.split(r"[\\/.]", event.type)[-1],
    "company_id": lambda event: event.company_id,
}


def partition_template(template: str) -> Partition:
    """A function for a template such as `date={date}/company={company_id}`.

    What an event puts in is percent-encoded, so that it can neither open a folder nor leave one.

    Raises:
        ValueError: the template names an unknown field; the message lists the known ones; or it has a level that
            stores may take for another.
    """
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"the partition {template!r} is no template: {error}") from error
    for _, field, spec, conversion in parts:
        if field is not None and (field not in _EVENT_FIELDS or spec or conversion):
            known = ", ".join(sorted(_EVENT_FIELDS))
            raise ValueError(f"the partition {template!r} has no usable field {field!r}; the fields are: {known}")
    usable_prefix(template, name="partition")
    return _Template(tuple((text, field) for text, field, _, _ in parts))


class _Template:
    """A parsed template; an object rather than a closure, so that it travels to workers by reference."""

    def __init__(self, parts: tuple[tuple[str, str | None], ...]) -> None:
        self._parts = parts

    def __call__(self, event: Event) -> str:
        return "".join(
            text + ("" if field is None else escaped(_EVENT_FIELDS[field](event))) for text, field in self._parts
        )


def rejected_partition(rejected: Rejected) -> str:
    """Rejected records are filed by stage and by the day they were refused."""
    return f"stage={escaped(rejected.stage)}/date={rejected.rejected_at:%Y-%m-%d}"


def escaped(text: str) -> str:
    """Text as one level of a key: nothing in it is special to a store, a shell or a file system."""
    quoted = quote(text, safe="-_.=", errors="surrogatepass").replace("..", "%2E%2E")
    return "%2E" if quoted == "." else quoted or "_"


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
    """Follows which records an object holds, so that the same ones make the same name.

    Records that say where they came from (`Event.source`, `Rejected.id`) name the object; a bundle that is tried
    again then replaces its object instead of leaving a second one. Others get a name at random.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._known = True

    def add(self, element: Any) -> None:
        """Takes in the next element of the object."""
        if isinstance(element, Event) and element.source is not None:
            part = f"{element.source}\0{element.source.etag}\0{element.id}"
        elif isinstance(element, Rejected):
            part = element.id
        else:
            self._known = False
            return
        self._digest.update(part.encode("utf-8", "surrogatepass") + b"\0")

    def name(self, run_id: str) -> str:
        """The object's name without its ending: the run, then what it holds."""
        return f"{escaped(run_id)}-{self._digest.hexdigest()[:24] if self._known else secrets.token_hex(12)}"
