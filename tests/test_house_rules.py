"""Rules for the tests themselves: names stay short, and shared helpers are shared."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from quick_part import QUICK

TESTS = Path(__file__).parent
FILES = sorted(TESTS.rglob("*.py"))
SHARED = {
    "event": "make_event of tests/support/event_factory.py",
    "stored": "objects_below or documents_below of store_contents.py, or rows_of of table_contents.py",
    "load": "run_load of pipeline_runs.py, or load_rows of table_contents.py",
    "enrich": "run_enrich of pipeline_runs.py",
}
"""Names of helpers that were written again in many files, and what to use instead."""


def functions_in(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_the_names_of_tests_are_shorter_than_80_characters(path):
    assert not [each.name for each in functions_in(path) if each.name.startswith("test_") and len(each.name) >= 80]


def test_no_helper_is_written_again_where_a_shared_one_serves():
    files = defaultdict(list)
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name in SHARED:
                files[node.name].append(str(path.relative_to(TESTS)))
    copies = [f"{name}: {', '.join(where)}; use {SHARED[name]}" for name, where in files.items() if len(where) > 2]
    assert not copies, "\n".join(copies)


def test_the_quick_part_names_folders_and_files_that_exist():
    assert [name for name in QUICK if not (TESTS / name).exists()] == []
