"""Events that wait for a batch keep their order, their timestamps and their windows, and none is lost."""

from __future__ import annotations

import gc
import sys

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, GlobalWindows, SlidingWindows, TimestampedValue
from apache_beam.utils.windowed_value import WindowedValue
from event_factory import make_event

import holded_pipeline as hp
from holded_pipeline.model.carried_text import ReadObject, carried_bytes, make_entry, with_entries
from holded_pipeline.model.identity import PackageIds
from holded_pipeline.plugins.registry import default_registry
from holded_pipeline.reading.common_message import read_common_message
from holded_pipeline.reading.framed_records import Lines
from holded_pipeline.store.object_buffers import ObjectBuffers
from holded_pipeline.transforms.beam import batches
from holded_pipeline.transforms.beam.batches import BatchDoFn
from holded_pipeline.transforms.beam.interpreter_settings import settings_for_reading
from holded_pipeline.transforms.workers.enrich_outputs import EnrichSettings
from holded_pipeline.transforms.workers.load_rows import LoadRows
from holded_pipeline.transforms.workers.quality_check import QualityCheck
from holded_pipeline.transforms.workers.read_units import _groups_of
from holded_pipeline.transforms.workers.run_enrichers import RunBuiltinEnrichers, RunEnrichers, can_run_in_batches
from holded_pipeline.transforms.workers.write_objects import ObjectSettings, WriteObjects
from holded_pipeline.transforms.write_minio import encode_event_line

OBJECT = ReadObject("b", "k", "e")


class Batches(BatchDoFn):
    """Gives the batches themselves."""

    def work_on(self, batch):
        return [[event.id for event, _ in batch]]


def run_by_hand(events) -> list[list[str]]:
    dofn = Batches()
    dofn.start_bundle()
    outputs = [each for event in events for each in dofn.add(event, None)]
    return [*outputs, *dofn.finish_bundle()]


@pytest.fixture
def size_of_raw(monkeypatch):
    """Events of tests count as events that were read."""
    monkeypatch.setattr(batches, "carried_bytes", lambda event: len(event.raw))


@pytest.mark.usefixtures("size_of_raw")
def test_a_batch_ends_at_its_number_of_events():
    ids = [f"e{n}" for n in range(601)]
    found = run_by_hand(make_event(id=each) for each in ids)
    assert [len(batch) for batch in found] == [250, 250, 101]
    assert [each for batch in found for each in batch] == ids


def test_an_event_that_code_made_does_not_wait():
    assert run_by_hand(make_event(id=f"e{n}", raw=b"x") for n in range(3)) == [["e0"], ["e1"], ["e2"]]


def test_what_was_added_to_an_event_counts():
    sample = hp.testing.sample_events(1, seed=5)[0]
    event = read_common_message(sample.line, (OBJECT, 1, None), PackageIds("b", "k", "e"), max_depth=100)
    assert carried_bytes(event) == len(sample.line)
    added = with_entries(event, {"large": make_entry("large", "x" * 500_000)})
    assert carried_bytes(added) > 500_000 + len(sample.line)
    assert [len(batch) for batch in run_by_hand([added] * 6)] == [3, 3]


@pytest.mark.usefixtures("size_of_raw")
def test_a_batch_ends_at_its_bytes():
    found = run_by_hand(make_event(id=f"e{n}", raw=b"x" * 600_000) for n in range(5))
    assert [len(batch) for batch in found] == [2, 2, 1]


@pytest.mark.usefixtures("size_of_raw")
def test_an_event_waits_only_for_so_long(monkeypatch):
    clock = iter([0.0, 0.5, 1.0, 1.05, 1.1])  # read once more when the batch of three has ended
    monkeypatch.setattr(batches.time, "monotonic", lambda: next(clock))
    assert run_by_hand(make_event(id=f"e{n}") for n in range(4)) == [["e0", "e1", "e2"], ["e3"]]


@pytest.mark.usefixtures("size_of_raw")
def test_what_comes_behind_the_end_of_a_batch_begins_its_own_wait(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(batches.time, "monotonic", lambda: clock[0])
    dofn = Batches()
    dofn.start_bundle()
    assert dofn.add(make_event(id="e0"), None) == []
    clock[0] = 1.5
    events = [make_event(id=f"e{n}") for n in range(1, 4)]
    assert dofn.add_all(events, None) == [["e0", "e1"]]
    clock[0] = 2.4
    assert dofn.add(make_event(id="e4"), None) == []
    clock[0] = 2.5
    assert dofn.add(make_event(id="e5"), None) == [["e2", "e3", "e4", "e5"]]


@pytest.mark.usefixtures("size_of_raw")
def test_what_is_no_event_does_not_make_an_event_wait_longer(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(batches.time, "monotonic", lambda: clock[0])
    dofn = Batches()
    monkeypatch.setattr(dofn, "work_on", lambda batch: [len(batch)])
    dofn.start_bundle()
    assert dofn.add(make_event(id="e0"), None) == []
    clock[0] = 0.9
    assert dofn.add("no event", None) == [1]
    clock[0] = 1.0
    assert dofn.add(make_event(id="e1"), None) == [2]


class Place(beam.DoFn):
    """Where an element is: its event's id, its timestamp and its window."""

    def process(self, element, timestamp=beam.DoFn.TimestampParam, window=beam.DoFn.WindowParam):
        event_id = element.event_id if isinstance(element, hp.Rejected) else element.id
        yield event_id, float(timestamp), str(window)


def at_ten_seconds_each(event):
    return TimestampedValue(event, 10.0 * event.source.line)


def mine(event):
    """A user's enricher."""
    return {"line": event.source.line}


@pytest.mark.parametrize("last", ["quality", mine])
@pytest.mark.parametrize("windows", [None, FixedWindows(100), SlidingWindows(100, 50)])
def test_timestamps_and_windows_stay(run, lake, windows, last):
    samples = hp.testing.sample_events(600, seed=8, faults=0.1)
    lake.filesystem().pipe(f"{lake.bucket}/raw/events.jsonl", hp.testing.sample_lines(samples))

    def build(p):
        given = p | hp.ReadMinIO(lake, "raw/")
        given = given.passed | beam.Map(at_ten_seconds_each)
        if windows is not None:
            given = given | beam.WindowInto(windows)
        checked = given | hp.ValidateSchema(hp.SchemaDirectory("examples/schemas"), subject="{type}")
        enriched = checked.passed | hp.Enrich("processing", "business_context", last)
        outputs = {"given": given, "enriched": enriched.passed, "rejected": checked.rejected}
        return {name: each | f"Place {name}" >> beam.ParDo(Place()) for name, each in outputs.items()}

    ran = run(build)
    assert len(ran["given"]) >= 500
    assert len(ran["rejected"]) > 5
    assert sorted(ran["enriched"] + ran["rejected"]) == sorted(ran["given"])
    counts = ran.counters
    assert counts["enrich.passed"] + counts["validate.rejected"] == counts["read.passed"]  # once, in all its windows


def test_code_of_a_user_does_not_run_in_batches():
    registry = default_registry()
    builtin = [registry.enricher(name) for name in ("processing", "business_context", "quality")]
    assert can_run_in_batches(builtin)
    assert not can_run_in_batches([*builtin, registry.enricher(mine)])


def test_a_minimum_quality_rejects_in_batches_what_it_rejects_one_by_one():
    samples = hp.testing.sample_events(300, seed=9, wrapped=0.5)
    position = lambda line: (OBJECT, line, None)  # noqa: E731
    ids = PackageIds("b", "k", "e")
    events = [read_common_message(each.line, position(n), ids, max_depth=100) for n, each in enumerate(samples)]
    enrichers = [default_registry().enricher(name).for_run("r") for name in ("business_context", "quality")]

    def outcomes(kind):
        settings = EnrichSettings("run", "step", {"quality": QualityCheck(0.95)}, is_last=True)
        dofn = kind(enrichers, settings)
        dofn.setup()
        if kind is RunEnrichers:
            outputs = [each for event in events for each in dofn.process(event)]
        else:
            dofn.start_bundle()
            outputs = [o for e in events for o in dofn.process(e, GlobalWindows.windowed_value(e))]
            outputs += dofn.end_batch()
        return [each.value if isinstance(each, WindowedValue) else each for each in outputs]

    one_by_one, in_batches = outcomes(RunEnrichers), outcomes(RunBuiltinEnrichers)
    rejected = [each.value for each in one_by_one if isinstance(each, beam.pvalue.TaggedOutput)]
    beside = [each.value.value for each in in_batches if isinstance(each, beam.pvalue.TaggedOutput)]
    assert 5 < len(rejected) < 295
    assert [(r.event_id, r.reason, r.violations) for r in beside] == [
        (r.event_id, r.reason, r.violations) for r in rejected
    ]
    assert [e.metadata for e in in_batches if isinstance(e, hp.Event)] == [
        e.metadata for e in one_by_one if isinstance(e, hp.Event)
    ]


def test_lines_are_read_so_many_at_a_time_that_their_events_are_small():
    large, small = b"x" * 200_000, b"y"
    groups = list(_groups_of(Lines([large, large, large, *[small] * 150], 7)))
    assert [(len(group.raws), group.first_line) for group in groups] == [(2, 7), (50, 9), (50, 59), (50, 109), (1, 159)]


@pytest.mark.parametrize(("subject", "in_batches"), [("{type}", True), (lambda event: event.type, False)])
def test_a_subject_function_does_not_run_in_batches(subject, in_batches):
    pipeline = beam.Pipeline()
    _ = pipeline | beam.Create([make_event()]) | hp.ValidateSchema({"t": {}}, subject=subject)
    steps = pipeline.transforms_stack[0].parts[-1].parts
    check = next(step.transform.fn for step in steps[0].parts if hasattr(step.transform, "fn"))
    assert isinstance(check, BatchDoFn) == in_batches


def test_rows_wait_no_longer_than_a_batch_of_rows_may():
    load = hp.WritePostgres(hp.Postgres("postgresql://u@localhost/d"), batch_seconds=0.2)
    assert LoadRows(load._db, load._settings, "run", "step").most_seconds == 0.2


def test_the_age_of_an_object_begins_when_its_first_element_came():
    buffers = ObjectBuffers(None, object_bytes=1_000, object_seconds=60, total_bytes=1 << 20)
    assert not buffers.add_lines("p", [b"1"], [None], now=50.0, since=0.0)
    assert len(buffers.add_lines("p", [b"2"], [None], now=60.0)) == 1


def test_where_objects_end_does_not_depend_on_a_pause(lake):
    settings = ObjectSettings(
        prefix="x/", partition=None, compression=None, object_bytes=10, object_seconds=60, buffer_bytes=10
    )
    write = WriteObjects(lake, encode_event_line, settings, run_id="run", step="step", stage="write_minio")
    assert write.most_seconds == 60


def test_the_interpreters_settings_are_as_they_were_afterwards():
    before = gc.get_threshold(), sys.getswitchinterval()
    with settings_for_reading():
        with settings_for_reading():
            assert gc.get_threshold()[0] > before[0][0]
            assert sys.getswitchinterval() < before[1]
        assert gc.get_threshold()[0] > before[0][0]
        assert sys.getswitchinterval() < before[1]
    assert (gc.get_threshold(), sys.getswitchinterval()) == before


@pytest.mark.parametrize("options", [[], ["--runtime_type_check"]], ids=["batches", "elements"])
def test_the_steps_after_a_read_run_with_its_settings(lake, options):
    before = gc.get_threshold(), sys.getswitchinterval()
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", hp.testing.sample_lines(hp.testing.sample_events(3, seed=5)))
    with beam.Pipeline(runner="FnApiRunner", options=PipelineOptions(options)) as pipeline:
        raw = pipeline | hp.ReadMinIO(lake, "raw/")
        found = raw.passed | beam.Map(lambda _: (gc.get_threshold()[0], round(sys.getswitchinterval(), 6)))
        assert_that(found, equal_to([(20_000, 0.002)] * 3))
    assert (gc.get_threshold(), sys.getswitchinterval()) == before


@pytest.mark.parametrize("mine", [(0, 10, 10), (50_000, 5, 5)])
def test_a_threshold_that_is_off_or_higher_stays(mine):
    before = gc.get_threshold()
    gc.set_threshold(*mine)
    try:
        with settings_for_reading():
            assert gc.get_threshold() == mine
    finally:
        gc.set_threshold(*before)


def test_a_switch_interval_that_is_shorter_stays():
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.001)
    try:
        with settings_for_reading():
            assert sys.getswitchinterval() == pytest.approx(0.001)
    finally:
        sys.setswitchinterval(before)
