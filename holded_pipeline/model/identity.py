"""The ids of events and packages: derived from what was sent, so that sending it again gives the same ids."""

from __future__ import annotations

import hashlib
import re
import uuid

from holded_pipeline.model.values import Source

MAX_KEY_CHARACTERS = 255
"""The longest id, type or company id that is accepted: two of them fit a PostgreSQL index entry in any alphabet."""

_MESSAGES = uuid.UUID("0b1d9f0e-6a55-5f0c-9c3e-7d3c1f6f2a41")
_PACKAGES = uuid.UUID("5e7c2f64-93d8-5b1a-8a0d-2f1f0c9b7e18")
_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}(?:\1[0-9a-fA-F]{4}){2}\1[0-9a-fA-F]{12}")


def event_id_of(message_id: str) -> str:
    """The event id of a message id: a UUID in its canonical form, for any other text a UUID made from it.

    The same message id gives the same event id on every machine and in every release.
    """
    if _CANONICAL_UUID.fullmatch(message_id):
        return message_id
    if _UUID.fullmatch(message_id):
        return str(uuid.UUID(message_id))
    return str(uuid.uuid5(_MESSAGES, message_id))


def time_ordered_id(nanoseconds: int, random_bits: int) -> str:
    """A UUID of version 7 (RFC 9562): later ones sort after earlier ones, as text too.

    The 12 bits below the millisecond hold the fraction of it (method 3 of section 6.2), so that ids of one
    process are in order to a quarter of a microsecond.

    Args:
        nanoseconds: the time since the epoch.
        random_bits: 62 random bits, by which ids of the same moment differ.
    """
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = rest * 4096 // 1_000_000
    random_part = random_bits & ((1 << 62) - 1)
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | random_part))


def correlation_id_of(source: Source) -> str:
    """The correlation id of records that have none: made from the position of their package in the store.

    A package is a line, or an array, whose elements all have the line on which it begins. Two arrays that begin on
    the same line share an id.
    """
    return PackageIds(source.bucket, source.key, source.etag).id_of(source.line)


class PackageIds:
    """The correlation ids of the packages of one version of an object."""

    def __init__(self, bucket: str, key: str, etag: str) -> None:
        self._digest = hashlib.sha1(_PACKAGES.bytes, usedforsecurity=False)
        self._digest.update(f"{bucket}\0{key}\0{etag}\0".encode())

    def id_of(self, line: int) -> str:
        """The id of the package on a line: a UUID of version 5 (RFC 9562, section 5.5), a third of `uuid.uuid5`'s time.

        Version 5 is the SHA-1 of a namespace and a name, with four bits for the version and two for the variant.
        """
        text = self.digest_of(line).hex()
        variant = "89ab"[int(text[16], 16) & 3]
        return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"

    def digest_of(self, line: int) -> bytes:
        """The digest that the id of the package on a line is made of."""
        digest = self._digest.copy()
        digest.update(b"%d" % line)
        return digest.digest()
