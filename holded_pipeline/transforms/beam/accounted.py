"""What a pipeline remembers of its PCollections while it is built, so that `SettleObjects` can account for them.

Beam gives a transform no way to say something of its outputs. This is forgotten with the pipeline.
"""

from __future__ import annotations

from typing import Literal
from weakref import WeakKeyDictionary

import apache_beam as beam
import attrs

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.reading.key_patterns import glob_prefix
from holded_pipeline.store.minio import MinIO

LedgerName = tuple[str, str]
"""The address of a ledger's database, and its name there."""

ANY_LEDGER: LedgerName = ("", "")
"""Of what is known of events of all ledgers."""

SinkKind = Literal["events", "rows", "rejected"]
"""What a sink writes: objects with events, rows of a table, or rejections."""


@attrs.frozen
class Sink:
    """Where the elements went that a PCollection tells of.

    Attributes:
        kind: what was written.
        step: the label of the transform.
        lake: the store that was written to; None for a table.
        prefix: what all keys begin with; empty for a table.
    """

    kind: SinkKind
    step: str
    lake: MinIO | None = None
    prefix: str = ""


@attrs.frozen
class ReadPrefix:
    """What one step reads with a ledger: the objects of a bucket that a prefix or a glob matches."""

    step: str
    ledger: LedgerName
    bucket: tuple[str, str]
    pattern: str

    def is_inside(self, other: ReadPrefix) -> bool:
        """Whether the other step certainly reads all that this one reads."""
        head = glob_prefix(self.pattern)
        is_prefix = glob_prefix(other.pattern) == other.pattern
        return self.pattern == other.pattern or (is_prefix and head.startswith(other.pattern))

    def read_twice(self, other: ReadPrefix, what: str) -> ConfigurationError:
        """The error if both steps read the same."""
        return ConfigurationError(
            f"{self.step} and {other.step} both read {what} with the ledger {self.ledger[1]!r}, so each would be read "
            "and counted twice; read prefixes or globs that have no object in common, or read once and use the events "
            "in several places"
        )


_sinks: WeakKeyDictionary[beam.PCollection, Sink] = WeakKeyDictionary()
# By PCollection, too: one that was a value of its pipeline's entry would keep the pipeline, and so the entry, for ever.
_counts: WeakKeyDictionary[beam.PCollection, tuple[str, LedgerName]] = WeakKeyDictionary()

_prefixes: WeakKeyDictionary[beam.PCollection, ReadPrefix] = WeakKeyDictionary()

READ = "read"
DROPPED = "dropped"
CHECKED = "checked"
SETTLED = "settled"


def remember_sink(written: beam.PCollection, sink: Sink) -> None:
    """Remembers which sink these `WrittenObject` or `LoadReceipt` are of."""
    _sinks[written] = sink


def sink_of(written: beam.PCollection) -> Sink | None:
    """The sink that it is the output of; None for any other PCollection."""
    return _sinks.get(written)


def other_prefixes(pipeline: beam.Pipeline, prefix: ReadPrefix) -> tuple[ReadPrefix, ...]:
    """What other steps of a pipeline read of the same bucket with the same ledger.

    Whether globs match the same objects is known when they are listed.

    Raises:
        ConfigurationError: one of them certainly reads some of the same objects. Each step would read them, since the
            run settles them only at its end, and count them.
    """
    others = []
    for read, known in _prefixes.items():
        if read.pipeline is pipeline and (known.ledger, known.bucket) == (prefix.ledger, prefix.bucket):
            if known.is_inside(prefix) or prefix.is_inside(known):
                below = max(known.pattern, prefix.pattern, key=len)
                raise prefix.read_twice(known, f"the objects of {prefix.bucket[1]} below {below!r}")
            others.append(known)
    return tuple(others)


def remember_prefix(read: beam.PCollection, prefix: ReadPrefix) -> None:
    """Remembers what is read with a ledger."""
    _prefixes[read] = prefix


def remember_counts(kind: str, ledger: LedgerName, counts: beam.PCollection) -> None:
    """Remembers a PCollection of the accounts of a ledger.

    `ObjectCount` of what was read for it (`READ`), or dropped (`DROPPED`, of `ANY_LEDGER`); the end of a check that can
    fail the run (`CHECKED`, of `ANY_LEDGER`); or what `SettleObjects` gives (`SETTLED`).
    """
    _counts[counts] = (kind, ledger)


def ledgers_read(pipeline: beam.Pipeline) -> set[LedgerName]:
    """The ledgers that a pipeline reads with, as far as it is built."""
    return {name for each, (kind, name) in _counts.items() if each.pipeline is pipeline and kind == READ}


def counts_of(pipeline: beam.Pipeline, kind: str, ledger: LedgerName = ANY_LEDGER) -> tuple[beam.PCollection, ...]:
    """What was remembered with these names."""
    return tuple(each for each, name in _counts.items() if each.pipeline is pipeline and name == (kind, ledger))
