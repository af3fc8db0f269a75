"""The example of a run on Dask, as a user runs it, and what is said without Dask."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from preloaded import run_script

import holded_pipeline as hp

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "ingest_on_dask.py"


def test_the_example_accounts_for_every_record(tmp_path):
    arguments = ("--workers", "1", "--samples", "200", "--unit-bytes", "100000")
    done = run_script(EXAMPLE, *arguments, env=os.environ | {"TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr[-3_000:]
    assert "read 200 = inserted" in done.stdout
    assert "duplicates 0 + rejected 4: yes" in done.stdout
    assert "summaries equal the events: yes" in done.stdout


def test_a_cluster_elsewhere_needs_servers_that_it_can_reach():
    done = run_script(EXAMPLE, "--scheduler", "tcp://127.0.0.1:1")
    assert done.returncode == 2
    assert "--scheduler needs --minio and --postgres" in done.stderr


def test_without_dask_the_extra_is_named(monkeypatch, lake):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(hp.ConfigurationError, match=r"pip install '\.\[dask\]'"):
        hp.run_on_dask(None, print, hp.ReadPlan(lake.bucket, "raw/"))


def test_what_is_no_client_is_named(lake):
    with pytest.raises(TypeError, match=r"client must be a distributed.Client .* got 'tcp://127.0.0.1:1'"):
        hp.run_on_dask("tcp://127.0.0.1:1", print, hp.ReadPlan(lake.bucket, "raw/"))
