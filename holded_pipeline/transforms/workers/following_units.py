"""Each read unit with the one that follows it, so that the store is asked for that in time."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
from apache_beam.utils.windowed_value import WindowedValue

from holded_pipeline.store.read_plan import ReadUnit

UnitAndFollowing = tuple[ReadUnit, ReadUnit | None]
"""A read unit, and the one that the same worker reads after it; None behind the last of a bundle."""


class PairWithFollowing(beam.DoFn):
    """A read unit to itself and the one that comes after it in its bundle, when that comes or the bundle ends."""

    def start_bundle(self) -> None:
        self._waiting: WindowedValue | None = None

    def process(self, unit: ReadUnit, place: WindowedValue = beam.DoFn.WindowedValueParam) -> Iterator[WindowedValue]:
        waiting, self._waiting = self._waiting, place
        if waiting is not None:
            yield waiting.with_value((waiting.value, unit))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._waiting is not None:
            yield self._waiting.with_value((self._waiting.value, None))
