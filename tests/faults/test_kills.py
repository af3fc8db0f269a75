"""A whole pipeline ended by kill -9, and run again. `benchmarks/kill_loop.py --kills 200` kills it more often."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from types import SimpleNamespace

from preloaded import run_in_process

import holded_pipeline as hp

ROOT = Path(__file__).parent.parent.parent


def test_a_pipeline_killed_at_random_moments_loses_and_doubles_nothing(lake, db, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import kill_loop  # noqa: PLC0415  from the benchmarks

    monkeypatch.setattr(hp.local, "stack", lambda: contextlib.nullcontext(SimpleNamespace(minio=lake, postgres=db)))
    monkeypatch.setattr(kill_loop, "EVENTS", 400)
    run_in_process(os.getpid)  # so that the runs are forked from a process that has imported all
    code = kill_loop.main(["--kills", "3", "--seed", "118"])
    printed = capsys.readouterr().out
    lines = re.findall(r"^(.*?) {2,}([\d,]+)$", printed, re.MULTILINE)
    figures = {name: int(number.replace(",", "")) for name, number in lines}
    assert code == 0, printed
    assert figures["kills tried"] == 3
    assert figures["kills that hit a running pipeline"] >= 1
    for nothing in ("lost", "doubled", "summaries that are wrong", "tables that one more run changed"):
        assert figures[nothing] == 0
