"""A record of many MB takes a few times its size in memory, once; a rejected one is replayed to the byte."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import apache_beam as beam
import pytest
from preloaded import run_script

import holded_pipeline as hp

BENCHMARK = Path(__file__).parent.parent.parent / "benchmarks" / "large_record.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("large_record", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.peak_of_run = peak_of_run
    return module


def peak_of_run(lake, prefix):
    secret = {"BENCHMARK_SECRET": lake.secret_key.reveal()}
    done = run_script(BENCHMARK, "--run", lake.endpoint, lake.bucket, lake.access_key, prefix, env=secret)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_rejected_one_takes_a_few_times_its_size_and_four_take_no_more_than_one(benchmark, lake):
    assert benchmark.measure(lake, records=4, size=20_000_000, text="wide") < 4.5


@pytest.mark.parametrize("text", ["wide", "escaped"])
def test_an_accepted_one_with_many_brackets_takes_a_few_times_its_size(benchmark, lake, text):
    assert benchmark.measure_accepted(lake, size=15_000_000, text=text) < 8
    assert not lake.filesystem().exists(f"{lake.bucket}/rejected")


def test_it_is_replayed_to_the_byte_as_text_or_not(run, lake):
    lines = [b'"' + filler * (2_000_000 // len(filler)) + b'"' for filler in ("é🙂xy".encode(), b"\xff\x00abc")]
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", b"\n".join(lines))
    small = {"max_record_bytes": 1_000_000}
    run(lambda p: {"w": (p | hp.ReadMinIO(lake, "raw/", **small)).rejected | hp.WriteRejected(lake, "rejected/")})
    found = run(
        lambda p: {
            "same": (p | hp.ReadRejected(lake, "rejected/", **small)).rejected
            | beam.Map(lambda r: (r.source.line, r.raw == lines[r.source.line - 1], r.reason, r.payload_kind))
        }
    )
    assert sorted(found["same"]) == [(line, True, "record_too_large", "record") for line in (1, 2)]


def test_of_a_record_above_keep_bytes_the_beginning_is_kept_and_parked(run, lake, monkeypatch):
    monkeypatch.setattr("holded_pipeline.reading.framing.KEEP_BYTES", 1000)
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", b'{"a": "' + b"x" * 5000 + b'"}\n')
    run(lambda p: {"w": (p | hp.ReadMinIO(lake, "raw/")).rejected | hp.WriteRejected(lake, "rejected/")})
    (parked,) = run(lambda p: {"parked": (p | hp.ReadRejected(lake, "rejected/")).parked})["parked"]
    assert (parked.reason, parked.payload_kind, len(parked.raw)) == ("record_too_large", "part", 1000)
