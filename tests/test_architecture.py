"""Each room imports only rooms below it; one name has one meaning; the vocabulary stays plain."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections import defaultdict
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "holded_pipeline"
# Each room, and the rooms right below it. The rooms below those may be imported, too.
BELOW = {
    "compiled": (),  # its modules in C import the rooms whose Python they stand beside
    "model": ("compiled",),
    "user_code": ("model",),
    "servers": ("model",),
    "store": ("servers",),
    "reading": ("user_code",),
    "schemas": ("servers", "user_code"),
    "postgres": ("servers", "user_code"),
    "schema_tables": ("schemas", "postgres"),
    "enriching": ("store", "postgres"),
    "rejected": ("store", "reading"),
    "runs": ("postgres", "rejected"),
    "plugins": ("enriching", "reading"),
    "stored": ("plugins", "rejected"),
    "transforms": ("plugins", "runs", "schemas"),
    "testing": ("transforms",),
    "api": ("store", "reading", "schemas", "rejected"),
    "local": ("store", "postgres"),
    "cli": ("transforms", "stored", "api", "local", "testing"),
    "migrations": ("postgres",),
}
MAY_ALSO = {("postgres", "migrations")}  # `migrate` tells Alembic where the migrations are
ONLY_IN = {
    "apache_beam": {"transforms", "testing", "cli"},
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
ONLY_IN_FILE = {"distributed": "transforms/run_on_dask.py"}
"""Packages that one file alone knows."""
SAME_IDEA = {
    "main": "the entry point of a module that runs as a process",
    "upgrade": "Alembic finds the function of a migration by its name",
    "downgrade": "Alembic finds the function of a migration by its name",
    "register_enrichers": "pluggy finds a hook by its name",
    "register_envelopes": "pluggy finds a hook by its name",
    "register_quality_rules": "pluggy finds a hook by its name",
}
"""Names that may be defined in two files, and why both are the same idea."""
OLD_WORDS = {
    "strangers?": "user code",
    "told": "reported, described",
    "piles?": "dead-letter store",
    "travel(s|led|ling)?": "is pickled",
    "mend(s|ed|ing)?": "fix",
    "blame[ds]?": "classify the error",
    "culprits?": "component, cause",
    "doors?": "schema check on collect, authenticator",
    "patien(t|tly|ce)": "deadline, retries",
    "(in|at) hand": "available",
    "fates?": "replay outcome",
    "lanes?": "thread, worker",
    "bites?": "chunk",
    "step(s|ped)? aside": "say what happens instead",
    "h[au]ngs? up": "close",
    "hand(s|ed)? (on|out)": "pass on, list",
    "turn(s|ed)? away": "reject",
    "no such thing as": "say it directly",
    "something that is none": "say it directly",
    "waited out": "retried until the deadline",
    "spoil(s|ed|t)?": "corrupt",
}
"""Words of the old vocabulary, and what to write instead. A space stands for a space, a line break or an underscore."""
OLD_PATTERNS = {
    re.compile(rf"(?<![a-z])({word})(?![a-z])".replace(" ", r"[\s_]+"), re.IGNORECASE): instead
    for word, instead in OLD_WORDS.items()
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
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))


def defined_names(path: Path) -> set[str]:
    """The functions at the top of a file, and all its classes."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return functions | {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def old_words_in(text: str) -> list[tuple[int, str, str]]:
    """The old words in names, docstrings, messages and comments: the line, the word, and what to write instead."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)  # ListPile: List Pile
    found = [
        (spaced.count("\n", 0, match.start()) + 1, match[0], instead)
        for pattern, instead in OLD_PATTERNS.items()
        for match in pattern.finditer(spaced)
    ]
    return sorted(found)


@each_file
def test_a_room_imports_only_what_it_may(path):
    room = room_of(path)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "holded_pipeline" and len(parts) > 1 and room and parts[1] in BELOW:
            allowed = parts[1] in rooms_below(room) or (room, parts[1]) in MAY_ALSO
            assert allowed, f"{room} may not import {name}"
        if parts[0] in ONLY_IN:
            assert room in ONLY_IN[parts[0]], f"{parts[0]} belongs in {ONLY_IN[parts[0]]}, not in {room}"
        allowed_file = ONLY_IN_FILE.get(parts[0], str(path.relative_to(PACKAGE)))
        assert allowed_file == str(path.relative_to(PACKAGE)), f"{parts[0]} belongs in {allowed_file}"


def test_every_folder_is_a_room():
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(BELOW)


@pytest.mark.parametrize("room", sorted(BELOW))
def test_a_room_says_what_it_is_for_and_what_does_not_belong(room):
    sentences = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert len(sentences.split("\n\n")) >= 2


def test_results_below_the_transforms_depend_on_no_clock():
    for room in ("model", "user_code", "reading", "rejected"):
        for path in (PACKAGE / room).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            for clock in ("datetime.now", "time.time(", "time.monotonic(", "utcnow"):
                assert clock not in text, f"{path.name} reads the clock with {clock}"


def test_no_file_is_a_collection_of_helpers():
    assert not [path for path in FILES if path.stem in ("utils", "common", "helpers", "misc")]


def test_no_file_is_longer_than_280_lines():
    assert not {path.name: lines for path in FILES if (lines := len(path.read_text().splitlines())) > 280}


def test_no_name_is_defined_in_two_files_for_two_things():
    files = defaultdict(list)
    for path in FILES:
        for name in defined_names(path) - set(SAME_IDEA):
            files[name].append(str(path.relative_to(PACKAGE)))
    twice = {name: where for name, where in sorted(files.items()) if len(where) > 1}
    listed = "\n".join(f"{name}: {', '.join(where)}" for name, where in twice.items())
    assert not twice, f"rename all but one, or add the name to SAME_IDEA with the reason:\n{listed}"


@pytest.mark.parametrize("name", SAME_IDEA)
def test_each_name_that_may_be_defined_twice_is(name):
    assert sum(name in defined_names(path) for path in FILES) > 1


@each_file
def test_no_word_of_the_old_vocabulary_comes_back(path):
    found = old_words_in(path.read_text(encoding="utf-8"))
    assert not found, "\n".join(f"line {line}: {word!r}; write: {instead}" for line, word, instead in found)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("def _told(error):", "told"),
        ("class _ListPile(StoreDoFn):", "Pile"),
        ("self._lane = None", "lane"),
        ("IN_HAND: Final", "IN_HAND"),
        ("user_code.in_hand", "in_hand"),
        ('"""What is at\nhand."""', "at\nhand"),
        ('"""How it travels."""', "travels"),
        ("class Door:", "Door"),
    ],
)
def test_an_old_word_is_found_in_every_spelling(text, word):
    assert [found for _, found, _ in old_words_in(text)] == [word]


@pytest.mark.parametrize("text", ["compiled", "recommended", "planes", "handouts", "indoors", "at handshake"])
def test_a_word_that_only_contains_an_old_one_is_not_found(text):
    assert old_words_in(text) == []


def test_the_picture_of_the_rooms_is_that_of_the_code():
    root = PACKAGE.parent
    path = root / "docs" / "extensions" / "rooms_picture.py"
    spec = importlib.util.spec_from_file_location("rooms_picture", path)
    drawing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawing)
    assert {room: set(below) for room, below in drawing.ARROWS.items()} == {
        room: set(below) for room, below in BELOW.items()
    }
    made = drawing.picture()
    assert made == drawing.FILE.read_text(encoding="utf-8"), f"run python {path.relative_to(root)}"
