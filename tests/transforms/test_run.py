"""`hp.run` runs a pipeline, reports what it did, and raises one clear error."""

from __future__ import annotations

import logging
import subprocess
import sys

import apache_beam as beam
import pytest
from apache_beam.runners.runner import PipelineResult, PipelineRunner, PipelineState
from store_contents import put_object

import holded_pipeline as hp

FAILING = """
import logging
import holded_pipeline as hp
print(logging.getLogger().handlers, logging.warning.__module__)
import apache_beam as beam

def fail(_):
    raise hp.ConfigurationError("the thing is wrong; fix it")

p = beam.Pipeline(runner="FnApiRunner")
_ = p | beam.Create([1]) | beam.Map(fail)
hp.run(p)
"""


class RaisingRunner(PipelineRunner):
    """A runner whose runs fail with this error."""

    def __init__(self, error) -> None:
        self._error = error

    def run_pipeline(self, pipeline, options):
        raise self._error


class EndedResult(PipelineResult):
    """A run that ended in a state."""

    def wait_until_finish(self, duration=None):
        return self._state


class CancelledRunner(PipelineRunner):
    """A runner whose runs are cancelled."""

    def run_pipeline(self, pipeline, options):
        return EndedResult(PipelineState.CANCELLED)


@pytest.fixture
def two_reads(lake):
    """A pipeline in which two steps count under each name."""
    lines = hp.testing.sample_lines(hp.testing.sample_events(30, seed=1))
    put_object(lake, "raw/a.jsonl", lines + b"{broken\n")
    p = beam.Pipeline(runner="FnApiRunner")
    raw = p | hp.ReadMinIO(lake, "raw/")
    again = p | "Again" >> hp.ReadMinIO(lake, "raw/")
    _ = (raw.rejected, again.rejected) | hp.WriteRejected(lake, "rejected/")
    return p


def test_counters_of_two_steps_with_one_name_are_added(two_reads):
    result = two_reads.run()
    result.wait_until_finish()
    report = hp.report(result)
    assert (report.records, report.rejected, report.state) == (62, {"read": {"invalid_json": 2}}, "succeeded")
    assert (report.run_id, report.seconds) == ("", None)


def test_the_report_of_a_run_has_its_id_name_time_and_result(two_reads):
    report = hp.run(two_reads, name="twice")
    assert (report.records, report.name) == (62, "twice")
    assert report.run_id
    assert report.seconds > 0
    assert report.began_at.tzinfo
    assert report.result.state == PipelineState.DONE


def test_the_import_keeps_the_users_logging_and_an_error_is_printed_once(tmp_path):
    script = tmp_path / "job.py"
    script.write_text(FAILING)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=120)
    *traceback, last = done.stderr.splitlines()
    assert done.stdout == "[] logging\n"
    assert traceback[0] == "Traceback (most recent call last):"  # the import has printed nothing
    assert done.returncode == 1
    assert last.startswith("holded_pipeline.model.errors.ConfigurationError: the thing is wrong; fix it")
    assert done.stderr.count("the thing is wrong") == 1
    assert "apache_beam" not in done.stderr
    assert "apitools" not in done.stderr
    assert len(traceback) < 10


TRACEBACK = """Pipeline job-1 failed in state FAILED: bundle inst002 failed:Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1512, in apache_beam.runners.common.DoFnRunner.process
{module}{name}: {sentence}

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1623, in apache_beam.runners.common.DoFnRunner._reraise_augmented
{module}{name}: {sentence} [while running 'Load']
"""


@pytest.mark.parametrize(
    "name", ["ConfigurationError", "TransientError", "ObjectVanishedError", "TooManyRejectedError"]
)
@pytest.mark.parametrize("module", ["holded_pipeline.model.errors.", ""], ids=["qualified", "bare"])
@pytest.mark.parametrize("escaped", [False, True])
def test_an_error_of_the_library_is_found_in_a_traceback(name, module, escaped):
    text = TRACEBACK.format(module=module, name=name, sentence="it is wrong: fix it")
    text = text.replace("\n", "\\n") if escaped else text
    with pytest.raises(getattr(hp, name)) as caught:
        hp.run(beam.Pipeline(runner=RaisingRunner(RuntimeError(text))))
    assert str(caught.value) == "it is wrong: fix it [while running 'Load']"
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "error", [RuntimeError("a ConfigurationError without its text"), ValueError("x"), MemoryError()], ids=repr
)
def test_any_other_error_is_raised_as_it_is(error):
    with pytest.raises(type(error)) as caught:
        hp.run(beam.Pipeline(runner=RaisingRunner(error)))
    assert caught.value is error


def test_ctrl_c_is_itself_again():
    wrapped = RuntimeError("bundle failed")
    wrapped.__context__ = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        hp.run(beam.Pipeline(runner=RaisingRunner(wrapped)))


def test_a_run_that_is_cancelled_is_an_error():
    with pytest.raises(RuntimeError, match="the run .* ended in state CANCELLED"):
        hp.run(beam.Pipeline(runner=CancelledRunner()))


def test_what_beam_logs_of_other_errors_stays(caplog):
    caplog.set_level(logging.ERROR, "apache_beam")  # an example may have silenced it in this process
    p = beam.Pipeline(runner="FnApiRunner")
    _ = p | beam.Create([1]) | beam.Map(lambda _: {}["absent"])
    with pytest.raises(KeyError):
        hp.run(p)
    assert "Traceback" in caplog.text
