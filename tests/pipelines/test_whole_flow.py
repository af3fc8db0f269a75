"""The whole flow: every record is a row, a duplicate or a rejection, by its id and not only by number."""

from __future__ import annotations

import collections
import gzip
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

import holded_pipeline as hp
from holded_pipeline.core.rejections import from_document

ROOT = Path(__file__).parent.parent.parent
SCHEMAS = ROOT / "examples" / "schemas"


def flow(pipeline, lake, db, prefix="raw/"):
    raw = pipeline | hp.ReadMinIO(lake, prefix, unit_bytes=200_000)
    checked = raw.passed | hp.ValidateSchema(hp.SchemaDirectory(SCHEMAS), subject="{type}")
    enriched = checked.passed | hp.Enrich("processing", "business_context", "quality")
    stored = enriched.passed | hp.WriteMinIO(lake, "enriched/")
    loaded = enriched.passed | hp.WritePostgres(db)
    rejected = (raw.rejected, checked.rejected, enriched.rejected, loaded.rejected) | hp.WriteRejected(
        lake, "rejected/"
    )
    return {"stored": stored, "receipts": loaded.passed, "rejected": rejected}


def lines_below(lake, prefix):
    filesystem = lake.filesystem()
    return [
        json.loads(line)
        for path in filesystem.find(f"{lake.bucket}/{prefix}")
        for line in gzip.decompress(filesystem.cat(path)).splitlines()
    ]


def stored_ids(db):
    with db.engine().connect() as connection:
        return sorted(connection.execute(sa.text("SELECT event_id FROM business_events")).scalars())


def test_every_record_is_accounted_for_by_its_id(run, lake, db):
    samples = hp.testing.sample_events(2_000, seed=11, faults=0.1, duplicates=0.1, wrapped=0.3)
    half = len(samples) // 2
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", hp.testing.sample_lines(samples[:half]))
    lake.filesystem().pipe(f"{lake.bucket}/raw/b.jsonl.gz", gzip.compress(hp.testing.sample_lines(samples[half:])))
    ran = run(lambda pipeline: flow(pipeline, lake, db))

    good = [sample for sample in samples if sample.fault is None]
    assert stored_ids(db) == sorted({sample.event_id for sample in good})
    refused = [from_document(document) for document in lines_below(lake, "rejected/")]
    assert sorted(rejected.raw for rejected in refused) == sorted(s.line for s in samples if s.fault)
    passed_store = collections.Counter(document["id"] for document in lines_below(lake, "enriched/"))
    faulty_in_write = [s.event_id for s in samples if s.fault and s.fault.stage == "write"]
    assert passed_store == collections.Counter([*(s.event_id for s in good), *faulty_in_write])

    inserted = sum(receipt.inserted for receipt in ran["receipts"])
    duplicates = sum(receipt.duplicates for receipt in ran["receipts"])
    assert ran.counters["read.records"] == len(samples) == inserted + duplicates + len(refused)
    assert duplicates == len(good) - len(set(stored_ids(db)))
    assert hp.verify_analytics(db) == []

    again = run(lambda pipeline: flow(pipeline, lake, db))
    assert sum(receipt.inserted for receipt in again["receipts"]) == 0
    assert sum(receipt.duplicates for receipt in again["receipts"]) == len(good)
    assert hp.verify_analytics(db) == []


def test_the_json_stored_equals_the_json_sent(run, lake, db):
    samples = hp.testing.sample_events(300, seed=12)
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", hp.testing.sample_lines(samples))
    run(lambda pipeline: flow(pipeline, lake, db))
    with db.engine().connect() as connection:
        stored = dict(tuple(row) for row in connection.execute(sa.text("SELECT event_id, data FROM business_events")))
    assert stored == {sample.event_id: sample.document["data"] for sample in samples}


def example(*arguments, name="ingest_to_postgres.py", timeout=170, **options):
    return subprocess.run(
        [sys.executable, ROOT / "examples" / name, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        **options,
    )


def figures(report):
    return {
        name.strip(): int(number.replace(",", ""))
        for name, number in re.findall(r"^(\S[^:\n]*?) {2,}([\d,]+)$", report, re.MULTILINE)
    }


def test_the_example_accounts_for_every_record_and_finds_only_duplicates_the_second_time(tmp_path):
    first = example("--samples", 1_000, "--keep", tmp_path / "kept")
    assert first.returncode == 0, first.stderr
    counts = figures(first.stdout)
    assert counts["read"] == 1_000
    assert (counts["inserted"], counts["duplicates"], counts["rejected"]) == (980, 0, 20)
    second = example("--samples", 1_000, "--keep", tmp_path / "kept")
    counts = figures(second.stdout)
    assert (counts["read"], counts["inserted"], counts["duplicates"], counts["rejected"]) == (1_000, 0, 980, 20)
    assert second.returncode == 0, second.stderr

    samples = hp.testing.sample_events(1_000, seed=7, faults=0.02)
    with hp.local.stack(tmp_path / "kept") as stack:
        assert stored_ids(stack.postgres) == sorted(s.event_id for s in samples if s.fault is None)
        refused = {from_document(document).raw for document in lines_below(stack.minio, "rejected/")}
        assert refused == {sample.line for sample in samples if sample.fault}


def test_the_example_runs_on_ones_own_servers(stack, lake, db):
    samples = hp.testing.sample_events(200, seed=1)
    lake.filesystem().pipe(f"{lake.bucket}/incoming/a.jsonl", hp.testing.sample_lines(samples))
    done = example(
        "--minio", lake.endpoint, "--bucket", lake.bucket, "--access-key", lake.access_key, "--postgres", db.url,
        "--input", "incoming/", "--schemas", SCHEMAS, "--subject", "holded-events-value", "--run_id", "r1",
        env={"MINIO_SECRET_KEY": lake.secret_key.reveal(), "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert figures(done.stdout)["inserted"] == 200
    assert stored_ids(db) == sorted(sample.event_id for sample in samples)
    assert "starting local servers" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--minio", "http://127.0.0.1:1"], "--minio needs --access-key"),
        (["--minio", "http://127.0.0.1:1", "--access-key", "a"], "MINIO_SECRET_KEY"),
        (["--bogus"], "neither this example nor Beam knows --bogus"),
        (["--schemas", "a", "--registry", "b"], "exclude each other"),
        (["--runner", "DaskRunner"], "DaskRunner loses branches"),
        (["--samples", "-1"], "must not be negative"),
    ],
)
def test_the_example_says_in_one_line_what_is_wrong_with_an_argument(arguments, words):
    done = example(*arguments, env={"PATH": ""})
    assert done.returncode == 2
    assert words in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--minio", "http://127.0.0.1:1", "--access-key", "a"], "object store http://127.0.0.1:1 did not answer"),
        (["--samples", "10", "--postgres", "postgresql://a@127.0.0.1:1/b"], "PostgreSQL 127.0.0.1:1/b did not answer"),
        (["--samples", "10", "--registry", "http://127.0.0.1:1"], "schema registry http://127.0.0.1:1 did not answer"),
        (["--samples", "10", "--schemas", "/nowhere"], "the schema directory /nowhere does not exist"),
    ],
    ids=["store", "database", "registry", "directory"],
)
def test_the_example_says_in_one_line_which_server_is_absent(arguments, words, tmp_path):
    done = example(*arguments, "--patience", "1", env={"MINIO_SECRET_KEY": "hunter2hunter2", "PATH": ""})
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert words in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_the_examples_default_is_twenty_thousand_events_of_which_two_percent_are_faulty(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    spec = importlib.util.spec_from_file_location("ingest_to_postgres", ROOT / "examples" / "ingest_to_postgres.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    arguments, _ = module.parse([])
    assert (arguments.samples, module.FAULTY) == (20_000, 0.02)
