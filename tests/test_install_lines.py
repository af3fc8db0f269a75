"""Every line that says how to install the package works as it stands: it is on no index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from holded_pipeline.model.install_lines import install_line

ROOT = Path(__file__).parent.parent
EXTRAS = set(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"])
FOLDERS = (".ci", "benchmarks", "docs", "examples", "holded_pipeline", "tests")
TEXTS = [
    path
    for path in sorted({*ROOT.glob("*.*"), *(each for name in FOLDERS for each in (ROOT / name).rglob("*"))})
    if path.is_file() and path != Path(__file__) and "__pycache__" not in path.parts
]
WORD = r"""(?:'[^'`]*'|"[^"`]*"|[^\s'"`;&|()]+)"""
COMMAND = re.compile(rf"pip3?\s+install\s+({WORD}(?: +{WORD})*)")
# pip looks up a name without an address in an index. A name with an extra is meant for pip, with or without a command.
NAME_ALONE = re.compile(r"holded[-_]pipeline(\[[\w,]+\])?([=<>~!].*)?")
IN_BRACKETS = re.compile(r"(?<![\w-])holded-pipeline\[[\w,]+\](?! @ git\+)")
FROM_A_CLONE = re.compile(r"pip install (?:-\w+ )*(['\"])(?:\.|holded-pipeline|\S*\.whl)\[([\w,]+)\]")


def text_of(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def untrue_lines(text: str) -> list[str]:
    named = [word for words in COMMAND.findall(text) for word in re.findall(WORD, words)]
    return [*(word for word in named if NAME_ALONE.fullmatch(word.strip("'\""))), *IN_BRACKETS.findall(text)]


def test_no_line_installs_the_package_from_an_index():
    assert len(TEXTS) > 400
    # pyproject.toml names the package's own extras, as pip wants them there.
    found = {
        str(path.relative_to(ROOT)): untrue_lines(text_of(path)) for path in TEXTS if path.name != "pyproject.toml"
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("text", "untrue"),
    [
        ("pip install 'holded-pipeline[api]'", True),
        ("pip install -U holded-pipeline my-plugin", True),
        ("(`pip install\n'holded-pipeline[rates]'`)", True),
        ("RUN pip3 install --no-cache-dir holded_pipeline==0.1.0", True),
        ("needs `holded-pipeline[metrics]`", True),
        ("pip install '.[api]' in a clone of the repository", False),
        ("pip install 'holded-pipeline[api] @ git+https://…/holded_pipeline.git'", False),
        ("pip install dist/holded_pipeline-0.1.0-py3-none-any.whl", False),
        ("pip install '.[cli]' && holded-pipeline up", False),
        ("pip install .\nholded-pipeline up", False),
    ],
)
def test_the_search_finds_what_pip_would_not(text, untrue):
    assert bool(untrue_lines(text)) is untrue


def test_every_extra_that_a_text_names_exists():
    named = {
        extra for path in TEXTS for _, extras in FROM_A_CLONE.findall(text_of(path)) for extra in extras.split(",")
    }
    assert len(named - {""}) >= 6
    assert named - {""} <= EXTRAS


def test_messages_have_the_words_from_one_function():
    code = {path: text_of(path) for path in (ROOT / "holded_pipeline").rglob("*.py")}
    assert [path.name for path, text in code.items() if re.search(r"pip install ['\"]?\.", text)] == [
        "install_lines.py"
    ]
    asked = {extra for text in code.values() for extra in re.findall(r"install_line\('(\w+)'\)", text)}
    assert {"api", "cli", "local"} <= asked <= EXTRAS
    assert install_line("api") == "pip install '.[api]' in a clone of the repository"


def test_the_page_about_installing_has_every_extra():
    page = text_of(ROOT / "docs" / "how-to" / "installing.md")
    assert {
        extra for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for extra in re.findall(r"`(\w+)`", row)
    } == EXTRAS
