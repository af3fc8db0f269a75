"""Benchmarks run: each file of `benchmarks/` that has the option `--smoke` runs once, with tiny sizes."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"
FILES = sorted(path for path in FOLDER.glob("*.py") if "--smoke" in path.read_text(encoding="utf-8"))


def test_there_are_benchmarks():
    assert {"ingest.py", "memory.py"} <= {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_its_docstring_says_what_it_measures(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_runs_and_prints_figures(path):
    done = subprocess.run(
        [sys.executable, path, "--smoke"], capture_output=True, text=True, check=False, timeout=150, cwd=FOLDER.parent
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    assert re.search(r"\d", done.stdout)
