"""The form of a group of packages in a file of the spool: a digest, the key of its object, and the object's bytes.

    holded-spool-1 5d41402abc4b2a76b9719d911017c592
    {"key":"raw/date=2026-11-24/hour=09/019ab4c3-....jsonl","bytes":1234}
    ...the 1,234 bytes of the object...

The digest covers everything after its line. So no file is taken for whole that is not, and `tail -n +3` of a file is
the object.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final

_MARK: Final = b"holded-spool-1 "
_DIGEST_BYTES: Final = 16
_FIRST_LINE: Final = len(_MARK) + 2 * _DIGEST_BYTES


class DamagedGroupError(Exception):
    """A file of the spool does not have the bytes that were written to it."""


def encode_group(key: str, body: bytes) -> bytes:
    """The content of a file.

    Args:
        key: the key that the object will have.
        body: the bytes of the object.
    """
    rest = b"%b\n%b" % (json.dumps({"key": key, "bytes": len(body)}, separators=(",", ":")).encode(), body)
    return b"%b%b\n%b" % (_MARK, _group_digest(rest), rest)


def decode_group(content: bytes) -> tuple[str, bytes]:
    """The key and the bytes of the object.

    Raises:
        DamagedGroupError: a byte is missing, was added, or is another one.
    """
    first, line_end, rest = content[:_FIRST_LINE], content[_FIRST_LINE : _FIRST_LINE + 1], content[_FIRST_LINE + 1 :]
    if first[: len(_MARK)] != _MARK or line_end != b"\n":
        raise DamagedGroupError("it does not begin as a file of the spool does")
    if first[len(_MARK) :] != _group_digest(rest):
        raise DamagedGroupError("its bytes are not those that were written: the digest is another one")
    header, _, body = rest.partition(b"\n")
    key: str = json.loads(header)["key"]
    return key, body


def _group_digest(rest: bytes) -> bytes:
    return hashlib.blake2b(rest, digest_size=_DIGEST_BYTES).hexdigest().encode()
