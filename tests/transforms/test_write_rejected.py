"""WriteRejected on a real store: by stage and day, lossless, valid against the schema that ships."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from importlib.resources import files

import apache_beam as beam
import jsonschema_rs
import pytest
from apache_beam.transforms.error_handling import ErrorHandler

import holded_pipeline as hp
from holded_pipeline.rejected.rejections import from_document

SCHEMA = jsonschema_rs.validator_for(
    json.loads(files("holded_pipeline.rejected").joinpath("rejected.schema.json").read_text()), validate_formats=True
)


def documents(lake, prefix="rejected/"):
    filesystem = lake.filesystem()
    found = {}
    for path in filesystem.find(f"{lake.bucket}/{prefix}"):
        for line in gzip.decompress(filesystem.cat(path)).splitlines():
            document = json.loads(line)
            found[document["id"]] = (path, document)
    return found


def rejected(number, stage="read", raw=b"{}"):
    return hp.Rejected(
        id=f"{number:032x}",
        stage=stage,
        reason="odd",
        message="it is odd",
        raw=raw,
        rejected_at=datetime(2026, 3, 1, tzinfo=UTC),
        run_id="r",
        source=hp.Source("b", "k", "e", 1),
        violations=(hp.Violation("/a", "type", "no"),),
        schema=hp.SchemaRef("s", 1, 2),
    )


@pytest.mark.parametrize("raw", [b"{}", b"\xff\xfe\x00", "ñ\u2028\n".encode(), b"", b'"\\ud800"'])
def test_a_record_is_kept_to_the_byte(run, lake, raw):
    sent = rejected(1, raw=raw)
    run(lambda p: {"written": p | beam.Create([sent]) | hp.WriteRejected(lake, "rejected/")})
    ((_, document),) = documents(lake).values()
    SCHEMA.validate(document)
    assert from_document(document) == sent


def test_they_are_written_by_stage_and_day(run, lake):
    def build(pipeline):
        one = pipeline | "One" >> beam.Create([rejected(1), rejected(2, "validate")])
        other = pipeline | "Other" >> beam.Create([rejected(3, "../odd")])
        return {"written": (one, other) | hp.WriteRejected(lake, "rejected/")}

    ran = run(build)
    assert sum(receipt.records for receipt in ran["written"]) == 3
    folders = {path.rpartition("/")[0].removeprefix(f"{lake.bucket}/") for path, _ in documents(lake).values()}
    assert folders == {
        "rejected/stage=read/date=2026-03-01",
        "rejected/stage=validate/date=2026-03-01",
        "rejected/stage=%2E%2E%2Fodd/date=2026-03-01",
    }


def test_a_list_of_inputs_is_taken_as_a_tuple_is(lake, db):
    ledger = hp.Ledger(db, "lists")
    pipeline = beam.Pipeline(runner="FnApiRunner")  # Beam would run another one over a list, at once
    raw = pipeline | hp.ReadMinIO(lake, "raw/", new_only=ledger)
    loaded = raw.passed | hp.WritePostgres(db)
    written = [raw.rejected, loaded.rejected] | hp.WriteRejected(lake, "rejected/")
    settled = [[loaded], written] | hp.SettleObjects(ledger)
    assert (written.pipeline, settled.pipeline) == (pipeline, pipeline)


def test_rejections_of_every_kind_of_faulty_sample_fit_the_schema(run, lake, db):
    samples = hp.testing.sample_events(300, seed=5, faults=0.5)
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", hp.testing.sample_lines(samples))

    def build(pipeline):
        raw = pipeline | hp.ReadMinIO(lake, "raw/")
        checked = raw.passed | hp.ValidateSchema(hp.SchemaDirectory("examples/schemas"), subject="{type}")
        loaded = checked.passed | hp.WritePostgres(db)
        parts = (raw.rejected, checked.rejected, loaded.rejected)
        return {"written": parts | hp.WriteRejected(lake, "rejected/")}

    run(build)
    found = documents(lake)
    for _, document in found.values():
        SCHEMA.validate(document)
    kinds = {(fault.stage, fault.reason) for sample in samples if (fault := sample.fault)}
    assert {(d["stage"], d["reason"]) for _, d in found.values()} == {
        (stage, reason or "numeric_value_out_of_range") for stage, reason in kinds
    }
    assert sorted(from_document(d).raw for _, d in found.values()) == sorted(s.line for s in samples if s.fault)


def test_it_can_be_the_consumer_of_an_error_handler(run, lake):
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", b"broken\n" + hp.testing.sample_events(1)[0].line)

    def build(pipeline):
        with ErrorHandler(hp.WriteRejected(lake, "rejected/")) as handler:
            events = pipeline | hp.ReadMinIO(lake, "raw/").with_error_handler(handler)
            checked = events | hp.ValidateSchema({}, subject="{type}").with_error_handler(handler)
        return {"passed": checked}

    assert run(build)["passed"] == []
    assert {d["reason"] for _, d in documents(lake).values()} == {"invalid_json", "unknown_subject"}
