"""A whole pipeline ended by kill -9, and run again. `benchmarks/kill_loop.py --kills 200` kills it more often."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_a_pipeline_killed_at_random_moments_loses_and_doubles_nothing():
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "kill_loop.py", "--kills", "3", "--seed", "11"],
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    lines = re.findall(r"^(.*?) {2,}([\d,]+)$", done.stdout, re.MULTILINE)
    figures = {name: int(number.replace(",", "")) for name, number in lines}
    assert done.returncode == 0, done.stdout + done.stderr[-2_000:]
    assert figures["kills tried"] == 3
    assert figures["kills that hit a running pipeline"] >= 1
    for nothing in ("lost", "doubled", "summaries that are wrong", "tables that one more run changed"):
        assert figures[nothing] == 0
