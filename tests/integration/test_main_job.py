"""The main job on the servers that environment variables name, compared with the embedded servers."""

from __future__ import annotations

import collections

import pytest
from main_job import SCHEMAS, JobServers

import holded_pipeline as hp


@pytest.fixture(scope="module")
def embedded():
    with hp.local.stack() as stack:
        yield JobServers(stack.minio, stack.postgres)


def test_the_main_job_has_the_same_results_as_on_embedded_servers(embedded, new_job_servers, registry):
    samples = hp.testing.sample_events(1_000, seed=31, faults=0.1, duplicates=0.1, wrapped=0.3)
    registry.register_directory(SCHEMAS)
    real = new_job_servers()
    subject = ["--registry", registry.url, "--subject", registry.subject("{type}")]
    for servers, arguments in ((embedded, []), (real, subject)):
        servers.store(samples, objects=5)
        done = servers.run(*arguments)
        assert done.returncode == 0, done.stderr[-3000:]
    ours, theirs = real.results(), embedded.results()
    good = [sample for sample in samples if sample.fault is None]
    assert [row[0] for row in ours.rows] == sorted({sample.event_id for sample in good})
    assert ours == theirs
    counts = collections.Counter(stage for _, stage, *_ in ours.rejected)
    assert counts == collections.Counter(sample.fault.stage for sample in samples if sample.fault)
    assert hp.verify_analytics(real.db) == []

    again = real.run(*subject)
    assert again.returncode == 0, again.stderr[-3000:]
    assert real.results().rows == ours.rows
    assert real.results().companies == ours.companies
    assert hp.verify_analytics(real.db) == []


def test_the_main_job_reports_a_rejected_secret_key_in_one_line(new_job_servers):
    servers = new_job_servers()
    environment = servers.environment() | {"MINIO_SECRET_KEY": "hunter2hunter2"}
    done = servers.run(environment=environment)
    assert done.returncode == 1
    assert "SignatureDoesNotMatch; check secret_key" in done.stderr.splitlines()[-1]
    assert "hunter2" not in done.stdout + done.stderr
