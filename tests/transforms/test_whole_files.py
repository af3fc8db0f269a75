"""One worker reads a large file as a whole; where several share the work it is read in slices."""

from __future__ import annotations

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

import holded_pipeline as hp
from holded_pipeline.transforms import read_minio
from holded_pipeline.transforms.beam.local_workers import has_one_worker

LINES = 60
IDS = [f"x{number:02}" for number in range(LINES)]
BODY = b"".join(b'{"event_id":"%b","event_type":"t","company_id":"c","timestamp":17e11}\n' % i.encode() for i in IDS)


@pytest.fixture
def large(lake, monkeypatch):
    """A bucket with a file that is large beside a unit, an object of another kind, and an empty one."""
    monkeypatch.setattr(read_minio, "UNIT_BYTES", 1_000)
    array = b"[%b]" % b",".join(BODY.splitlines()).replace(b'"x', b'"a')
    objects = {"raw/large.jsonl": BODY, "raw/large.json": array, "raw/empty": b""}
    lake.filesystem().pipe({f"{lake.bucket}/{key}": body for key, body in objects.items()})
    return lake


@pytest.mark.parametrize(
    ("settings", "options", "slices"),
    [
        ({}, {}, 2),
        ({}, {"direct_num_workers": 2}, 5),
        ({"unit_bytes": 1_000}, {}, 5),
        ({"shard": (0, 1)}, {}, 5),
    ],
)
def test_each_line_comes_once_under_its_number(run, large, settings, options, slices):
    def build(pipeline):
        raw = pipeline | hp.ReadMinIO(large, "raw/", envelope="flat", **settings)
        return {"passed": raw.passed, "rejected": raw.rejected}

    ran = run(build, **options)
    assert ran["rejected"] == []
    places = {event.id: (event.source.line, event.source.item) for event in ran["passed"]}
    of_lines = {each: (number, None) for number, each in enumerate(IDS, 1)}
    of_array = {each.replace("x", "a"): (1, number) for number, each in enumerate(IDS, 1)}
    assert places == of_lines | of_array
    assert len(ran["passed"]) == 2 * LINES
    assert ran.counters["read.slices"] == slices


@pytest.mark.parametrize(
    ("runner", "flags", "one"),
    [
        ("FnApiRunner", [], True),
        ("FnApiRunner", ["--direct_num_workers=0"], False),  # as many as there are cores
        ("FnApiRunner", ["--direct_num_workers=1", "--direct_running_mode=multi_processing"], False),
        ("PrismRunner", [], False),
    ],
)
def test_a_worker_is_alone_where_that_is_certain(runner, flags, one):
    assert has_one_worker(beam.Pipeline(runner=runner, options=PipelineOptions(flags))) is one
