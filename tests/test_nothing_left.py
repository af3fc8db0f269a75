"""A run of the tests that leaves something behind fails, and says what."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent
LEAVES = """
import subprocess, tempfile
tempfile.mkdtemp(prefix="forgotten-")
still = subprocess.Popen(["sleep", "300"], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print("pid", still.pid)
"""
CLEANS_UP = "import tempfile\ntempfile.TemporaryDirectory().cleanup()\n"


def run_pytest(folder, body):
    """A run of one test, with the hooks, in a process of its own; what it printed, and its exit code."""
    (folder / "conftest.py").write_text(
        "import nothing_left\nnothing_left._PATIENCE = 0.5\n"
        "from nothing_left import pytest_configure, pytest_sessionfinish, pytest_terminal_summary\n"
    )
    (folder / "test_it.py").write_text("def test_it():\n" + textwrap.indent(body, "    "))
    env = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "support"), "TMPDIR": str(folder)}
    command = [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", "-c", os.devnull, str(folder)]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=120)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert not list(folder.glob("holded-tests-*"))
    return done.stdout, done.returncode


def test_a_run_that_leaves_a_process_and_a_folder_fails_and_names_them(tmp_path):
    printed, code = run_pytest(tmp_path, LEAVES)
    psutil.Process(int(re.search(r"pid (\d+)", printed)[1])).kill()
    assert code == 1
    assert re.search(r"left behind by this run: the process \d+: sleep 300", printed)
    assert "left behind by this run: the file or folder forgotten-" in printed


def test_a_run_that_leaves_nothing_passes(tmp_path):
    printed, code = run_pytest(tmp_path, CLEANS_UP)
    assert code == 0
    assert "left behind" not in printed
