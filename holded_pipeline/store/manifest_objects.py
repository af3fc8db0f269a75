"""Reading manifests: which objects below a prefix are those of runs that are settled."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import accumulate

import msgspec

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.compression import checked_text
from holded_pipeline.store.object_names import MANIFESTS, join_key
from holded_pipeline.store.read_plan import StoredObject, group_small

_TOGETHER_BYTES = 16 << 20
_TOGETHER_OBJECTS = 200


class ManifestLine(msgspec.Struct):
    """An object that a run wrote."""

    key: str
    etag: str
    records: int
    bytes: int


_decoder = msgspec.json.Decoder(ManifestLine)


def manifest_objects(store: ObjectStore, bucket: str, prefix: str) -> Iterator[StoredObject]:
    """The objects with keys that begin with `prefix` and that a manifest names, each once, in the order of keys.

    Manifests are looked for below the prefix and each of its levels: those of `enriched/` name objects of
    `enriched/date=2026-03-01/`. What they name is held in memory.

    Raises:
        ConfigurationError: an object below `_manifests/` is no manifest.
        ObjectVanishedError: a manifest was deleted or overwritten meanwhile.
    """
    named: dict[str, StoredObject] = {}  # a run that settles in two ledgers is named by a manifest for each
    for place in _places(prefix):
        for key, text in _texts(store, join_key(place, MANIFESTS, "") + "/"):
            for line in _lines(f"{bucket}/{key}", text):
                if line.key.startswith(prefix):
                    named[line.key] = StoredObject(line.key, line.bytes, line.etag)
    for key in sorted(named):
        yield named[key]


def _places(prefix: str) -> list[str]:
    """Prefixes of `WriteMinIO` that objects with this prefix may be below: `""`, `a` and `a/b` of `a/b/`."""
    levels = [level for level in prefix.split("/") if level]
    return ["", *accumulate(levels, lambda above, level: f"{above}/{level}")]


def _texts(store: ObjectStore, folder: str) -> Iterator[tuple[str, bytes]]:
    for unit in group_small(store.objects(folder), unit_bytes=_TOGETHER_BYTES, unit_objects=_TOGETHER_OBJECTS):
        for each, body in zip(unit.slices, store.read_many(unit.slices), strict=True):
            if isinstance(body, Exception):
                raise body
            yield each.key, b"".join(checked_text(partial(iter, [body])))


def _lines(name: str, text: bytes) -> Iterator[ManifestLine]:
    for number, line in enumerate(text.splitlines(), 1):
        try:
            yield _decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"{name}, line {number}, is not of a manifest: {error}; move the object out of {MANIFESTS}/, or "
                "restore it"
            ) from error
