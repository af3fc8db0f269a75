"""docs/reference/errors.md, model/reasons.py and the code have the same reasons and errors."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import psycopg
import pytest

import holded_pipeline as hp
from holded_pipeline.model.reasons import ERRORS, REASONS
from holded_pipeline.postgres.sqlstate import ErrorOrigin, classify_sqlstate, condition_name

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "holded_pipeline"
PAGE = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
SNAKE = re.compile(r"[a-z][a-z_]+[a-z]")
MAKERS = {"RejectRecord", "EnricherFault", "pipeline_error_for"}
CAUSED_BY_VALUES = ("0A000", "3F000", "42501", "42601", "42602", "42704", "42725", "42883", "42P01")
"""SQLSTATEs that usually mean a wrong setting; types, policies and expressions of tables raise them for values."""


def literals(node):
    """The strings that an expression may be; both arms of a choice."""
    return {each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)}


def codes_of(path):
    """Reason codes in a file, by line: first arguments of what makes rejections, and the constants these name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {}
    by_name = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and getattr(node.func, "id", "") in MAKERS:
            first = node.args[0]
            by_name |= isinstance(first, ast.Name)
            if not isinstance(first, ast.Call):
                found |= {code: f"{path.relative_to(ROOT)}:{node.lineno}" for code in literals(first)}
    if by_name:
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                found |= {
                    code: f"{path.relative_to(ROOT)}:{node.lineno}"
                    for code in literals(node.value)
                    if SNAKE.fullmatch(code)
                }
    return found


FILES = [path for path in PACKAGE.rglob("*.py") if path.name != "reasons.py"]


def test_every_reason_in_the_code_is_explained():
    known = {reason.name for reason in REASONS}
    missing = {code: line for path in FILES for code, line in codes_of(path).items() if code not in known}
    assert missing == {}, "\n" + "\n".join(
        f"add to REASONS in holded_pipeline/model/reasons.py, in alphabetical order (the code is used in {line}):\n"
        f'    CodeReference("{code}", "<stage>", "<cause>", "<fix>"),'
        for code, line in missing.items()
    )


def test_every_reason_that_is_explained_is_in_the_code():
    used = {code for path in FILES for code in codes_of(path)}
    gone = [reason.name for reason in REASONS if reason.name not in used]
    assert gone == [], f"remove from REASONS in holded_pipeline/model/reasons.py: nothing uses {', '.join(gone)}"


@pytest.mark.parametrize("explained", [REASONS, ERRORS], ids=["reasons", "errors"])
def test_they_are_in_alphabetical_order_and_unique(explained):
    names = [each.name for each in explained]
    assert names == sorted(set(names))


def row(each):
    return f"| `{each.name}` | {each.raised} | {each.cause} | {each.fix} |"


def table(heading):
    """The rows of the table below a heading of the page."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| `")]


@pytest.mark.parametrize(("heading", "explained"), [("Reasons", REASONS), ("Errors", ERRORS)])
def test_the_page_says_what_the_code_says(heading, explained):
    wanted = [row(each) for each in explained]
    assert table(heading) == wanted, f'the table under "{heading}" in docs/reference/errors.md must be:\n' + "\n".join(
        wanted
    )


def conditions():
    """PostgreSQL's conditions that reject a row, as the page lists them: generated from the driver."""
    states = {
        state
        for kind in vars(psycopg.errors).values()
        if isinstance(kind, type) and isinstance(state := getattr(kind, "sqlstate", None), str)
        if classify_sqlstate(state) is ErrorOrigin.ROW or state in CAUSED_BY_VALUES
    }
    return [f"| `{condition_name(state)}` | {state} |" for state in sorted(states)]


def test_the_page_lists_every_condition_of_postgresql_that_rejects_a_row():
    wanted = conditions()
    missing = [line for line in wanted if line not in table("PostgreSQL's reasons")]
    assert missing == [], "add to the table in docs/reference/errors.md:\n" + "\n".join(missing)


def all_errors(kind=hp.HoldedPipelineError):
    return {each for sub in kind.__subclasses__() for each in (sub, *all_errors(sub))}


def test_every_error_is_explained():
    ours = {kind.__name__ for kind in all_errors() if kind.__module__.startswith("holded_pipeline")}
    private = {name for name in ours if name.startswith("_")}
    assert {each.name for each in ERRORS} == ours - private


def test_every_sample_fault_has_a_reason_that_is_explained():
    known = {reason.name for reason in REASONS}
    assert {fault.reason for fault in hp.testing.FAULTS if fault.reason} <= known
