"""The enricher `mask`: keyed hashes of fields, to store in place of their values."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Any, ClassVar, Protocol, runtime_checkable

import attrs

from holded_pipeline.model.canonical_json import encode_canonical
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.model.field_paths import Path, parse_paths, replace_values, values_at
from holded_pipeline.model.json_pointer import json_pointer
from holded_pipeline.model.values import Event

_FORM = "1"  # version of the tokens
_MIN_KEY_LENGTH = 16


@runtime_checkable
class Key(Protocol):
    """A key that is read only where it is used; `hp.Secret` is one."""

    def reveal(self) -> str:
        """The key itself."""
        ...


def _parse_mask_fields(texts: Iterable[str]) -> tuple[str, ...]:
    paths = tuple(json_pointer(path) for path in parse_paths(texts))
    if not paths:
        raise ValueError("Mask needs at least one field, e.g. ['/email', '/lines/*/email']")
    return paths


def _validate_secret(_: object, __: object, key: Any) -> None:
    if not isinstance(key, Key):
        # A text would be pickled for every worker in the clear. The message does not repeat it.
        raise TypeError(f"the key of Mask is an hp.Secret, best hp.Secret.env('NAME'), not a {type(key).__name__}")


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
    key: Key = attrs.field(kw_only=True, validator=_validate_secret)
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
        key = self._reveal_key()
        return {
            pointer: self._token(value, key) for path in self._paths for pointer, value in values_at(event.data, path)
        }

    def hide(self, event: Event) -> Event:
        """The event with tokens in place of the fields' values in its data, for the sinks.

        Its `raw` stays in the clear, so that a record which a sink rejects can be replayed; so do the entries of
        other enrichers in the metadata.

            enriched.passed | "HideFields" >> beam.Map(mask.hide) | hp.WritePostgres(db)

        Raises:
            ConfigurationError: the key is not set, or too short.
        """
        key = self._reveal_key()
        return attrs.evolve(event, data=replace_values(event.data, self._paths, lambda value: self._token(value, key)))

    def _reveal_key(self) -> bytes:
        key = self.key.reveal()
        if len(key) < _MIN_KEY_LENGTH:
            raise ConfigurationError(
                f"the key of Mask ({self.key!r}) has {len(key)} characters, and whoever guesses it can undo the mask; "
                f"use at least {_MIN_KEY_LENGTH} random ones"
            )
        return key.encode()

    def _token(self, value: Any, key: bytes) -> str | None:
        if value is None:
            return None
        if self.casefold and isinstance(value, str):
            value = value.strip().casefold()
        return hmac.digest(key, encode_canonical(value), "sha256").hex()
