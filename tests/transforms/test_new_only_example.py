"""The example of the standard flow, as a user runs it."""

from __future__ import annotations

import re
from pathlib import Path

from preloaded import run_script

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "only_what_is_new.py"


def test_the_second_run_takes_nothing_and_the_third_what_is_new(tmp_path):
    page = tmp_path / "run.html"
    done = run_script(EXAMPLE, "--events", 60, "--page", page)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^(\w+) +read +(\d+)", done.stdout, re.MULTILINE) == [
        ("first", "60"), ("second", "0"), ("third", "30")
    ]  # fmt: skip
    assert done.stdout.count("succeeded") == 3
    assert "<html" in page.read_text()
    assert "apitools" not in done.stderr
