"""Progress is a bar on a terminal, and lines elsewhere."""

from __future__ import annotations

import os
import pty
import re
import select
from pathlib import Path

import pytest
from preloaded import Program

from holded_pipeline import testing
from holded_pipeline.runs import progress
from holded_pipeline.runs.progress import Figures, show_progress

COUNTS = {
    "read.records": 12_000, "read.bytes": 4_100_000, "read.rejected": 10, "validate.rejected": 2,
    "read.rejected.invalid_json": 10, progress.PLANNED_UNITS: 40, progress.READ_UNITS: 3,
}  # fmt: skip
RUN = """
import sys, time
import holded_pipeline as hp
import apache_beam as beam

def slow(event):
    time.sleep(0.01)
    return event

endpoint, bucket, access_key, secret_key = sys.argv[1:]
lake = hp.MinIO(endpoint, bucket=bucket, access_key=access_key, secret_key=secret_key)
p = beam.Pipeline(runner="FnApiRunner")
raw = p | hp.ReadMinIO(lake, "raw/", unit_objects=1)
_ = raw.passed | beam.Map(slow)
_ = raw.rejected | hp.WriteRejected(lake, "rejected/")
hp.run(p, progress=None)
"""


def test_without_stderr_nothing_is_shown(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr", None)
    with show_progress(lambda: COUNTS, True, unseen="listing"):
        pass
    assert capsys.readouterr().out == ""


def test_the_figures_are_those_of_the_counts():
    text = Figures.of(COUNTS, 10.0).text()
    assert text == "12,000 records (1,200/s), 4.1 MB, 12 rejected, 3 of 40 units"


def test_units_that_were_read_again_are_not_more_than_all():
    assert Figures.of(COUNTS | {progress.READ_UNITS: 50}, 10.0).units == 40


def lines_of(capsys, monkeypatch, shown, counts, waits):
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.01 if waits else 60.0)
    seen = []

    def count():
        seen.append(None)
        return counts

    with show_progress(count, shown, unseen="workers elsewhere"):
        while waits and len(seen) < 3:
            pass
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("shown", [None, True])
def test_without_a_terminal_there_is_a_line_from_time_to_time(capsys, monkeypatch, shown):
    lines = lines_of(capsys, monkeypatch, shown, COUNTS, waits=True)
    assert len(lines) >= 2
    assert all(re.fullmatch(r"\d+ s: 12,000 records \(.*/s\), 4.1 MB, 12 rejected, 3 of 40 units", x) for x in lines)


def test_counts_that_cannot_be_seen_are_explained(capsys, monkeypatch):
    assert lines_of(capsys, monkeypatch, None, {}, waits=True)[0] == "0 s: workers elsewhere"


@pytest.mark.parametrize(("shown", "number"), [(None, 0), (True, 1), (False, 0)])
def test_a_short_run_has_a_line_only_if_it_was_asked_for(capsys, monkeypatch, shown, number):
    assert len(lines_of(capsys, monkeypatch, shown, COUNTS, waits=False)) == number


@pytest.fixture
def start(lake, tmp_path):
    """`start(stderr)`: a run in a process of its own, and the file of its stdout."""
    for number in range(4):
        lines = testing.sample_lines(testing.sample_events(25, seed=number))
        lake.filesystem().pipe(f"{lake.bucket}/raw/{number}.jsonl", lines)
    script, out = tmp_path / "script.py", tmp_path / "stdout"
    script.write_text(RUN)

    def run(stderr):
        words = [script, lake.endpoint, lake.bucket, lake.access_key, lake.secret_key.reveal()]
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
        return Program(words, (out, stderr), env=environment), out

    return run


def test_on_a_terminal_a_bar_shows_records_and_units(start):
    master, slave = pty.openpty()
    process, _ = start(Path(os.ttyname(slave)))
    drawn = b""
    while process.poll() is None or select.select([master], [], [], 0)[0]:
        if select.select([master], [], [], 0.05)[0]:
            drawn += os.read(master, 4_096)
    os.close(slave)
    os.close(master)
    assert process.wait(120) == 0, drawn
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn.decode())
    last = text.rstrip().splitlines()[-1]
    assert "100 records (" in last, text
    assert "4 of 4 units" in last
    assert len({line for line in re.split(r"[\r\n]", text) if " units" in line}) > 1  # it moved


def test_without_a_terminal_a_short_run_says_nothing(start, tmp_path):
    process, out = start(tmp_path / "stderr")
    assert process.wait(120) == 0
    assert out.read_text() == (tmp_path / "stderr").read_text() == ""
