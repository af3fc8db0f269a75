"""Each read unit is passed on once, with the one that its worker reads next."""

from __future__ import annotations

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, GlobalWindow, TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from holded_pipeline.store.read_plan import ReadUnit, Slice
from holded_pipeline.transforms.workers.following_units import PairWithFollowing

UNITS = [ReadUnit((Slice(f"key-{number}", "e", 1),)) for number in range(4)]


def pairs_of_bundle(step, units):
    """What the step gives for a bundle."""
    step.start_bundle()
    given = []
    for second, unit in enumerate(units):
        given += step.process(unit, WindowedValue(unit, Timestamp(second), (GlobalWindow(),)))
    given += step.finish_bundle()
    return [(each.value, each.timestamp) for each in given]


@pytest.mark.parametrize("count", range(5))
def test_each_unit_comes_once_with_the_next_and_its_own_time(count):
    units = UNITS[:count]
    following = [*units[1:], None]
    expected = [((unit, after), Timestamp(n)) for n, (unit, after) in enumerate(zip(units, following, strict=False))]
    assert pairs_of_bundle(PairWithFollowing(), units) == expected[:count]


def test_a_bundle_that_is_tried_again_begins_anew():
    step = PairWithFollowing()
    step.start_bundle()
    for unit in UNITS[:2]:
        list(step.process(unit, WindowedValue(unit, Timestamp(0), (GlobalWindow(),))))
    assert [pair for pair, _ in pairs_of_bundle(step, UNITS[2:])] == [(UNITS[2], UNITS[3]), (UNITS[3], None)]


def test_beam_gives_out_the_last_unit_in_its_window():
    with beam.Pipeline(runner="FnApiRunner") as p:
        pairs = (
            p
            | beam.Create([TimestampedValue(unit, 60 * n) for n, unit in enumerate(UNITS)], reshuffle=False)
            | beam.Map(lambda each: each)
            | beam.WindowInto(FixedWindows(60))
            | beam.ParDo(PairWithFollowing())
            | beam.Map(lambda pair, window=beam.DoFn.WindowParam: (pair[0], window.start))
        )
        assert_that(pairs, equal_to([(unit, Timestamp(60 * n)) for n, unit in enumerate(UNITS)]))
