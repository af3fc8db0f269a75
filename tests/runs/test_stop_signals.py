"""SIGTERM lets a single run finish; a second one ends it at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from holded_pipeline.cli import run_command
from holded_pipeline.runs.stop_signals import finishing_on_sigterm

PROGRAM = """
import logging, time
from holded_pipeline.runs.stop_signals import finishing_on_sigterm
logging.basicConfig(level=logging.INFO)
with finishing_on_sigterm():
    print("begun", flush=True)
    input()
print("finished", flush=True)
"""


@pytest.fixture
def program():
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        assert "the run is finished first" in process.stderr.readline()
        yield process
        process.kill()


def test_a_run_is_finished_after_sigterm(program):
    out, _ = program.communicate("\n", timeout=60)
    assert (out, program.returncode) == ("finished\n", 0)


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
