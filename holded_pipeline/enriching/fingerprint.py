"""The enricher `fingerprint`: a digest of an event's data, which changes when its content does.

A digest without a key undoes a mask: it covers all of the data, and whoever sees the data but for the masked fields can
try values of these until the digest fits. E-mail addresses, IBANs and telephone numbers are few enough.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

import attrs

from holded_pipeline.enriching.digest_keys import Key, reveal_key, validate_key
from holded_pipeline.model.canonical_json import encode_canonical
from holded_pipeline.model.field_paths import Path, parse_paths, remove_values
from holded_pipeline.model.json_pointer import json_pointer
from holded_pipeline.model.values import Event

_FORM = "1"  # version of the canonical text that is hashed
_UNKEYED_MEMBER: Final = "sha256"
_KEYED_MEMBER: Final = "hmac_sha256"
_UNKEYED_VERSION: Final = re.compile(rf"{_FORM}( -/\S*)*")


def _sort_paths(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(json_pointer(path) for path in parse_paths(texts)))


@attrs.frozen
class Fingerprint:
    """An enricher that adds a digest of the event's data, so that the same id with another content is noticed.

    The order of members, whitespace and the form of numbers (`1`, `1.0`, `1e0`) make no difference; everything else in
    the data does.

    Without a key anybody can compute the digest of data that they guess. So beside `Mask` it needs one: otherwise an
    `Enrich` with both is refused, and so is hiding the fields of an event that has such a digest.

    Attributes:
        volatile: paths of fields to ignore, since they change without the content, such as `/updatedAt` or
            `/lines/*/position`.
        key: an `hp.Secret` of at least 16 characters, which makes the digest an HMAC-SHA256; None for a plain SHA-256.
            With `Secret.env` it is not pickled, but read from the environment of the workers.
        version: of the digest, kept with the event: only digests of one version, and of one key, can be compared.

    Raises:
        ValueError: a path is not a JSON Pointer.
        TypeError: the key is not a secret.

    Example:
        >>> step = hp.Enrich(hp.Fingerprint(["/updatedAt"], key=hp.Secret.env("FINGERPRINT_KEY")))
    """

    volatile: tuple[str, ...] = attrs.field(default=("/updatedAt", "/updated_at"), converter=_sort_paths)
    key: Key | None = attrs.field(default=None, kw_only=True, validator=attrs.validators.optional(validate_key))
    _paths: tuple[Path, ...] = attrs.field(init=False, eq=False, repr=False)
    name: ClassVar[str] = "fingerprint"

    @_paths.default
    def _parse_volatile(self) -> tuple[Path, ...]:
        return parse_paths(self.volatile)

    @property
    def version(self) -> str:
        """The version of the canonical text, whether it is keyed, and the ignored fields."""
        form = _FORM if self.key is None else f"{_FORM} hmac"
        return " ".join((form, *(f"-{path}" for path in self.volatile)))

    def __call__(self, event: Event) -> dict[str, Any]:
        """The entry `sha256`, or with a key `hmac_sha256`: 64 hexadecimal digits.

        Raises:
            ConfigurationError: the key is not set, or too short.
        """
        text = encode_canonical(remove_values(event.data, self._paths))
        if self.key is None:
            return {_UNKEYED_MEMBER: hashlib.sha256(text).hexdigest()}
        return {_KEYED_MEMBER: hmac.digest(reveal_key(self, self.key), text, "sha256").hex()}


def is_unkeyed_fingerprint(entry: Any, version: str | None) -> bool:
    """Whether an entry of the metadata is what a `Fingerprint` without a key gives, under whatever name.

    Args:
        entry: the entry.
        version: of the enricher that made it; None if that is not known.
    """
    return (
        isinstance(entry, Mapping)
        and entry.keys() == {_UNKEYED_MEMBER}
        and (version is None or _UNKEYED_VERSION.fullmatch(version) is not None)
    )
