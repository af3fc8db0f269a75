"""WriteMinIO on a real store: whole objects, partitioned by date, that read back as the same events."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import apache_beam as beam
import attrs
import pytest
from apache_beam.transforms.window import FixedWindows, TimestampedValue
from event_factory import make_event
from store_contents import objects_below, put_object

import holded_pipeline as hp
from holded_pipeline.transforms.beam.run_id import RunOptions

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def sales_event(number, **changes):
    fields = {
        "type": r"Holded\Sales\Order",
        "company_id": "c/1",
        "occurred_at": NOON + timedelta(hours=8 * number),
        "data": {"n": number, "big": 10**40 + number, "long": Decimal("0.12345678901234567890123"), "t": "ñ\n\u2028"},
        "metadata": {"quality": {"score": 0.5}},
        "source": hp.Source("b", "raw/a", "etag", number + 1),
        "raw": b"{}",
    }
    return make_event(number, **fields | changes)


def write(run, lake, elements, **settings):
    def build(pipeline):
        return {"written": pipeline | beam.Create(elements) | hp.WriteMinIO(lake, "enriched/", **settings)}

    return run(build)


@pytest.mark.parametrize("compression", ["gzip", "zstd", None])
def test_what_was_written_reads_back_as_the_same_events(run, lake, compression):
    events = [sales_event(number) for number in range(7)]
    write(run, lake, events, compression=compression)

    def build(pipeline):
        raw = pipeline | hp.ReadMinIO(lake, "enriched/", envelope="event")
        return {"passed": raw.passed, "rejected": raw.rejected}

    ran = run(build)
    assert ran["rejected"] == []
    assert sorted((attrs.evolve(e, raw=b"{}") for e in ran["passed"]), key=lambda e: e.id) == events


def test_written_objects_are_as_reported_and_partitioned_by_day(run, lake):
    ran = write(run, lake, [sales_event(number) for number in range(7)])
    objects = objects_below(lake, "enriched/")
    assert {receipt.key for receipt in ran["written"]} == set(objects)
    for receipt in ran["written"]:
        body = objects[receipt.key]
        assert receipt.bytes == len(body)
        assert receipt.etag == lake.filesystem().info(f"{lake.bucket}/{receipt.key}")["ETag"].strip('"')
        assert receipt.records == len(gzip.decompress(body).splitlines())
    days = {key.split("/")[1]: len(gzip.decompress(body).splitlines()) for key, body in objects.items()}
    assert days == {"date=2026-03-01": 2, "date=2026-03-02": 3, "date=2026-03-03": 2}


def test_the_partition_is_a_template_a_function_or_none(run, lake):
    elements = [sales_event(0)]
    write(run, lake, elements, partition="{month}/{type_name}/company={company_id}")
    write(run, lake, elements, partition=lambda e: f"by/{e.id}")
    write(run, lake, elements, partition=None)
    folders = {key.rpartition("/")[0] for key in objects_below(lake, "enriched/")}
    assert folders == {"enriched/2026-03/Order/company=c%2F1", "enriched/by/e0", "enriched"}


def test_a_new_object_begins_at_object_bytes(run, lake):
    ran = write(run, lake, [sales_event(0, id=f"e{n}") for n in range(50)], compression=None, object_bytes=2_000)
    assert len(ran["written"]) > 5
    assert sum(receipt.records for receipt in ran["written"]) == 50
    assert max(receipt.bytes for receipt in ran["written"]) < 3_000


def test_two_runs_write_other_objects_and_a_retried_bundle_the_same_ones(run, lake):
    elements = [sales_event(number) for number in range(3)]
    write(run, lake, elements)
    first = set(objects_below(lake, "enriched/"))
    write(run, lake, elements)
    second = set(objects_below(lake, "enriched/"))
    assert len(second) == 2 * len(first)

    def same_run(pipeline):
        pipeline._options.view_as(RunOptions).run_id = "fixed"
        return {"written": pipeline | beam.Create(elements) | hp.WriteMinIO(lake, "again/")}

    run(same_run)
    once = set(objects_below(lake, "again/"))
    run(same_run)
    assert set(objects_below(lake, "again/")) == once


def test_any_element_can_be_written_with_a_function_that_encodes_it(run, lake):
    write(run, lake, [1, 2, 3], encode=lambda n: json.dumps({"n": n}).encode(), compression=None)
    (body,) = objects_below(lake, "enriched/").values()
    assert body == b'{"n": 1}\n{"n": 2}\n{"n": 3}\n'


def test_elements_of_different_windows_are_in_different_objects(run, lake):
    def build(pipeline):
        elements = (
            pipeline
            | beam.Create([1, 2, 61, 62, 121])
            | beam.Map(lambda second: TimestampedValue(second, second))
            | beam.WindowInto(FixedWindows(60))
        )
        written = elements | hp.WriteMinIO(lake, "enriched/", encode=lambda n: b"%d" % n)
        return {"counts": written | beam.Map(lambda r, w=beam.DoFn.WindowParam: (float(w.start), r.records))}

    assert sorted(run(build)["counts"]) == [(0.0, 2), (60.0, 2), (120.0, 1)]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"partition": "{day}"}, "no usable field 'day'; the fields are: company_id, date"),
        ({"compression": "brotli"}, "compression"),
        ({"object_bytes": 0}, "object_bytes"),
        ({"encode": str.encode, "partition": "{month}"}, "a template is for events"),
    ],
)
def test_a_wrong_argument_raises_when_it_is_written(lake, settings, words):
    with pytest.raises(ValueError, match=words):
        hp.WriteMinIO(lake, "enriched/", **settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"encode": str}, "encode returned str; it must return the bytes of one line"),
        ({"encode": lambda _: b"a\nb"}, "encode returned several lines"),
        ({"encode": bytes, "partition": lambda _: None}, "partition function returned None; it must return text"),
        ({"encode": bytes, "partition": lambda _: "a/../../b"}, r"returned 'a/../../b'.*without the levels . and .."),
    ],
)
def test_a_function_that_returns_an_unusable_value_fails_the_run(run, lake, settings, words):
    with pytest.raises(hp.ConfigurationError, match=words):
        write(run, lake, [1], **settings)


@pytest.mark.parametrize("entry", ["data", "metadata"])
def test_a_number_that_json_does_not_have_is_never_written_as_null(run, lake, entry):
    def build(pipeline):  # made on the worker, so that no coder encodes it before
        events = (
            pipeline | beam.Create([1]) | beam.Map(lambda n: sales_event(n, **{entry: {"x": float("nan"), "y": None}}))
        )
        return {"written": events | hp.WriteMinIO(lake, "enriched/")}

    with pytest.raises(TypeError, match="nan at /x is not a JSON number"):
        run(build)
    assert objects_below(lake, "enriched") == {}


def nested(levels):
    return json.loads("[" * levels + "]" * levels)


@pytest.mark.parametrize("levels", [98, 99, 100])
def test_a_record_of_the_greatest_depth_reads_back_after_writing(run, lake, levels):
    line = {
        "event_id": "e",
        "event_type": "t",
        "company_id": "c",
        "timestamp": "2024-06-10",
        "tree": nested(levels - 1),
    }
    put_object(lake, "raw/a.jsonl", json.dumps(line).encode())
    deep = hp.Enricher("deep", lambda _: {"tree": nested(levels - 1)})

    def store(pipeline):
        enriched = (pipeline | hp.ReadMinIO(lake, "raw/", envelope="flat")).passed | hp.Enrich(deep)
        return {"rejected": enriched.rejected, "written": enriched.passed | hp.WriteMinIO(lake, "enriched/")}

    def read(pipeline):
        return (pipeline | hp.ReadMinIO(lake, "enriched/", envelope="event"))._asdict()

    assert run(store)["rejected"] == []
    ran = run(read)
    assert ran["rejected"] == []
    assert [event.data for event in ran["passed"]] == [{"tree": nested(levels - 1)}]


def test_a_record_of_the_greatest_size_reads_back_after_writing(run, lake):
    line = {"event_id": "e", "event_type": "t", "company_id": "c", "timestamp": "2024-06-10", "n": [1e15] * 100}
    raw = json.dumps(line).replace("1000000000000000.0", "1e15").encode()
    put_object(lake, "raw/a.jsonl", raw)
    limit = {"max_record_bytes": len(raw)}

    def store(pipeline):
        events = (pipeline | hp.ReadMinIO(lake, "raw/", envelope="flat", **limit)).passed
        return {"written": events | hp.WriteMinIO(lake, "enriched/")}

    def read(pipeline):
        return (pipeline | hp.ReadMinIO(lake, "enriched/", envelope="event", **limit))._asdict()

    run(store)
    assert [event.id for event in run(read)["passed"]] == ["e"]
