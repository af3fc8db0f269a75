"""Events that wait for a batch keep their order, their timestamps and their windows, and none is lost."""

from __future__ import annotations

import gc

import apache_beam as beam
import pytest
from apache_beam.transforms.window import FixedWindows, TimestampedValue
from event_factory import make_event

import holded_pipeline as hp
from holded_pipeline.transforms.beam import batches
from holded_pipeline.transforms.beam.batches import GLOBAL_WINDOW, BatchDoFn
from holded_pipeline.transforms.beam.garbage import rarer_collections

SCHEMA = {"t": {"type": "object", "properties": {"n": {"type": "integer"}}}}


class Batches(BatchDoFn):
    """Gives the batches themselves."""

    def work_on(self, batch):
        return [[event.id for event, _, _ in batch]]


def run_by_hand(events) -> list[list[str]]:
    dofn = Batches()
    dofn.start_bundle()
    outputs = [each for event in events for each in dofn.add(event, None, GLOBAL_WINDOW)]
    return [*outputs, *dofn.finish_bundle()]


def test_a_batch_ends_at_its_number_of_events():
    ids = [f"e{n}" for n in range(601)]
    found = run_by_hand(make_event(id=each) for each in ids)
    assert [len(batch) for batch in found] == [250, 250, 101]
    assert [each for batch in found for each in batch] == ids


def test_a_batch_ends_at_its_bytes():
    found = run_by_hand(make_event(id=f"e{n}", raw=b"x" * 600_000) for n in range(5))
    assert [len(batch) for batch in found] == [2, 2, 1]


def test_an_event_waits_only_for_so_long(monkeypatch):
    clock = iter([0.0, 0.5, 1.0, 1.1])
    monkeypatch.setattr(batches.time, "monotonic", lambda: next(clock))
    assert run_by_hand(make_event(id=f"e{n}") for n in range(4)) == [["e0", "e1", "e2"], ["e3"]]


class Place(beam.DoFn):
    """Where an element is: its event's id, its timestamp and its window."""

    def process(self, element, timestamp=beam.DoFn.TimestampParam, window=beam.DoFn.WindowParam):
        event_id = element.event_id if isinstance(element, hp.Rejected) else element.id
        yield event_id, float(timestamp), str(window)


def at_ten_seconds_each(event):
    return TimestampedValue(event, 10.0 * int(event.id[1:]))


@pytest.mark.parametrize("windows", [None, FixedWindows(100)])
def test_timestamps_and_windows_stay(run, windows):
    events = [make_event(id=f"e{n}", type="t", data={"n": n if n % 7 else "no"}) for n in range(600)]

    def build(p):
        given = p | beam.Create(events) | beam.Map(at_ten_seconds_each)
        if windows is not None:
            given = given | beam.WindowInto(windows)
        checked = given | hp.ValidateSchema(SCHEMA, subject="t")
        enriched = checked.passed | hp.Enrich("processing", "business_context", "quality")
        outputs = {"given": given, "enriched": enriched.passed, "rejected": checked.rejected}
        return {name: each | f"Place {name}" >> beam.ParDo(Place()) for name, each in outputs.items()}

    ran = run(build)
    assert len(ran["given"]) == 600
    assert len(ran["rejected"]) == 86
    assert sorted(ran["enriched"] + ran["rejected"]) == sorted(ran["given"])
    assert {timestamp for _, timestamp, _ in ran["given"]} == {10.0 * n for n in range(600)}


def test_the_garbage_collector_is_as_it_was_afterwards():
    before = gc.get_threshold()
    with rarer_collections():
        with rarer_collections():
            assert gc.get_threshold()[0] > before[0]
        assert gc.get_threshold()[0] > before[0]
    assert gc.get_threshold() == before


@pytest.mark.parametrize("mine", [(0, 10, 10), (50_000, 5, 5)])
def test_a_threshold_that_is_off_or_higher_stays(mine):
    before = gc.get_threshold()
    gc.set_threshold(*mine)
    try:
        with rarer_collections():
            assert gc.get_threshold() == mine
    finally:
        gc.set_threshold(*before)
