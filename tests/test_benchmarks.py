"""Benchmarks run: each file of `benchmarks/` that has the option `--smoke` runs once, with tiny sizes."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from preloaded import run_script

FOLDER = Path(__file__).parent.parent / "benchmarks"
FILES = sorted(path for path in FOLDER.glob("*.py") if "--smoke" in path.read_text(encoding="utf-8"))
RUN_ELSEWHERE = {"kill_loop.py"}
"""`tests/faults/test_kills.py` runs it, and looks at its figures."""


def test_there_are_benchmarks():
    assert {"ingest.py", "memory.py"} <= {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_its_docstring_says_what_it_measures(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", [path for path in FILES if path.name not in RUN_ELSEWHERE], ids=lambda path: path.name)
def test_it_runs_and_prints_figures(path):
    done = run_script(path, "--smoke")
    assert done.returncode == 0, done.stderr[-2_000:]
    assert re.search(r"\d", done.stdout)
