"""The enricher `mask`: keyed hashes of fields, to store in place of their values."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import attrs

from holded_pipeline.enriching.digest_keys import Key, reveal_key, validate_key
from holded_pipeline.enriching.drafts import PROVENANCE
from holded_pipeline.enriching.fingerprint import Fingerprint, is_unkeyed_fingerprint
from holded_pipeline.model.canonical_json import encode_canonical
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.model.field_paths import Path, parse_paths, replace_values, values_at
from holded_pipeline.model.json_pointer import json_pointer
from holded_pipeline.model.values import Event

_FORM = "1"  # version of the tokens


def _parse_mask_fields(texts: Iterable[str]) -> tuple[str, ...]:
    paths = tuple(json_pointer(path) for path in parse_paths(texts))
    if not paths:
        raise ValueError("Mask needs at least one field, e.g. ['/email', '/lines/*/email']")
    return paths


@attrs.frozen
class Mask:
    """An enricher that adds keyed hashes (HMAC-SHA256) of chosen fields, which can be joined but not read.

    The same value gives the same token in every field, under the same key; the text "1" and the number 1 give two. Null
    stays null. The clear values remain in the event's data; `hide` replaces them.

    Attributes:
        fields: paths of the fields, such as `/email` or `/lines/*/email`; a field that an event lacks is omitted.
        key: an `hp.Secret` of at least 16 characters; with `Secret.env` it is not pickled, but read from the
            environment of the workers.
        casefold: whether texts that differ only in upper and lower case or in surrounding spaces get the same token, as
            suits e-mail addresses.
        version: of the tokens; only tokens of the same version, under the same key, can be joined.

    Example:
        >>> mask = hp.Mask(["/email", "/lines/*/email"], key=hp.Secret.env("MASK_KEY"), casefold=True)
        >>> step = hp.Enrich(mask)

    Raises:
        ValueError: a path is not a JSON Pointer, or there is no path.
        TypeError: the key is not a secret.
    """

    fields: tuple[str, ...] = attrs.field(converter=_parse_mask_fields)
    key: Key = attrs.field(kw_only=True, validator=validate_key)
    casefold: bool = attrs.field(default=False, kw_only=True)
    _paths: tuple[Path, ...] = attrs.field(init=False, eq=False, repr=False)
    name: ClassVar[str] = "mask"

    @property
    def version(self) -> str:
        """The version of the tokens; it does not depend on the key."""
        return f"{_FORM} casefold" if self.casefold else _FORM

    @_paths.default
    def _parse_fields(self) -> tuple[Path, ...]:
        return parse_paths(self.fields)

    def __call__(self, event: Event) -> dict[str, Any]:
        """For each field that the event has, its own JSON Pointer with its token (64 hexadecimal digits).

        Raises:
            ConfigurationError: the key is not set, or too short.
        """
        key = reveal_key(self, self.key)
        return {
            pointer: self._token(value, key) for path in self._paths for pointer, value in values_at(event.data, path)
        }

    def hide(self, event: Event) -> Event:
        """The event with tokens in place of the fields' values in its data, for the sinks.

        Its `raw` stays in the clear, so that a record which a sink rejects can be replayed; so do the entries of
        other enrichers in the metadata. Its source has the etag of the object that it was read from, which many stores
        make of the object's content without a key.

            enriched.passed | "HideFields" >> beam.Map(mask.hide) | hp.WritePostgres(db)

        Raises:
            ConfigurationError: the key is not set, or too short; or the metadata have a fingerprint of the clear data
                that was made without a key.
        """
        _require_no_unkeyed_fingerprint(event)
        key = reveal_key(self, self.key)
        return attrs.evolve(event, data=replace_values(event.data, self._paths, lambda value: self._token(value, key)))

    def _token(self, value: Any, key: bytes) -> str | None:
        if value is None:
            return None
        if self.casefold and isinstance(value, str):
            value = value.strip().casefold()
        return hmac.digest(key, encode_canonical(value), "sha256").hex()


def require_keyed_fingerprints(functions: Iterable[tuple[str, Any]]) -> None:
    """Sees that no fingerprint without a key is made beside a mask.

    Args:
        functions: the names of enrichers, and their functions.

    Raises:
        ConfigurationError: there are both, in whatever order.
    """
    enrichers = list(functions)
    masks = [name for name, function in enrichers if isinstance(function, Mask)]
    unkeyed = [name for name, function in enrichers if isinstance(function, Fingerprint) and function.key is None]
    if masks and unkeyed:
        raise ConfigurationError(f"the enricher {unkeyed[0]!r} undoes {masks[0]!r}: {_UNDOES_MASK}")


_UNDOES_MASK = (
    "a fingerprint without a key lets whoever reads it try values of the masked fields; give it one: "
    'hp.Fingerprint(key=hp.Secret.env("NAME"))'
)


def _require_no_unkeyed_fingerprint(event: Event) -> None:
    """Sees that the metadata have no fingerprint of the clear data without a key, made in another `Enrich`.

    Raises:
        ConfigurationError: they have one.
    """
    made = event.metadata.get(PROVENANCE)
    for name, entry in event.metadata.items():
        status = made.get(name) if isinstance(made, Mapping) else None
        version = status.get("version") if isinstance(status, Mapping) else None
        if is_unkeyed_fingerprint(entry, version if isinstance(version, str) else None):
            raise ConfigurationError(f"metadata[{name!r}] undoes the mask: {_UNDOES_MASK}")
