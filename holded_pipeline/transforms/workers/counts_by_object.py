"""The counts of objects by their versions, as `SettleObjects` joins them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows

from holded_pipeline.model.object_counts import ObjectCount, ObjectVersion
from holded_pipeline.runs.object_accounts import NOWHERE, Counts, add_counts, is_read
from holded_pipeline.transforms.workers.load_rows import LoadReceipt
from holded_pipeline.transforms.workers.write_objects import WrittenObject

Keyed = tuple[ObjectVersion, Counts]


def by_object(parts: Iterable[beam.PCollection], name: str, keyed: Any) -> list[beam.PCollection]:
    """Each part to versions of objects with their counts, by one of the functions below."""
    return [
        part
        | f"AllWindowsOf{name}{number}" >> beam.WindowInto(GlobalWindows())
        | f"{name}ByObject{number}"
        >> beam.FlatMap(keyed).with_output_types(tuple[tuple[str, str, str], tuple[int, ...]])
        for number, part in enumerate(parts)
    ]


def _entry(count: ObjectCount, place: int, size: int, values: Counts) -> Keyed:
    counts = [0] * size
    counts[place : place + len(values)] = values
    return (count.bucket, count.key, count.etag), tuple(counts)


def read_at(place: int, size: int, count: ObjectCount) -> Iterator[Keyed]:
    """The records that were read, of a slice."""
    yield _entry(count, place, size, (count.records, 1))


def counted_at(place: int, size: int, count: ObjectCount) -> Iterator[Keyed]:
    """The records of a step that counts nothing else."""
    yield _entry(count, place, size, (count.records,))


def objects_at(place: int, size: int, written: WrittenObject) -> Iterator[Keyed]:
    """The records in an object of dead letters."""
    for count in written.objects:
        yield _entry(count, place, size, (count.records,))


def received_at(place: int, size: int, received: WrittenObject | LoadReceipt) -> Iterator[Keyed]:
    """The records that a sink received; those without a source are of `NOWHERE`."""
    for count in received.objects:
        yield _entry(count, place, size, (count.records, count.duplicates, count.rejected))
    total = received.records if isinstance(received, WrittenObject) else received.rows
    if without_source := total - sum(count.records for count in received.objects):
        yield _entry(ObjectCount(*NOWHERE, without_source), place, size, (without_source, 0, 0))


class AddAll(beam.CombineFn):
    """The sums over all objects, and those of what has no source."""

    def create_accumulator(self) -> tuple[Counts, Counts]:
        return (), ()

    def add_input(self, sums: tuple[Counts, Counts], element: Keyed) -> tuple[Counts, Counts]:
        version, counts = element
        of_objects, without_source = sums
        if version == NOWHERE:
            return of_objects, add_counts([without_source, counts])
        if not is_read(element):
            return sums
        return add_counts([of_objects, counts]), without_source

    def merge_accumulators(self, several: Iterable[tuple[Counts, Counts]]) -> tuple[Counts, Counts]:
        of_objects, without_source = zip(*several, strict=True)
        return add_counts(of_objects), add_counts(without_source)

    def extract_output(self, sums: tuple[Counts, Counts]) -> tuple[Counts, Counts]:
        return sums
