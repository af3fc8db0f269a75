"""Arrows point one way: each room imports only what it may."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "holded_pipeline"
ROOMS = ("core", "clients", "plugins", "transforms", "api", "local", "testing")
MAY_USE = {
    "core": {"core"},
    "clients": {"clients", "core"},
    "plugins": {"plugins", "core", "clients"},
    "transforms": {"transforms", "plugins", "clients", "core"},
    "api": {"api", "plugins", "clients", "core"},
    "local": {"local", "clients", "core"},
    "testing": {"testing", "transforms", "plugins", "clients", "core"},
}
DRIVERS = {
    "s3fs",
    "fsspec",
    "botocore",
    "aiobotocore",
    "aiohttp",
    "psycopg",
    "requests",
    "alembic",
    "urllib3",
    "http",
}
ONLY_IN = {
    "apache_beam": {"transforms", "testing", ""},
    "pluggy": {"plugins"},
    **{driver: {"clients", "migrations"} for driver in DRIVERS},
}


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py") if first != "__init__.py" else ""


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; write the name in full"
            found.add(node.module or "")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_what_it_may(path):
    room = room_of(path)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "holded_pipeline" and len(parts) > 1 and room in MAY_USE and parts[1] in ROOMS:
            assert parts[1] in MAY_USE[room], f"{room} may not import {name}"
        if parts[0] in ONLY_IN:
            assert room in ONLY_IN[parts[0]], f"{parts[0]} belongs in {ONLY_IN[parts[0]]}, not in {room}"


def test_core_reads_no_clock():
    for path in (PACKAGE / "core").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for clock in ("datetime.now", "time.time(", "time.monotonic(", "utcnow"):
            assert clock not in text, f"{path.name} reads the clock with {clock}"


def test_there_is_no_room_for_odds_and_ends():
    assert not [path for path in FILES if path.stem in ("utils", "common", "helpers", "misc")]


def test_files_stay_readable():
    assert not {path.name: lines for path in FILES if (lines := len(path.read_text().splitlines())) > 280}
