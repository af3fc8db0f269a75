"""The keywords `contentEncoding` and `contentMediaType`, where the draft or the schema source says so.

Those of `jsonschema-rs` reject base64 with line ends, as MIME writes it, and check nothing after draft 7.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any, Final

_MIME_WHITESPACE = str.maketrans("", "", "\r\n\t ")
_URL_ALPHABET = bytes.maketrans(b"-_+/", b"+/!!")  # `altchars` would accept the usual alphabet, too


class ContentError(ValueError):
    """A text is not encoded as its schema says, or what it encodes is not of the media type."""


class _ContentEncoding:
    """`contentEncoding`: texts in base64, base64url, base32 and base16 are checked; others pass."""

    def __init__(self, _schema: Any, encoding: Any, _path: Any) -> None:
        self._encoding = encoding

    def validate(self, instance: Any) -> None:
        if isinstance(instance, str) and _decoded(instance, self._encoding) is None:
            raise ContentError(f"the text is not encoded in {self._encoding!r}")


class _ContentMediaType:
    """`contentMediaType`: JSON is checked, after `contentEncoding` beside it; other types pass."""

    def __init__(self, schema: Any, media_type: Any, _path: Any) -> None:
        self._encoding = schema.get("contentEncoding") if isinstance(schema, dict) else None
        plain = str(media_type).partition(";")[0].strip().lower()
        self._is_json = plain == "application/json" or plain.endswith("+json")

    def validate(self, instance: Any) -> None:
        if not (self._is_json and isinstance(instance, str)):
            return
        decoded = _decoded(instance, self._encoding)
        if decoded is not None and not _is_json(decoded):  # what cannot be decoded breaks `contentEncoding` alone
            raise ContentError("the text is not valid JSON")


CONTENT_KEYWORDS: Final[dict[str, Any]] = {"contentEncoding": _ContentEncoding, "contentMediaType": _ContentMediaType}
"""The classes of the keywords, as `jsonschema-rs` takes them."""

_DECODERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "base64": lambda text: base64.b64decode(text, validate=True),
    "base64url": lambda text: base64.b64decode(text.translate(_URL_ALPHABET) + b"=" * (-len(text) % 4), validate=True),
    "base32": base64.b32decode,
    "base16": lambda text: base64.b16decode(text, casefold=True),
}


def _decoded(text: str, encoding: Any) -> bytes | None:
    """The bytes that a text encodes; None if it is not encoded like that. Unknown encodings are as plain text."""
    decode = _DECODERS.get(encoding.lower()) if isinstance(encoding, str) else None
    try:
        if decode is None:
            return text.encode()
        return decode(text.translate(_MIME_WHITESPACE).encode("ascii"))
    except (binascii.Error, ValueError):
        return None


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
