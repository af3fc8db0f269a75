"""The page of a run: what it shows, that nothing in it is markup of others, and how wide it is."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import attrs
import pytest
import sqlalchemy as sa
from table_contents import run_statements

import holded_pipeline as hp
from holded_pipeline.postgres.tables import business_events
from holded_pipeline.runs.run_rows import BegunRun, EndedRun, begin_run, end_run

BEGUN = BegunRun("r1", "nightly", "host", 42, {"python": "3"}, {})
COUNTS = {"read.records": 12, "write.inserted": 9, "write.duplicates": 1}
REJECTED = {"read": {"invalid_json": 1}, "validate": {"schema_violation": 1}}
HOSTILE = ("<script>alert(1)</script>", "' onload='x", "\u202eevil \u05e9\u05dc\u05d5\u05dd", "n" * 5_000, "a&amp;b")
VOID = {"meta"}


class Page(HTMLParser):
    """The tags and texts of a page; fails when a tag is closed that is not open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.names: set[str] = set()
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text.replace("<wbr>", ""))  # where a name may wrap
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.names |= {name for name, _ in attrs}
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def insert_events(db, events, run_id="r1"):
    """Inserts (type, company, score, seconds late) as rows of a run."""
    now = datetime.now(UTC)
    rows = [
        {
            "event_id": f"{run_id}-{position}",
            "event_type": kind,
            "company_id": company,
            "occurred_at": now - timedelta(seconds=late),
            "business_context": "other",
            "data_quality_score": score,
            "data": {},
            "metadata": {"processing": {"run_id": run_id}} if run_id else {},
        }
        for position, (kind, company, score, late) in enumerate(events)
    ]
    engine = db.engine(poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.insert(business_events), rows)


def page_of(
    db, events=(), statement=None, *, state="succeeded", counts=COUNTS, rejected=REJECTED, error=None, name="nightly"
):
    begin_run(db, attrs.evolve(BEGUN, name=name))
    if events:
        insert_events(db, events)
    if statement:
        run_statements(db, statement)
    end_run(db, "r1", EndedRun(state, counts, rejected, error))
    return hp.run_page(db, "r1").html


def test_the_figures_are_those_of_the_run(db):
    events = [("invoice", "c1", 0.95, 30)] * 6 + [("contact", "c2", 0.35, 7_200)] * 2 + [("contact", "c1", None, -50)]
    texts = Page(page_of(db, events)).texts
    assert "Rows by data_quality_score. Mean 0.800. 1 without a score." in texts
    assert texts[texts.index("invoice") + 1 : texts.index("invoice") + 3] == ["6 ", "quality 0.95"]
    assert texts[texts.index("contact") + 1 : texts.index("contact") + 3] == ["3 ", "quality 0.35"]
    assert texts[texts.index("c1") + 1] == "7 "
    assert texts[texts.index("validate: schema_violation") + 1] == "1"
    assert texts[texts.index("records read") - 1] == "12"
    assert texts[texts.index("counts add up") - 1] == "yes"
    assert texts[texts.index("<1m") - 1] == "6"
    assert texts[texts.index("future") - 1] == "1"
    assert texts[texts.index("<1d") - 1] == "2"
    assert texts[texts.index(".9") - 1] == "6"


def test_rows_of_another_run_at_the_same_time_are_not_counted(db):
    hp.migrate(db)
    begin_run(db, BEGUN)
    insert_events(db, [("mine", "c", 1, 0)])
    insert_events(db, [("others", "c", 1, 0)], run_id="r2")
    insert_events(db, [("unmarked", "c", 1, 0)], run_id="")
    end_run(db, "r1", EndedRun("succeeded", COUNTS, {}))
    insert_events(db, [("later", "c", 1, 0)], run_id="r1b")
    texts = Page(hp.run_page(db, "r1").html).texts
    assert {"mine", "others", "unmarked", "later"} & set(texts) == {"mine", "unmarked"}


def test_hostile_texts_stay_texts(db):
    events = [(text, text, 1, 0) for text in HOSTILE]
    html = page_of(db, events, state="failed", rejected={"<b>": {"<i>&": 2}}, error="<img src=x>", name="<h1>x")
    page = Page(html)
    assert {"script", "img", "b:"} & set(page.tags) == set()
    assert page.names <= {"lang", "charset", "http-equiv", "content", "name", "class", "style", "title"}
    assert {HOSTILE[0], HOSTILE[1], HOSTILE[2], HOSTILE[4], "<b>: <i>&", "<h1>x"} <= set(page.texts)
    assert max(len(text) for text in page.texts if "nnn" in text) == 121
    assert len(html) < 20_000


def test_a_run_without_rows_and_scores_is_shown(db):
    html = page_of(db, counts={}, rejected={})
    assert html.count("This run inserted no rows") == 4
    assert "No record was rejected." in html
    assert "No scores." in page_of(db, [("t", "c", None, 0)])


def test_a_failed_run_shows_its_error(db):
    texts = Page(page_of(db, state="failed", counts={}, rejected={}, error="TransientError: it is away")).texts
    assert "failed" in texts
    assert "\nTransientError: it is away" in texts


def test_ten_thousand_types_are_counted_and_the_largest_shown(db):
    columns = "event_id, event_type, company_id, occurred_at, business_context, data_quality_score, data, metadata"
    types = (
        f"INSERT INTO business_events ({columns}) SELECT n, 'type ' || lpad(n::text, 5, '0'), 'c', now(), 'other', "
        """0.5, '{}', '{"processing": {"run_id": "r1"}}' FROM generate_series(0, 9999) AS n"""
    )
    html = page_of(db, [("largest", "c", 0.5, 1)] * 2, types)
    assert "10,001 types, the 12 largest." in html
    assert html.index("largest<") < html.index("type 00000<") < html.index("type 00010<")
    assert "type 00011<" not in html


def test_an_unknown_run_is_named(db):
    with pytest.raises(hp.ConfigurationError, match=r"no run 'nobody' is recorded .* hp\.runs\(db\) lists"):
        hp.run_page(db, "nobody")


def test_a_page_is_saved_and_shown_in_a_frame_of_a_notebook(db, tmp_path):
    page_of(db)
    page = hp.run_page(db, "r1")
    assert page.save(tmp_path / "run.html").read_text(encoding="utf-8") == page.html
    frame = page._repr_html_()
    assert frame.count("<") == 2
    assert "sandbox" in frame


def find_browser():
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(find_browser() is None, reason="no chromium, chromium-browser or google-chrome")
@pytest.mark.parametrize("width", [500, 1280])
def test_a_browser_draws_the_page_without_scrolling_sideways(db, tmp_path, width):
    html = page_of(db, [(text, text, 0.7, 60) for text in HOSTILE])
    probe = "<script>const e=document.documentElement;document.title=e.scrollWidth-e.clientWidth</script></body>"
    open_page = html.replace("default-src 'none'", "script-src 'unsafe-inline'").replace("</body>", probe)
    (tmp_path / "page.html").write_text(open_page, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    command = [find_browser(), *options, f"--window-size={width},900", "--dump-dom", f"file://{tmp_path}/page.html"]
    environment = {**os.environ, "HOME": str(tmp_path)}
    drawn = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment).stdout
    assert "<title>0</title>" in drawn
