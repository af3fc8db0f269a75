"""The example of Beam's DataFrames, which needs a pandas."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "dataframe_totals.py"


def test_its_totals_are_those_of_the_sample_in_a_second_run_too(tmp_path):
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, EXAMPLE, "--keep", tmp_path / "kept"],
            capture_output=True,
            text=True,
            check=False,
            timeout=170,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("day=") == 6
        assert "company_id=company-1  day=2026-01-10  sales=2  amount=12.00" in done.stdout
        assert "2026-01.jsonl:12  validate: schema_violation" in done.stdout
