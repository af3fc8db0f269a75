"""The example of the standard flow, as a user runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "only_what_is_new.py"


def test_the_second_run_takes_nothing_and_the_third_what_is_new(tmp_path):
    page = tmp_path / "run.html"
    done = subprocess.run(
        [sys.executable, EXAMPLE, "--events", "60", "--page", page],
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^(\w+) +read +(\d+)", done.stdout, re.MULTILINE) == [
        ("first", "60"), ("second", "0"), ("third", "30")
    ]  # fmt: skip
    assert done.stdout.count("succeeded") == 3
    assert "<html" in page.read_text()
    assert "apitools" not in done.stderr
