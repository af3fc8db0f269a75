"""The code in README.md and in docs/ runs as it stands, on real servers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sybil.document import Document
from sybil.parsers.markdown import PythonCodeBlockParser

import holded_pipeline as hp

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_runs(page, stack, lake, db, tmp_path, monkeypatch):
    """The servers of the test replace those that the page names."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MINIO_SECRET_KEY", lake.secret_key.reveal())
    monkeypatch.setenv("PGPASSWORD", "unused: this server trusts")
    lake.filesystem().pipe(
        f"{lake.bucket}/raw/events.jsonl", hp.testing.sample_lines(hp.testing.sample_events(100, faults=0.05))
    )
    text = page.read_text(encoding="utf-8")
    for written, real in (
        ("http://localhost:9000", lake.endpoint),
        ('bucket="holded"', f'bucket="{lake.bucket}"'),
        ('access_key="minioadmin"', f'access_key="{lake.access_key}"'),
        ("postgresql://holded@localhost/holded_business", db.url),
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


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert {page for page in pages if f"({page})" not in index} == set()
