"""run_every: real pipelines, one run after the other, in one process and in two."""

from __future__ import annotations

import os
import signal
import threading
import time

import apache_beam as beam
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from preloaded import Program
from store_contents import objects_below, put_object
from table_contents import rows_of

import holded_pipeline as hp

PROCESS = """
import sys, apache_beam as beam, holded_pipeline as hp
endpoint, bucket, key, secret, url = sys.argv[1:]
lake, db = hp.MinIO(endpoint, bucket=bucket, access_key=key, secret_key=secret), hp.Postgres(url)
def build():
    p = beam.Pipeline(runner="FnApiRunner")
    raw = p | hp.ReadMinIO(lake, "raw/")
    loaded = raw.passed | hp.WritePostgres(db)
    _ = (raw.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
    return p
summary = hp.run_every(build, db, name="load", every=0.2, lease_seconds=5.0,
                       on_report=lambda report: print("ran", report.records, flush=True))
print("ended", summary.ended_because, summary.failed, flush=True)
"""


@pytest.fixture
def build(lake, db):
    put_object(lake, "raw/a.jsonl", hp.testing.sample_lines(hp.testing.sample_events(20)) + b"{broken\n")

    def build_pipeline():
        p = beam.Pipeline(runner="FnApiRunner")
        raw = p | hp.ReadMinIO(lake, "raw/")
        loaded = raw.passed | hp.WritePostgres(db)
        _ = (raw.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
        return p

    return build_pipeline


@pytest.fixture
def start(lake, db, build, tmp_path):
    started = []

    def start_process():
        script, printed = tmp_path / "job.py", tmp_path / f"printed-{len(started)}"
        script.write_text(PROCESS)
        address = (lake.endpoint, lake.bucket, lake.access_key, lake.secret_key.reveal(), db.url)
        process = Program(
            [script, *address], (printed, tmp_path / "errors"), env=os.environ | {"TMPDIR": str(tmp_path)}
        )
        started.append(process)
        return process, printed

    yield start_process
    for process in started:
        process.kill()
        process.wait()


def wait_for_lines(printed, number):
    """The lines that a process has printed, when they are at least so many."""
    deadline = time.monotonic() + 120
    while not printed.exists() or printed.read_text().count("\n") < number:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return printed.read_text().splitlines()


def test_each_run_has_an_id_of_its_own_and_its_report(build, db):
    reports = []
    summary = hp.run_every(build, db, name="load", every=0.1, max_runs=2, on_report=reports.append)
    assert (summary.succeeded, summary.records, summary.stored, summary.rejected) == (2, 42, 20, 2)
    assert len({report.run_id for report in reports}) == 2
    assert [report.name for report in reports] == ["load", "load"]


def test_a_pipeline_that_is_not_new_is_an_error(build, db):
    pipeline = build()
    with pytest.raises(TypeError, match="must return the pipeline"):
        hp.run_every(lambda: None, db, name="load")
    summary = hp.run_every(lambda: pipeline, db, name="load", every=0.1, max_runs=2)
    assert "build a new one each time" in summary.last_error


@pytest.mark.parametrize("settings", [{"every": 0}, {"every": float("nan")}, {"max_runs": 0}], ids=["0", "nan", "runs"])
def test_settings_that_make_no_sense_are_refused(build, db, settings):
    with pytest.raises(ValueError, match="must be"):
        hp.run_every(build, db, name="load", **settings)


def test_it_is_stopped_from_another_thread(build, db):
    stop = threading.Event()
    done = []
    thread = threading.Thread(
        target=lambda: done.append(
            hp.run_every(build, db, name="load", every=600, stop=stop, on_report=lambda _: stop.set())
        )
    )
    thread.start()
    thread.join(120)
    assert done[0].ended_because == "stopped"
    assert done[0].succeeded == 1


def test_sigterm_ends_the_process_after_the_run(start):
    process, printed = start()
    assert wait_for_lines(printed, 1)[0] == "ran 21"
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert printed.read_text().splitlines()[-1] == "ended stopped 0"


def test_the_second_process_takes_over_from_a_killed_one(start, lake, db):
    first, printed = start()
    wait_for_lines(printed, 1)
    _, printed_by_second = start()
    assert set(wait_for_lines(printed, 3)) == {"ran 21"}
    assert printed_by_second.read_text() == ""  # it only waits
    os.kill(first.pid, signal.SIGKILL)
    assert wait_for_lines(printed_by_second, 1)[0] == "ran 21"
    assert rows_of(db, "SELECT count(*) FROM business_events") == [(20,)]
    assert hp.verify_analytics(db) == []


def test_a_run_is_a_span_with_its_counts(build, lake, db):
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    hp.run_every(build, db, name="load", max_runs=1, tracer_provider=provider)
    (span,) = exporter.get_finished_spans()
    assert span.name == "run load"
    assert span.status.is_ok or span.status.status_code.name == "UNSET"
    assert span.attributes["holded_pipeline.records"] == 21
    assert span.attributes["holded_pipeline.counts.read.rejected.invalid_json"] == 1
    (rejected,) = objects_below(lake, "rejected/")
    assert span.attributes["holded_pipeline.run_id"] in rejected


def test_a_run_that_fails_is_a_span_with_an_error(db):
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def fail():
        raise hp.TransientError("the store is away")

    hp.run_every(fail, db, name="load", max_runs=1, tracer_provider=provider)
    (span,) = exporter.get_finished_spans()
    assert span.status.description == "TransientError: the store is away"
    assert span.attributes["error.type"] == "TransientError"
    assert not span.events


def test_the_report_of_a_run_that_failed_has_its_id_where_it_was_built(db):
    reports = []

    def build():
        if reports:
            raise hp.TransientError("the catalogue is away")
        pipeline = beam.Pipeline(runner="FnApiRunner", argv=["--run_id=mine"])
        _ = pipeline | beam.Create([0]) | beam.Map(lambda number: 1 // number)
        return pipeline

    for _ in range(2):
        hp.run_every(build, db, name="load", every=1, max_runs=1, on_report=reports.append)
    assert [(report.run_id, report.state) for report in reports] == [("mine", "failed"), ("", "failed")]
