"""The code in README.md and in docs/ runs as it stands, on real servers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sybil.document import Document
from sybil.parsers.markdown import PythonCodeBlockParser

import holded_pipeline as hp

ROOT = Path(__file__).parent.parent
GUIDE_SECTIONS = ("\n## The way of one record through the rooms\n", "\n## Where does a change go?\n")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITH_CODE = [page for page in PAGES if "```python" in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.name)
def test_the_code_runs(page, stack, lake, db, tmp_path, monkeypatch):
    """The servers of the test replace those that the page names."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MINIO_SECRET_KEY", lake.secret_key.reveal())
    monkeypatch.setenv("PGPASSWORD", db.password.reveal())
    lake.filesystem().pipe(
        f"{lake.bucket}/raw/events.jsonl", hp.testing.sample_lines(hp.testing.sample_events(100, faults=0.05))
    )
    text = page.read_text(encoding="utf-8")
    for written, real in (
        ("http://localhost:9000", lake.endpoint),
        ('bucket="holded"', f'bucket="{lake.bucket}"'),
        ('access_key="minioadmin"', f'access_key="{lake.access_key}"'),
        ("postgresql://holded@localhost/holded_business", db.url),
        ("/var/lib/node_exporter", str(tmp_path)),
    ):
        text = text.replace(written, real)
    copy = tmp_path / page.name
    copy.write_text(text, encoding="utf-8")
    document = Document.parse(str(copy), PythonCodeBlockParser())
    document.namespace.update(lake=lake, db=db)
    examples = list(document.examples())
    for example in examples:
        example.evaluate()
    assert len(examples) == text.count("```python")
    if page.name == "README.md":
        assert len(examples) >= 2
        assert hp.verify_analytics(db) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page):
    for path in re.findall(r"`((?:tests|examples|benchmarks)/[\w./@-]+)", page.read_text(encoding="utf-8")):
        assert (ROOT / path).exists(), path


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in PAGES[1:]} - {"index.md"}
    assert {page for page in pages if f"({page})" not in index} == set()


def test_the_guide_for_contributors_names_files_and_functions_that_exist():
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    walk, changes = (guide.partition(heading)[2].partition("\n## ")[0] for heading in GUIDE_SECTIONS)
    named = [
        (re.findall(r"`([\w/]+\.py)`", files), re.findall(r"`(\w+)`", names))
        for _, files, names in re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", walk, re.MULTILINE)
    ]
    named += [
        ([path], re.findall(r"`(\w+)`", names))
        for path, names in re.findall(r"`([\w/]+\.py)`(?: \(([^)]+)\))?", walk + changes)
    ]
    assert len(named) > 40
    for paths, names in named:
        found = [path for path in (*paths, *(f"holded_pipeline/{path}" for path in paths)) if (ROOT / path).exists()]
        assert len(found) == len(paths), f"CONTRIBUTING.md names {paths}, of which only {found} exist"
        text = "\n".join((ROOT / path).read_text(encoding="utf-8") for path in found)
        for name in names:
            defined = re.search(rf"^(?:async def|def|class) {name}\b|^{name}\b.* = |^{name}:", text, re.MULTILINE)
            assert defined, f"CONTRIBUTING.md names {name}, which none of {found} defines"
