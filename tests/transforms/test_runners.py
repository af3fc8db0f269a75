"""The main job on Beam's job service with workers in other processes; and the runner that is rejected."""

from __future__ import annotations

import argparse
import collections
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    PortableOptions,
    SparkRunnerOptions,
    StandardOptions,
)
from beam_processes import local_job_service, worker_pool
from store_contents import documents_below, put_object
from table_contents import rows_of

import holded_pipeline as hp
from holded_pipeline.rejected.rejections import from_document

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "ingest_to_postgres.py"
PAGE = (ROOT / "docs" / "how-to" / "runners.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def job_service(tmp_path_factory):
    """The address of Beam's local job service, which runs jobs on workers that the job names."""
    folder = tmp_path_factory.mktemp("job-service")
    with local_job_service(folder / "log", staging=folder / "staged") as address:
        yield address


@pytest.fixture
def run_example(job_service, lake, db, tmp_path):
    """Runs the main job, unchanged, on external workers with or without the secret key."""

    def run(*, workers_know):
        secret = lake.secret_key.reveal()
        known = {"MINIO_SECRET_KEY": secret} if workers_know else {}
        with worker_pool(tmp_path / "pool.log", **known) as pool:
            return subprocess.run(
                [
                    sys.executable, EXAMPLE, "--minio", lake.endpoint, "--bucket", lake.bucket,
                    "--access-key", lake.access_key, "--postgres", db.url, "--run_id", "portable",
                    "--runner=PortableRunner", f"--job_endpoint={job_service}",
                    "--environment_type=EXTERNAL", f"--environment_config={pool.address}",
                ],
                env=os.environ | {"MINIO_SECRET_KEY": secret},
                capture_output=True, text=True, check=False, timeout=120,
            )  # fmt: skip

    return run


def test_the_main_job_runs_unchanged_on_external_workers(run_example, lake, db):
    samples = hp.testing.sample_events(600, seed=21, faults=0.1, duplicates=0.1, wrapped=0.3)
    for number in range(3):
        part = hp.testing.sample_lines(samples[number::3])
        put_object(lake, f"raw/{number}.jsonl", part)
    done = run_example(workers_know=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert lake.secret_key.reveal() not in done.stdout + done.stderr

    good = [sample for sample in samples if sample.fault is None]
    stored = dict(rows_of(db, "SELECT event_id, data FROM business_events"))
    ((total,),) = rows_of(db, "SELECT sum(total_events) FROM company_analytics")
    assert sorted(stored) == sorted({sample.event_id for sample in good})
    bare = {sample.event_id: sample.document["data"] for sample in good if "data" in sample.document}
    assert {event_id: stored[event_id] for event_id in bare} == bare
    assert total == len({sample.event_id for sample in good})
    assert hp.verify_analytics(db) == []
    rejected = [from_document(document) for document in documents_below(lake, "rejected/")]
    counts = collections.Counter((r.raw, r.stage, None if r.stage == "write" else r.reason) for r in rejected)
    assert counts == collections.Counter((s.line, s.fault.stage, s.fault.reason) for s in samples if s.fault)
    assert {each.run_id for each in rejected} == {"portable"}


def test_workers_without_a_secret_fail_the_run_and_name_it(run_example, lake):
    put_object(lake, "raw/a.jsonl", hp.testing.sample_lines(hp.testing.sample_events(5, seed=1)))
    done = run_example(workers_know=False)
    assert done.returncode == 1
    words = "error: the environment variable MINIO_SECRET_KEY is not set on this machine"
    assert done.stderr.splitlines()[-1].startswith(words)


def test_the_example_passes_on_the_options_of_a_job_server(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLE.parent)
    example = importlib.import_module("ingest_to_postgres")
    _, options = example.parse(["--runner=FlinkRunner", "--checkpointing_interval=1000", "--parallelism=2"])
    passed = options.get_all_options(retain_unknown_options=True, drop_default=True)
    assert (str(passed["checkpointing_interval"]), passed["parallelism"]) == ("1000", 2)


def test_the_page_names_options_and_versions_of_flink_that_beam_takes():
    section = PAGE.partition("## Flink\n")[2].partition("## Dataflow")[0]
    kinds = FlinkRunnerOptions, SparkRunnerOptions, PortableOptions, StandardOptions
    parser = argparse.ArgumentParser()
    for kind in kinds:
        kind._add_argparse_args(parser)
    named = set(re.findall(r"--(?!service_port|worker_pool)[a-z]+_[a-z_]+", section))
    assert len(named) > 8
    assert named <= set(parser._option_string_actions)
    assert ", ".join(FlinkRunnerOptions.PUBLISHED_FLINK_VERSIONS).replace(", 2.2", " and 2.2") in section


class DaskRunner(beam.runners.PipelineRunner):
    """Has the name of Beam's own, whose package is not installed here."""


class Derived(DaskRunner):
    """A subclass with another name."""


def apply_reading(pipeline, lake, db):
    return pipeline | hp.ReadMinIO(lake, "raw/")


def apply_writing(pipeline, lake, db):
    return pipeline | beam.Create([]) | hp.WritePostgres(db)


def apply_rejecting(pipeline, lake, db):
    return pipeline | beam.Create([]) | hp.WriteRejected(lake, "rejected/")


@pytest.mark.parametrize("apply", [apply_reading, apply_writing, apply_rejecting])
@pytest.mark.parametrize("runner", [DaskRunner(), Derived()], ids=["named", "derived"])
def test_each_transform_rejects_a_runner_that_loses_records_and_names_another(apply, runner):
    lake = hp.MinIO("http://127.0.0.1:1", bucket="b", access_key="a", secret_key="s")
    db = hp.Postgres("postgresql://a@127.0.0.1:1/b")
    with pytest.raises(hp.ConfigurationError, match='loses the rejected records.*use runner="FnApiRunner"') as caught:
        apply(beam.Pipeline(runner=runner), lake, db)
    reasons = ("runs only the last", "tags and timestamps", "finish_bundle")
    assert [reason for reason in reasons if reason not in str(caught.value) or reason not in PAGE] == []
