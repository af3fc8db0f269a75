"""Arrows point one way: each room imports only what it may."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "holded_pipeline"
# Each room, and the rooms right below it. What is below those may be imported too.
BELOW = {
    "model": (),
    "user_code": ("model",),
    "servers": ("model",),
    "store": ("servers",),
    "reading": ("user_code",),
    "schemas": ("servers", "user_code"),
    "postgres": ("servers", "user_code"),
    "enriching": ("store", "postgres"),
    "rejected": ("store", "reading"),
    "plugins": ("enriching", "reading"),
    "transforms": ("plugins", "rejected", "schemas"),
    "testing": ("transforms",),
    "api": ("store", "reading", "schemas", "rejected"),
    "local": ("store", "postgres"),
    "migrations": ("postgres",),
}
MAY_ALSO = {("postgres", "migrations")}  # `migrate` tells Alembic where the migrations are
ONLY_IN = {
    "apache_beam": {"transforms", "testing"},
    "pluggy": {"plugins"},
    "s3fs": {"store"},
    "fsspec": {"store"},
    "botocore": {"store"},
    "aiobotocore": {"store"},
    "aiohttp": {"store"},
    "psycopg": {"postgres", "migrations"},
    "alembic": {"postgres", "migrations"},
    "requests": {"schemas"},
    "urllib3": {"schemas"},
    "http": {"schemas"},
    "fastapi": {"api"},
    "uvicorn": {"api"},
}


def rooms_below(room: str) -> set[str]:
    return {room}.union(*(rooms_below(lower) for lower in BELOW[room]))


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
        if parts[0] == "holded_pipeline" and len(parts) > 1 and room and parts[1] in BELOW:
            allowed = parts[1] in rooms_below(room) or (room, parts[1]) in MAY_ALSO
            assert allowed, f"{room} may not import {name}"
        if parts[0] in ONLY_IN:
            assert room in ONLY_IN[parts[0]], f"{parts[0]} belongs in {ONLY_IN[parts[0]]}, not in {room}"


def test_every_folder_is_a_room_with_arrows():
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(BELOW)


@pytest.mark.parametrize("room", sorted(BELOW))
def test_a_room_says_what_it_is_for_and_what_must_not_come_in(room):
    sentences = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert len(sentences.split("\n\n")) >= 2


def test_nothing_below_the_transforms_reads_a_clock_where_results_would_depend_on_it():
    for room in ("model", "user_code", "reading", "rejected"):
        for path in (PACKAGE / room).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            for clock in ("datetime.now", "time.time(", "time.monotonic(", "utcnow"):
                assert clock not in text, f"{path.name} reads the clock with {clock}"


def test_there_is_no_room_for_odds_and_ends():
    assert not [path for path in FILES if path.stem in ("utils", "common", "helpers", "misc")]


def test_files_stay_readable():
    assert not {path.name: lines for path in FILES if (lines := len(path.read_text().splitlines())) > 280}
