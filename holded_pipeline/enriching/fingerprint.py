"""The enricher `fingerprint`: what an event says, as one number that is another when it says something else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, ClassVar

import attrs

from holded_pipeline.model.canonical_json import encode_canonical
from holded_pipeline.model.field_paths import Path, parse_paths, remove_values
from holded_pipeline.model.json_pointer import json_pointer
from holded_pipeline.model.values import Event

_FORM = "1"  # of the canonical text; another one makes other digests


def _sorted(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(json_pointer(path) for path in parse_paths(texts)))


@attrs.frozen
class Fingerprint:
    """An enricher that adds a digest of the event's data, so that one id with two contents is seen.

    The order of members, spaces and the way a number is written (`1`, `1.0`, `1e0`) make no difference; everything
    else in the data does.

    Attributes:
        volatile: paths of fields that change without the event saying anything else, such as `/updatedAt` or
            `/lines/*/position`.
        version: of the digest, kept with the event: only digests of one version can be compared.

    Raises:
        ValueError: a path is none.
    """

    volatile: tuple[str, ...] = attrs.field(default=("/updatedAt", "/updated_at"), converter=_sorted)
    _paths: tuple[Path, ...] = attrs.field(init=False, eq=False, repr=False)
    name: ClassVar[str] = "fingerprint"

    @_paths.default
    def _parsed(self) -> tuple[Path, ...]:
        return parse_paths(self.volatile)

    @property
    def version(self) -> str:
        """The form of the digest and what it leaves out."""
        return " ".join((_FORM, *(f"-{path}" for path in self.volatile)))

    def __call__(self, event: Event) -> dict[str, Any]:
        """The entry `sha256`, 64 hexadecimal digits."""
        return {"sha256": hashlib.sha256(encode_canonical(remove_values(event.data, self._paths))).hexdigest()}
