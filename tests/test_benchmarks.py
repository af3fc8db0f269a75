"""Benchmarks run: each file of `benchmarks/` that has the option `--smoke` runs once, with tiny sizes."""

from __future__ import annotations

import ast
import contextlib
import copy
import os
import re
import resource
import runpy
import sys
from pathlib import Path

import pytest
from preloaded import run_in_process

from holded_pipeline import local

FOLDER = Path(__file__).parent.parent / "benchmarks"
FILES = sorted(path for path in FOLDER.glob("*.py") if "--smoke" in path.read_text(encoding="utf-8"))
RUN_ELSEWHERE = {"kill_loop.py", "large_record.py"}
"""`tests/faults/test_kills.py` and `tests/transforms/test_large_record.py` run them, and look at their figures."""


def test_there_are_benchmarks():
    assert {"ingest.py", "memory.py"} <= {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_its_docstring_says_what_it_measures(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.fixture
def servers_of_tests(stack, monkeypatch):
    """The servers that a benchmark starts are those that run already, with a bucket and a database of its own."""

    @contextlib.contextmanager
    def running():
        own = copy.copy(stack)
        own.minio, own.postgres = stack.new_bucket(), stack.new_database()
        yield own

    monkeypatch.setattr(local, "stack", running)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, files)


def exit_code_of(path):
    try:
        runpy.run_path(str(path), run_name="__main__")
    except SystemExit as ended:
        return ended.code
    return 0


@pytest.mark.parametrize("path", [path for path in FILES if path.name not in RUN_ELSEWHERE], ids=lambda path: path.name)
def test_it_runs_and_prints_figures(path, servers_of_tests, monkeypatch, capfd):
    run_in_process(os.getpid)  # what forks processes has the imports of all tests, not only those of a benchmark
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setattr(sys, "argv", [str(path), "--smoke"])
    code = exit_code_of(path)
    printed = capfd.readouterr()
    assert not code, printed.err[-2_000:]
    assert re.search(r"\d", printed.out)
