"""A large file is read as a whole by one worker, and by several if there are enough files; else in slices."""

from __future__ import annotations

import multiprocessing

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from hypothesis import given
from hypothesis import strategies as st

import holded_pipeline as hp
from holded_pipeline.runs.read_planner import _whole_where_enough
from holded_pipeline.store.read_plan import ReadUnit, Slice, StoredObject
from holded_pipeline.transforms import read_minio
from holded_pipeline.transforms.beam.local_workers import number_of_workers

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
        ({}, {"direct_num_workers": 2}, 6),
        ({"unit_bytes": 1_000}, {}, 6),
        ({"shard": (0, 1)}, {}, 6),
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
    ("runner", "flags", "workers"),
    [
        ("FnApiRunner", [], 1),
        ("FnApiRunner", ["--direct_num_workers=0"], multiprocessing.cpu_count()),
        ("FnApiRunner", ["--direct_num_workers=3", "--direct_running_mode=multi_processing"], 3),
        ("PrismRunner", [], None),
    ],
)
def test_the_number_of_workers_is_known_where_the_runner_says_it(runner, flags, workers):
    assert number_of_workers(beam.Pipeline(runner=runner, options=PipelineOptions(flags))) == workers


@given(
    sizes=st.lists(st.integers(0, 100), max_size=30),
    large=st.lists(st.integers(17, 3_000), max_size=60),
    workers=st.integers(1, 8),
)
def test_files_are_divided_only_where_a_worker_would_wait(sizes, large, workers):
    small = [ReadUnit((Slice(f"s{n}", "e", size),)) for n, size in enumerate(sizes)]
    files = [StoredObject(f"l{n}", size, "e") for n, size in enumerate(large)]
    planned = list(_whole_where_enough([*small, *files], workers))
    units = [each for each in planned if isinstance(each, ReadUnit)]
    split = [each for each in planned if isinstance(each, StoredObject)]
    total = sum(sizes) + sum(large)
    assert sum(unit.bytes for unit in units) + sum(each.size for each in split) == total
    assert sorted([*(part.key for unit in units for part in unit.slices), *(each.key for each in split)]) == sorted(
        [*(f"s{n}" for n in range(len(sizes))), *(f"l{n}" for n in range(len(large)))]
    )
    if workers == 1:
        assert not split
        return
    assert all(unit.bytes * workers * 4 <= total for unit in units if unit not in small)
    assert all(each.size * workers * 4 > total for each in split)


def test_of_many_files_none_is_read_twice(run, lake, monkeypatch):
    monkeypatch.setattr(read_minio, "UNIT_BYTES", 1_000)
    files = {f"raw/{n}.jsonl": BODY.replace(b'"x', b'"f%02d-' % n) for n in range(12)}
    lake.filesystem().pipe({f"{lake.bucket}/{key}": body for key, body in files.items()})
    ran = run(lambda p: {"passed": (p | hp.ReadMinIO(lake, "raw/", envelope="flat")).passed}, direct_num_workers=2)
    assert len({event.id for event in ran["passed"]}) == len(ran["passed"]) == 12 * LINES
    assert ran.counters["read.slices"] == 12


def test_slices_of_a_file_are_about_equal(lake):
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", BODY)
    line = len(BODY) // LINES
    plan = hp.plan(lake, "raw/", unit_bytes=len(BODY) * 3 // 4)
    sizes = [unit.bytes for unit in plan.units]
    assert len(sizes) == 2
    assert max(sizes) - min(sizes) <= 2 * line
