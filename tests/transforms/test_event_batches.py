"""Between steps events go in batches: each keeps its own time, and whatever takes elements gets them one by one."""

from __future__ import annotations

from datetime import UTC, datetime

import apache_beam as beam
import pytest
import sqlalchemy as sa
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import FixedWindows, GlobalWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue
from event_factory import make_event

import holded_pipeline as hp
from holded_pipeline.model.carried_text import ReadObject
from holded_pipeline.model.identity import PackageIds
from holded_pipeline.reading.common_message import read_common_message
from holded_pipeline.store.object_names import partition_template
from holded_pipeline.transforms.beam.event_batches import (
    EventBatch,
    as_beam_batch,
    batch_outputs,
    comes_in_batches,
    passes_batches,
)
from holded_pipeline.transforms.workers import read_in_batches
from holded_pipeline.transforms.workers.write_objects import ObjectSettings, WriteEventBatches, WriteObjects
from holded_pipeline.transforms.write_minio import encode_event_line

COUNT = 400
SCHEMAS = hp.SchemaDirectory("examples/schemas")


class Place(beam.DoFn):
    """Where an element is: its event's id, its timestamp and its window."""

    def process(self, element, timestamp=beam.DoFn.TimestampParam, window=beam.DoFn.WindowParam):
        event_id = element.event_id if isinstance(element, hp.Rejected) else element.id
        yield event_id, timestamp.micros, str(window)


@pytest.fixture
def raw(lake):
    """A store with messages, some of which a schema rejects; the microseconds of each by its id."""
    samples = hp.testing.sample_events(COUNT, seed=8, faults=0.1)
    lake.filesystem().pipe(f"{lake.bucket}/raw/events.jsonl", hp.testing.sample_lines(samples))
    return lake


def flow(p, lake):
    raw = p | hp.ReadMinIO(lake, "raw/")
    checked = raw.passed | hp.ValidateSchema(SCHEMAS, subject="{type}")
    enriched = checked.passed | hp.Enrich("processing", "business_context", "quality")
    return raw, checked, enriched


def functions(pipeline):
    """The DoFns of a pipeline by the names of their classes, those of Beam left out."""
    found = {}

    class Visitor(beam.pipeline.PipelineVisitor):
        def visit_transform(self, node):
            function = getattr(node.transform, "fn", None)
            if function is not None and type(function).__module__.startswith("holded_pipeline"):
                found[type(function).__name__] = node

    pipeline.visit(Visitor())
    return found


def test_each_event_has_its_own_time_after_each_step(run, raw):
    def build(p):
        read, checked, enriched = flow(p, raw)
        assert all(comes_in_batches(each.passed) for each in (read, checked, enriched))
        outputs = {
            "read": read.passed, "checked": checked.passed, "enriched": enriched.passed, "rejected": checked.rejected,
        }  # fmt: skip
        times = read.passed | "Times" >> beam.Map(lambda e: (e.id, Timestamp.from_utc_datetime(e.occurred_at).micros))
        return {"times": times} | {name: each | f"P{name}" >> beam.ParDo(Place()) for name, each in outputs.items()}

    ran = run(build)
    times = dict(ran["times"])
    assert len(set(times.values())) > COUNT / 2
    for name in ("read", "checked", "enriched", "rejected"):
        assert len(ran[name]) > 5
        assert {(event_id, micros) for event_id, micros, _ in ran[name]} <= set(times.items())
        assert {window for _, _, window in ran[name]} == {"GlobalWindow"}
    assert sorted(ran["checked"] + ran["rejected"]) == sorted(ran["read"])
    assert ran["enriched"] == ran["checked"]
    assert ran.counters["enrich.passed"] == len(ran["enriched"])


def test_windows_of_a_user_are_made_by_the_time_of_each_event(run, raw):
    def build(p):
        _, _, enriched = flow(p, raw)
        days = (
            enriched.passed | beam.WindowInto(FixedWindows(86_400)) | beam.Map(lambda e: (str(e.occurred_at.date()), 1))
        )
        return {"days": days | beam.CombinePerKey(sum), "events": enriched.passed | beam.Map(lambda e: e.occurred_at)}

    ran = run(build)
    expected: dict = {}
    for moment in ran["events"]:
        expected[str(moment.date())] = expected.get(str(moment.date()), 0) + 1
    assert len(expected) > 5
    assert sorted(ran["days"]) == sorted(expected.items())


class OneByOneOrInBatches(beam.DoFn):
    """A user's DoFn that takes batches, too."""

    def process(self, event, timestamp=beam.DoFn.TimestampParam):
        yield event.id, timestamp.micros

    @beam.DoFn.yields_elements
    def process_batch(self, batch):
        yield from [(event.id, -1) for event in batch]

    def get_input_batch_type(self, input_element_type):
        return list[hp.Event]


class OnlyInBatches(beam.DoFn):
    @beam.DoFn.yields_elements
    def process_batch(self, batch):
        yield from [event.id for event in batch]

    def get_input_batch_type(self, input_element_type):
        return list[hp.Event]


def test_a_users_batches_never_get_a_wrong_time(run, raw):
    ran = run(lambda p: {"found": flow(p, raw)[0].passed | beam.ParDo(OneByOneOrInBatches())})
    assert len(ran["found"]) == ran.counters["read.passed"] > COUNT / 2
    assert all(micros > 0 for _, micros in ran["found"])
    with pytest.raises(Exception, match="give it a `process` method, too"):
        run(lambda p: {"found": flow(p, raw)[0].passed | beam.ParDo(OnlyInBatches())})


@pytest.mark.parametrize(
    ("runner", "flags", "expected"),
    [
        ("FnApiRunner", [], True),
        ("FnApiRunner", ["--direct_num_workers=2", "--direct_running_mode=multi_processing"], True),
        ("FnApiRunner", ["--runtime_type_check"], False),
        ("FnApiRunner", ["--performance_runtime_type_check"], False),
        ("DirectRunner", [], False),
        ("PrismRunner", [], False),
    ],
)
def test_batches_go_only_where_the_runner_passes_them_on(runner, flags, expected):
    lake = hp.MinIO(endpoint="http://127.0.0.1:1", bucket="b", access_key="a", secret_key="s")
    db = hp.Postgres("postgresql://u@localhost/d")
    pipeline = beam.Pipeline(runner=runner, options=PipelineOptions(flags))
    _, _, enriched = flow(pipeline, lake)
    _ = enriched.passed | hp.WriteMinIO(lake, "e/")
    _ = enriched.passed | hp.WritePostgres(db)
    assert passes_batches(pipeline) is expected
    one_by_one = {"ReadUnits", "_CheckBatches", "RunBuiltinEnrichers", "WriteObjects", "LoadRows"}
    in_batches = {
        "ReadUnitsInBatches", "_CheckEventBatches", "EnrichEventBatches", "WriteEventBatches", "LoadEventBatches",
    }  # fmt: skip
    found = set(functions(pipeline))
    assert found >= (in_batches if expected else one_by_one)
    assert found.isdisjoint(one_by_one if expected else in_batches)


@pytest.mark.parametrize("option", [{"runtime_type_check": True}, {"performance_runtime_type_check": True}])
def test_beams_checks_of_types_see_each_event(run, raw, option):
    ran = run(lambda p: {"enriched": flow(p, raw)[2].passed | beam.ParDo(Place())}, **option)
    assert ran.counters["enrich.passed"] == len(ran["enriched"]) > COUNT / 2


def test_a_step_whose_input_a_user_has_touched_takes_elements(raw):
    pipeline = beam.Pipeline(runner="FnApiRunner")
    read = pipeline | hp.ReadMinIO(raw, "raw/")
    touched = read.passed | beam.Filter(lambda event: True)
    checked = touched | hp.ValidateSchema(SCHEMAS, subject="{type}")
    assert not comes_in_batches(touched)
    assert not comes_in_batches(checked.passed)


def placed(value, micros, *windows):
    return WindowedValue(value, Timestamp(micros=micros), windows or (GlobalWindow(),))


def micros_of(batch):
    return [(each.value, each.timestamp.micros) for each in batch.as_windowed_values(iter)]


def test_what_a_batch_leaves_out_keeps_its_place():
    moments = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3)]
    events = [make_event(id=f"e{n}", occurred_at=moment) for n, moment in enumerate(moments)]
    times = [Timestamp.from_utc_datetime(moment).micros for moment in moments]
    rejection = beam.pvalue.TaggedOutput("rejected", "bad")
    outputs = [events[0], rejection, events[2]]

    passed, rejected = batch_outputs(outputs, EventBatch(events))
    assert micros_of(passed) == [(events[0], times[0]), (events[2], times[2])]
    assert (rejected.tag, micros_of(rejected.value)) == ("rejected", [("bad", times[1])])

    elsewhere = [placed(None, 5), placed(None, 6), placed(None, 7)]  # a user's timestamps
    passed, rejected = batch_outputs(outputs, EventBatch(events, elsewhere))
    assert micros_of(passed) == [(events[0], 5), (events[2], 7)]
    assert micros_of(rejected.value) == [("bad", 6)]

    passed, rejected = batch_outputs(outputs, list(events))  # of Beam's own, which has one timestamp
    assert (passed, rejected.value) == ([events[0], events[2]], ["bad"])
    [only] = batch_outputs([rejection], EventBatch(events[1:2]))
    assert micros_of(only.value) == [("bad", times[1])]


@pytest.mark.parametrize("sizes", [[1] * 600, [600], [7, 25] * 18 + [24]])
def test_where_objects_end_does_not_depend_on_how_events_came(lake, sizes):
    """A retried bundle must replace its objects, and how the events of small objects are gathered depends on time."""
    lines = hp.testing.sample_lines(hp.testing.sample_events(600, seed=8)).splitlines()
    ids, place = PackageIds("b", "k", "e"), ReadObject("b", "k", "e")
    events = [read_common_message(raw, (place, number, None), ids, 100) for number, raw in enumerate(lines, 1)]
    few_bytes = ObjectSettings(
        prefix="x/", partition=partition_template("date={date}"), compression=None, object_bytes=1 << 20,
        object_seconds=60, buffer_bytes=20_000,
    )  # fmt: skip

    def keys(kind, calls):
        write = kind(lake, encode_event_line, few_bytes, run_id="run", step="step", stage="write_minio")
        write.setup()
        write.start_bundle()
        written = [each.value.key for call in calls for each in call(write)] + [
            e.value.key for e in write.finish_bundle()
        ]
        write.teardown()
        return sorted(written)

    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    batches = [EventBatch(events[start : start + size]) for start, size in zip(starts, sizes, strict=True)]
    expected = keys(WriteObjects, [lambda write, event=event: write.process(event) for event in events])
    assert len(expected) > len({key.split("/")[1] for key in expected})  # some ended since others took the memory
    assert (
        keys(WriteEventBatches, [lambda write, batch=batch: write.process_batch(batch) for batch in batches])
        == expected
    )


def test_a_batch_of_one_time_may_become_one_of_beams():
    batch = as_beam_batch(["a", "b"], [placed(None, 4), placed(None, 4)])
    other = batch.with_values(["x", "y"])
    assert [(each.value, each.timestamp.micros) for each in other.as_windowed_values(iter)] == [("x", 4), ("y", 4)]


@pytest.mark.parametrize("apart", [("checked",), ("enriched",), ("checked", "enriched")])
def test_steps_that_run_apart_lose_nothing(run, raw, apart):
    """Other resource hints than those of the step before keep Beam from running them as one."""

    def build(p):
        steps = {
            "checked": hp.ValidateSchema(SCHEMAS, subject="{type}"),
            "enriched": hp.Enrich("processing", "business_context", "quality"),
        }
        for name in apart:
            steps[name] = steps[name].with_resource_hints(min_ram="1GB")
        read = p | hp.ReadMinIO(raw, "raw/")
        checked = read.passed | steps["checked"]
        enriched = checked.passed | steps["enriched"]
        outputs = {"read": read.passed, "enriched": enriched.passed, "rejected": checked.rejected}
        return {name: each | f"P{name}" >> beam.ParDo(Place()) for name, each in outputs.items()}

    ran = run(build)
    assert len(ran["read"]) > COUNT / 2
    assert sorted(ran["enriched"] + ran["rejected"]) == sorted(ran["read"])


def encoded(event):
    Metrics.counter("mine", "encoded").inc()
    return event.id.encode()


def row_of(event):
    Metrics.counter("mine", "rows").inc()
    return {"id": event.id}


def test_counters_count_for_their_own_step(lake, bare_db):
    samples = hp.testing.sample_events(2_500, seed=8, faults=0.1)  # so many that counters are flushed within the bundle
    lake.filesystem().pipe(f"{lake.bucket}/raw/events.jsonl", hp.testing.sample_lines(samples))
    table = sa.Table("ids", sa.MetaData(), sa.Column("id", sa.Text, primary_key=True))
    table.metadata.create_all(bare_db.engine(poolclass=sa.NullPool))
    pipeline = beam.Pipeline(runner="FnApiRunner")
    read, checked, enriched = flow(pipeline, lake)
    _ = enriched.passed | hp.WriteMinIO(lake, "ids/", encode=encoded)
    loaded = enriched.passed | hp.WritePostgres(bare_db, table=table, row=row_of)
    _ = (read.rejected, checked.rejected, enriched.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
    result = pipeline.run()
    result.wait_until_finish()
    steps: dict = {}
    for counter in result.metrics().query()["counters"]:
        key = counter.key
        steps.setdefault(key.metric.name, {})[key.step.split("/")[0]] = counter.committed
    rejected, passed = steps["validate.rejected"]["ValidateSchema"], steps["validate.passed"]["ValidateSchema"]
    assert rejected > 5
    assert passed > 1_000
    assert {name: steps[name] for name in ("validate.passed", "validate.rejected", "enrich.passed")} == {
        "validate.passed": {"ValidateSchema": passed},
        "validate.rejected": {"ValidateSchema": rejected},
        "enrich.passed": {"Enrich": passed},
    }
    assert steps["encoded"] == {"WriteMinIO": passed}
    assert steps["rows"] == {"WritePostgres": passed}


def flat_of_mine(document, source):
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return hp.Event(document["event_id"], "t", "c", moment, {"n": 1}, source=source)


@pytest.fixture
def sizes(monkeypatch):
    """How many events each batch has that is read."""
    found = []

    def spied(values, places):
        found.append(len(values))
        return as_beam_batch(values, places)

    monkeypatch.setattr(read_in_batches, "as_beam_batch", spied)
    return found


LINE = b'{"event_id":"%d","event_type":"t","company_id":"c","timestamp":1700000000000}\n'


@pytest.mark.parametrize(("envelope", "expected"), [("flat", [51, 9]), (flat_of_mine, [1] * 60)])
def test_what_slow_code_of_a_user_has_read_does_not_wait(run, lake, sizes, envelope, expected):
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", b"".join(LINE % n for n in range(60)))
    ran = run(lambda p: {"passed": (p | hp.ReadMinIO(lake, "raw/", envelope=envelope)).passed})
    assert len(ran["passed"]) == 60
    assert sizes == expected


@pytest.mark.parametrize(("number", "spaces", "expected"), [(60, 0, [25, 25, 10]), (5, 150_000, [2, 2, 1])])
def test_events_of_small_objects_go_on_together(run, lake, sizes, number, spaces, expected):
    text = b',"x":"%b"}' % (b"x" * spaces)
    lake.filesystem().pipe({f"{lake.bucket}/raw/{n}.json": (LINE % n).replace(b"}", text) for n in range(number)})
    ran = run(lambda p: {"passed": (p | hp.ReadMinIO(lake, "raw/", envelope="flat")).passed})
    assert len({event.id for event in ran["passed"]}) == number
    assert sizes == expected


def test_an_event_waits_only_so_long_for_others(run, lake, sizes, monkeypatch):
    assert read_in_batches._MOST_SECONDS == 1
    monkeypatch.setattr(read_in_batches, "_MOST_SECONDS", 0)
    lake.filesystem().pipe({f"{lake.bucket}/raw/{n}.json": LINE % n for n in range(6)})
    run(lambda p: {"passed": (p | hp.ReadMinIO(lake, "raw/", envelope="flat")).passed})
    assert sizes == [1] * 6
