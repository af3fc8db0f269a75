"""Each run of a recorded pipeline has a row that says what became of it, however it ended."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import threading
import time

import apache_beam as beam
import attrs
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineResult, PipelineRunner, PipelineState
from beam_programs import job_service
from plain_path import needs_plain_path
from preloaded import Program
from store_contents import put_object
from table_contents import rows_of

import holded_pipeline as hp
from holded_pipeline.transforms.beam.recorded_runs import record_run


def build(lake, db, *steps, runner="FnApiRunner", **options):
    """A pipeline with two reads, so that two steps count under the same names."""
    put_object(lake, "raw/a.jsonl", hp.testing.sample_lines(hp.testing.sample_events(30, seed=1)) + b"{broken\n")
    put_object(lake, "more/b.jsonl", hp.testing.sample_lines(hp.testing.sample_events(20, seed=2)))
    p = beam.Pipeline(runner=runner, options=PipelineOptions([], **options))
    record_run(p, db, "nightly")
    raw = p | hp.ReadMinIO(lake, "raw/")
    more = p | "More" >> hp.ReadMinIO(lake, "more/")
    events = (raw.passed, more.passed) | beam.Flatten()
    for step in steps:
        events = events | beam.Map(step)
    loaded = events | hp.WritePostgres(db)
    _ = (raw.rejected, more.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
    return p


def fail(_):
    raise hp.ConfigurationError("the thing is wrong; fix it")


def interrupt(_):
    raise KeyboardInterrupt


def the_only_run(db):
    (record,) = hp.runs(db)
    return record


@pytest.mark.parametrize("how", ["run", "with", "wait", "hp.run"])
def test_a_run_that_succeeds_is_recorded(lake, db, how):
    p = build(lake, db, run_id="r1", code_version="v7")
    if how == "with":
        with p:
            pass
    elif how == "hp.run":
        assert hp.run(p).name == "nightly"
    else:
        result = p.run()
        _ = result.wait_until_finish() if how == "wait" else None
    record = the_only_run(db)
    assert (record.run_id, record.name, record.state, record.error) == ("r1", "nightly", "succeeded", None)
    assert record.counts["read.records"] == 51
    assert record.rejected == {"read": {"invalid_json": 1}}
    assert record.report.is_balanced
    assert record.began_at <= record.ended_at
    assert (record.process_id, record.versions["code"]) == (os.getpid(), "v7")
    assert record.versions["apache-beam"] == beam.__version__


@needs_plain_path
def test_a_run_in_worker_processes_is_recorded(lake, db):
    build(lake, db, direct_running_mode="multi_processing", direct_num_workers=1).run()
    assert (the_only_run(db).state, the_only_run(db).counts["read.records"]) == ("succeeded", 51)


@pytest.mark.parametrize("mode", ["in_memory", pytest.param("multi_processing", marks=needs_plain_path)])
def test_a_run_that_fails_is_recorded_with_its_error(lake, db, mode):
    p = build(lake, db, direct_running_mode=mode)
    _ = p | "Nowhere" >> hp.ReadMinIO(attrs.evolve(lake, bucket="nowhere"), "raw/")
    with pytest.raises(hp.ConfigurationError, match="^.*NoSuchBucket; create the bucket"):
        hp.run(p)
    record = the_only_run(db)
    assert record.state == "failed"
    assert re.match("ConfigurationError: .*NoSuchBucket; create the bucket", record.error)
    assert "Traceback" not in record.error
    assert record.settled_at is None


def test_ctrl_c_is_recorded_in_words(lake, db):
    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        build(lake, db, interrupt).run()
    assert (the_only_run(db).state, the_only_run(db).error) == ("failed", "the run was interrupted (Ctrl-C)")


class LaterResult(PipelineResult):
    """A run that goes on in a thread."""

    def __init__(self, work) -> None:
        super().__init__(PipelineState.RUNNING)
        self._thread = threading.Thread(target=self._run, args=(work,))
        self._thread.start()

    def _run(self, work):
        try:
            self._inner = work()
            self._state = PipelineState.DONE
        except Exception as error:  # noqa: BLE001  as a runner does
            self._error = error
            self._state = PipelineState.FAILED

    def wait_until_finish(self, duration=None):
        self._thread.join(None if duration is None else duration / 1_000)
        if self._state == PipelineState.FAILED:
            raise RuntimeError("the job failed") from self._error
        return self._state

    def metrics(self):
        return self._inner.metrics()


class LaterRunner(PipelineRunner):
    """A runner that returns before the run is over, as those with a job service do."""

    def run_pipeline(self, pipeline, options):
        return LaterResult(lambda: FnApiRunner().run_pipeline(pipeline, options))


@pytest.mark.parametrize("steps", [(), (fail,)], ids=["succeeds", "fails"])
def test_a_run_that_goes_on_is_recorded_by_who_waits(lake, db, steps):
    result = build(lake, db, *steps, runner=LaterRunner()).run()
    assert the_only_run(db).state == "running"
    if steps:
        with pytest.raises(RuntimeError, match="the job failed"):
            result.wait_until_finish()
        assert (the_only_run(db).state, the_only_run(db).error) == ("failed", "RuntimeError: the job failed")
    else:
        assert result.wait_until_finish() == PipelineState.DONE
        assert the_only_run(db).counts["read.records"] == 51


def test_a_run_that_nobody_waits_for_gets_its_end(lake, db, monkeypatch):
    monkeypatch.setattr("holded_pipeline.transforms.beam.run_recorder._BEAT_SECONDS", 0.1)
    build(lake, db, runner=LaterRunner()).run()
    deadline = time.monotonic() + 60
    while the_only_run(db).state == "running" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert the_only_run(db).state == "succeeded"


def test_a_pipeline_that_is_recorded_twice_has_one_record(lake, db):
    p = build(lake, db)
    record_run(p, db, "another", arguments={"limit": 5})
    p.run()
    assert (the_only_run(db).name, the_only_run(db).arguments["limit"]) == ("nightly", 5)


def test_a_run_with_the_id_of_an_old_one_replaces_its_record(lake, db):
    with pytest.raises(hp.ConfigurationError):
        build(lake, db, fail, run_id="same").run()
    build(lake, db, run_id="same").run()
    assert (the_only_run(db).state, the_only_run(db).error) == ("succeeded", None)


def test_an_absent_database_fails_the_run_at_its_start(lake):
    away = hp.Postgres("postgresql://u@127.0.0.1:1/d", retry=hp.Retry(0.2))
    ran = []
    p = beam.Pipeline(runner="FnApiRunner")
    record_run(p, away, "nightly")
    _ = p | beam.Create([1]) | beam.Map(ran.append)
    with pytest.raises(hp.TransientError, match="127.0.0.1:1"):
        p.run()


@pytest.mark.parametrize("steps", [(), (fail,)], ids=["succeeds", "fails"])
def test_a_record_that_cannot_be_written_hides_nothing(lake, db, caplog, monkeypatch, steps):
    def drop_table(event):
        rows_of(db, "DROP TABLE IF EXISTS pipeline_runs")
        return event

    p = build(lake, db, drop_table, *steps)
    if steps:
        with pytest.raises(hp.ConfigurationError, match="the thing is wrong"):
            p.run()
    else:
        assert p.run().wait_until_finish() == PipelineState.DONE
    assert "could not be recorded: " in caplog.text


def test_no_secret_is_in_a_record(lake, db, monkeypatch):
    password = db.password.reveal()
    monkeypatch.setenv("TEST_PASSWORD", password)
    guarded = hp.Postgres(db.url, password=hp.Secret.env("TEST_PASSWORD"))

    def leak(_):
        raise ValueError(f"cannot open postgresql://me:{password}@h/d with {password}")

    p = build(lake, guarded, leak, run_id="r1")
    p.options._all_options["my_url"] = f"postgresql://me:{password}@h/d"
    p.options._all_options["api_token"] = password
    nested = {"secret_key": password, "urls": [f"https://me:{password}@h/?x=1"], "text": f"it is {password}"}
    record_run(p, guarded, "nightly", arguments={"s": hp.Secret(password), "nested": nested, "db": guarded})
    with pytest.raises(ValueError, match="cannot open"):
        p.run()
    ((row,),) = rows_of(db, "SELECT pipeline_runs::text FROM pipeline_runs")
    assert password not in row
    record = the_only_run(db)
    assert record.arguments["my_url"] == "postgresql://me:***@h/d"
    assert record.arguments["api_token"] == "***"
    assert record.error.startswith("ValueError: cannot open postgresql://me:***@h/d with ***")
    assert password not in json.dumps(record.to_dict()) + repr(record) + str(record.report)


SLEEPER = """
import sys, time
import apache_beam as beam
import holded_pipeline as hp
from holded_pipeline.transforms.beam.recorded_runs import record_run

def wait(each):
    print("running", flush=True)
    time.sleep(120)

p = beam.Pipeline(runner="FnApiRunner")
record_run(p, hp.Postgres(sys.argv[1]), "nightly")
_ = p | beam.Create([1]) | beam.Map(wait)
p.run()
"""


@pytest.fixture
def sleeper(db, tmp_path):
    script, printed, errors = (tmp_path / name for name in ("job.py", "printed", "errors"))
    script.write_text(SLEEPER)
    process = Program([script, db.url], (printed, errors), env=os.environ | {"TMPDIR": str(tmp_path)})
    deadline = time.monotonic() + 60
    while not printed.exists() or printed.read_text() != "running\n":
        assert time.monotonic() < deadline, errors.read_text()
        time.sleep(0.02)
    yield process
    process.kill()
    process.wait()


def test_sigterm_is_recorded_and_ends_the_process_as_ever(db, sleeper):
    sleeper.send_signal(signal.SIGTERM)
    assert sleeper.wait(60) == -signal.SIGTERM
    assert (the_only_run(db).state, the_only_run(db).error) == ("failed", "the process was ended by SIGTERM")


def test_a_killed_run_is_shown_and_then_marked_as_killed(lake, db, sleeper):
    sleeper.kill()
    sleeper.wait()
    assert the_only_run(db).state == "running"  # it may yet show a sign of life
    rows_of(db, "UPDATE pipeline_runs SET seen_at = now() - interval '61 seconds'")
    assert the_only_run(db).state == "killed"
    assert rows_of(db, "SELECT state FROM pipeline_runs") == [("running",)]
    build(lake, db).run()
    newest, killed = hp.runs(db)
    assert (newest.state, killed.state, killed.ended_at) == ("succeeded", "killed", None)
    assert "without a word" in killed.error


def test_a_run_that_was_taken_for_dead_is_alive_again(lake, db, monkeypatch):
    monkeypatch.setattr("holded_pipeline.transforms.beam.run_recorder._BEAT_SECONDS", 0.1)

    def suspend(event):
        rows_of(db, "UPDATE pipeline_runs SET state = 'killed', seen_at = now() - interval '1 hour'")
        deadline = time.monotonic() + 60
        while rows_of(db, "SELECT state FROM pipeline_runs") != [("running",)] and time.monotonic() < deadline:
            time.sleep(0.05)
        return event

    p = beam.Pipeline(runner="FnApiRunner")
    record_run(p, db, "nightly")
    _ = p | beam.Create([1]) | beam.Map(suspend)
    p.run()
    assert the_only_run(db).state == "succeeded"


def test_a_handler_of_the_users_stays(lake, db):
    handled = []
    before = signal.signal(signal.SIGTERM, lambda number, _: handled.append(number))
    try:
        build(lake, db, lambda event: os.kill(os.getpid(), signal.SIGTERM) or event).run()
        assert set(handled) == {signal.SIGTERM}
    finally:
        signal.signal(signal.SIGTERM, before)
    assert the_only_run(db).state == "succeeded"


def test_the_default_of_sigterm_is_back_after_a_run(lake, db, caplog):
    caplog.set_level(logging.DEBUG)
    before = signal.getsignal(signal.SIGTERM)
    build(lake, db).run()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.fixture(scope="module")
def jobs_at(tmp_path_factory):
    with job_service(tmp_path_factory.mktemp("job-service")) as address:
        yield address


@pytest.mark.parametrize("fails", [False, True])
def test_a_job_of_a_job_service_is_recorded(lake, db, jobs_at, fails):
    p = build(lake, db, runner="PortableRunner", job_endpoint=jobs_at, environment_type="LOOPBACK")
    if fails:
        _ = p | "Nowhere" >> hp.ReadMinIO(attrs.evolve(lake, bucket="nowhere"), "raw/")
        with pytest.raises(hp.ConfigurationError, match="^.*NoSuchBucket; create the bucket"):
            hp.run(p)
        assert the_only_run(db).state == "failed"
        assert re.match("ConfigurationError: .*NoSuchBucket; create the bucket", the_only_run(db).error)
    else:
        assert hp.run(p).records == 51
        assert (the_only_run(db).state, the_only_run(db).counts["read.records"]) == ("succeeded", 51)
