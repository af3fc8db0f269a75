"""Enrichers that live in a notebook's or script's `__main__`, on workers that are other processes."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import preloaded
import pytest
import sqlalchemy as sa
from beam_programs import job_service, pool_of_threads
from plain_path import needs_plain_path

import holded_pipeline as hp

SCRIPT = textwrap.dedent(
    """
    import json, os, sys
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    import holded_pipeline as hp

    FACTOR = 3

    def tripled(event):
        return {"fields": len(event.data) * FACTOR, "process": os.getpid()}

    class Counting:
        name, version = "counting", "7.1"

        def __init__(self, start):
            self.start = start

        def __enter__(self):
            self.seen = self.start
            return self

        def __exit__(self, *error):
            self.seen = None

        def __call__(self, event):
            self.seen += 1
            return {"seen": self.seen}

    class Together:
        name = "together"

        def enrich_batch(self, events):
            return [{"of": len(events)} for _ in events]

    def failing(event):
        raise LookupError("no such thing")

    if __name__ == "__main__":
        at = json.loads(sys.argv[1])
        lake = hp.MinIO(at["endpoint"], bucket=at["bucket"], access_key=at["key"], secret_key=at["secret"])
        db = hp.Postgres(at["db"])
        options = PipelineOptions(at["options"])
        with beam.Pipeline(options=options) as p:
            raw = p | hp.ReadMinIO(lake, "raw/")
            enriched = raw.passed | hp.Enrich("processing", tripled, Counting(1000), Together())
            loaded = enriched.passed | hp.WritePostgres(db)
            (raw.rejected, enriched.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
        print("main:", os.getpid())
        if at["failing"]:
            try:
                with beam.Pipeline(options=PipelineOptions(at["options"])) as p:
                    raw = p | hp.ReadMinIO(lake, "raw/")
                    raw.passed | hp.Enrich(hp.Enricher("failing", failing, version="0.9", on_error="fail"))
            except Exception as error:
                print("failed:", error)
    """
)


@contextmanager
def portable_runner(tmp_path: Path) -> Iterator[list[str]]:
    """A job server and a pool of workers, each in a process of its own."""
    with job_service(tmp_path) as jobs, pool_of_threads(tmp_path) as pool:
        yield [
            "--runner=PortableRunner",
            f"--job_endpoint={jobs}",
            "--environment_type=EXTERNAL",
            f"--environment_config={pool}",
        ]


@contextmanager
def worker_processes(tmp_path: Path) -> Iterator[list[str]]:
    yield ["--runner=FnApiRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=1"]


def run_script(tmp_path, lake, db, options, *, failing):
    script = tmp_path / "notebook.py"
    script.write_text(SCRIPT)
    at = {
        "endpoint": lake.endpoint,
        "bucket": lake.bucket,
        "key": lake.access_key,
        "secret": lake.secret_key.reveal(),
        "db": db.url,
        "options": options,
        "failing": failing,
    }
    done = preloaded.run_script(script, json.dumps(at), env=os.environ | {"TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.mark.parametrize("runner", [pytest.param(worker_processes, marks=needs_plain_path), portable_runner])
def test_functions_and_objects_of_main_enrich_rows_on_other_processes(tmp_path, lake, db, runner):
    samples = hp.testing.sample_events(40, seed=3)
    lake.filesystem().pipe(f"{lake.bucket}/raw/events.jsonl", hp.testing.sample_lines(samples))
    with runner(tmp_path) as options:
        output = run_script(tmp_path, lake, db, options, failing=runner is portable_runner)
    with db.engine().connect() as connection:
        rows = connection.execute(sa.text("SELECT data, metadata FROM business_events")).all()
    assert len(rows) == len({sample.event_id for sample in samples}) > 0
    main = int(output.split("main:")[1].split()[0])
    for data, metadata in rows:
        assert metadata["tripled"]["fields"] == len(data) * 3
        assert metadata["tripled"]["process"] != main
        assert metadata["counting"]["seen"] > 1000
        assert metadata["together"]["of"] > 0
        assert metadata["enrichers"]["counting"] == {"version": "7.1", "status": "ok"}
        assert set(metadata["enrichers"]) == {"processing", "tripled", "counting", "together"}
    if runner is portable_runner:  # where an exception comes back as text only
        assert "the enricher failing 0.9, called for event" in output
        assert "LookupError: no such thing" in output
