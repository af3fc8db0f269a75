"""The main job on the servers that the environment names leaves what it leaves on the embedded ones."""

from __future__ import annotations

import collections

import pytest
from main_job import SCHEMAS, Place

import holded_pipeline as hp


@pytest.fixture(scope="module")
def embedded():
    with hp.local.stack() as stack:
        yield Place(stack.minio, stack.postgres)


def test_the_main_job_leaves_the_same_on_these_servers_and_on_the_embedded_ones(embedded, new_place, registry):
    samples = hp.testing.sample_events(2_000, seed=31, faults=0.1, duplicates=0.1, wrapped=0.3)
    registry.register_directory(SCHEMAS)
    real = new_place()
    subject = ["--registry", registry.url, "--subject", registry.subject("{type}")]
    for place, arguments in ((embedded, []), (real, subject)):
        place.store(samples, objects=5)
        done = place.run(*arguments)
        assert done.returncode == 0, done.stderr[-3000:]
    ours, theirs = real.outcome(), embedded.outcome()
    good = [sample for sample in samples if sample.fault is None]
    assert [row[0] for row in ours.rows] == sorted({sample.event_id for sample in good})
    assert ours == theirs
    told = collections.Counter(stage for _, stage, *_ in ours.rejected)
    assert told == collections.Counter(sample.fault.stage for sample in samples if sample.fault)
    assert hp.verify_analytics(real.db) == []

    again = real.run(*subject)
    assert again.returncode == 0, again.stderr[-3000:]
    assert real.outcome().rows == ours.rows
    assert real.outcome().companies == ours.companies
    assert hp.verify_analytics(real.db) == []


def test_the_main_job_says_in_one_line_what_the_store_refuses(new_place):
    place = new_place()
    environment = place.environment() | {"MINIO_SECRET_KEY": "hunter2hunter2"}
    done = place.run(environment=environment)
    assert done.returncode == 1
    assert "SignatureDoesNotMatch; check secret_key" in done.stderr.splitlines()[-1]
    assert "hunter2" not in done.stdout + done.stderr
