"""SIGTERM lets a single run finish; a second one ends it at once."""

from __future__ import annotations

import os
import signal
import time

import pytest
from preloaded import Program

from holded_pipeline.cli import run_command
from holded_pipeline.runs.stop_signals import finishing_on_sigterm

PROGRAM = """
import logging, sys
from holded_pipeline.runs.stop_signals import finishing_on_sigterm
logging.basicConfig(level=logging.INFO)
with finishing_on_sigterm():
    print("begun", flush=True)
    open(sys.argv[1]).read()
print("finished", flush=True)
"""


@pytest.fixture
def program(tmp_path):
    """A run that got SIGTERM, and ends when something is written into `to_end`."""
    script, out, err = tmp_path / "script.py", tmp_path / "stdout", tmp_path / "stderr"
    script.write_text(PROGRAM)
    os.mkfifo(tmp_path / "to_end")
    process = Program([script, tmp_path / "to_end"], (out, err))
    try:
        wait_for_text("begun\n", out)
        process.send_signal(signal.SIGTERM)
        wait_for_text("the run is finished first", err)
        yield process
    finally:
        process.kill()


def wait_for_text(text, file):
    until = time.monotonic() + 60
    while not file.exists() or text not in file.read_text():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


def test_a_run_is_finished_after_sigterm(program, tmp_path):
    (tmp_path / "to_end").write_text("now")
    assert program.wait(60) == 0
    assert (tmp_path / "stdout").read_text() == "begun\nfinished\n"


def test_a_second_sigterm_ends_it_at_once(program):
    program.send_signal(signal.SIGTERM)
    assert program.wait(60) == -signal.SIGTERM


def test_a_handler_of_the_program_stays():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with finishing_on_sigterm():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_command_lets_its_run_finish(monkeypatch):
    """The run is replaced by one that gets SIGTERM: without a handler this process would end."""

    class EndedError(Exception):
        pass

    def run(*_, **__):
        os.kill(os.getpid(), signal.SIGTERM)
        raise EndedError

    class Flow:
        def ingest(self, shard):
            return None

        class settings:  # noqa: N801  as the real one is an attribute
            class flow:  # noqa: N801  as above
                name = "load"

    monkeypatch.setattr(run_command, "run", run)
    with pytest.raises(EndedError):
        run_command._make_one_run(Flow(), None, {"shard": None, "progress": None})
