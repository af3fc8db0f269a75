"""The whole flow: every record is a row, a duplicate or a rejection, by its id and not only by number."""

from __future__ import annotations

import collections
import gzip
import importlib.util
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from preloaded import run_script
from store_contents import documents_below, put_object
from table_contents import rows_of

import holded_pipeline as hp
from holded_pipeline.rejected.rejections import from_document

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


def stored_ids(db):
    return sorted(event_id for (event_id,) in rows_of(db, "SELECT event_id FROM business_events"))


def test_every_record_is_accounted_for_by_its_id(run, lake, bare_db):
    db = bare_db  # the run makes the tables
    samples = hp.testing.sample_events(2_000, seed=11, faults=0.1, duplicates=0.1, wrapped=0.3)
    half = len(samples) // 2
    put_object(lake, "raw/a.jsonl", hp.testing.sample_lines(samples[:half]))
    put_object(lake, "raw/b.jsonl.gz", gzip.compress(hp.testing.sample_lines(samples[half:])))
    ran = run(lambda pipeline: flow(pipeline, lake, db))

    good = [sample for sample in samples if sample.fault is None]
    assert stored_ids(db) == sorted({sample.event_id for sample in good})
    rejected_records = [from_document(document) for document in documents_below(lake, "rejected/")]
    assert sorted(rejected.raw for rejected in rejected_records) == sorted(s.line for s in samples if s.fault)
    passed_store = collections.Counter(document["id"] for document in documents_below(lake, "enriched/"))
    faulty_in_write = [s.event_id for s in samples if s.fault and s.fault.stage == "write"]
    assert passed_store == collections.Counter([*(s.event_id for s in good), *faulty_in_write])

    inserted = sum(receipt.inserted for receipt in ran["receipts"])
    duplicates = sum(receipt.duplicates for receipt in ran["receipts"])
    assert ran.counters["read.records"] == len(samples) == inserted + duplicates + len(rejected_records)
    assert duplicates == len(good) - len(set(stored_ids(db)))
    assert hp.verify_analytics(db) == []

    again = run(lambda pipeline: flow(pipeline, lake, db))
    assert sum(receipt.inserted for receipt in again["receipts"]) == 0
    assert sum(receipt.duplicates for receipt in again["receipts"]) == len(good)
    assert hp.verify_analytics(db) == []


def test_concurrent_pipelines_over_one_prefix_into_one_database(run, lake, db):
    samples = hp.testing.sample_events(600, seed=13, faults=0.1)
    put_object(lake, "raw/a.jsonl", hp.testing.sample_lines(samples))
    with ThreadPoolExecutor(3) as pool:
        runs = list(pool.map(lambda _: run(lambda pipeline: flow(pipeline, lake, db)), range(3)))
    good = {sample.event_id for sample in samples if sample.fault is None}
    assert stored_ids(db) == sorted(good)
    receipts = [receipt for each in runs for receipt in each["receipts"]]
    assert sum(receipt.inserted for receipt in receipts) == len(good)
    assert sum(receipt.duplicates for receipt in receipts) == 2 * len(good)
    assert len(documents_below(lake, "rejected/")) == 3 * (len(samples) - len(good))
    assert hp.verify_analytics(db) == []


def test_the_json_stored_equals_the_json_sent(run, lake, db):
    samples = hp.testing.sample_events(300, seed=12)
    put_object(lake, "raw/a.jsonl", hp.testing.sample_lines(samples))
    run(lambda pipeline: flow(pipeline, lake, db))
    stored = dict(rows_of(db, "SELECT event_id, data FROM business_events"))
    assert stored == {sample.event_id: sample.document["data"] for sample in samples}


def test_the_bytes_stored_are_those_that_were_sent(run, lake, db):
    data = b'{ "id" : "d\\u00e91\\/", "amount":1.50, "n":%d, "f":0.1234567890123456789, "t":"a\\tb\\\\N" }' % 10**30
    line = hp.testing.sample_events(1, seed=12)[0].document
    headers = hp.model.json_codec.encode(line["headers"] if "headers" in line else line["attributes"])
    put_object(lake, "raw/a.jsonl", b'{"data":%b,"headers":%b}\n' % (data, headers))

    def store_and_load(pipeline):
        enriched = (pipeline | hp.ReadMinIO(lake, "raw/")).passed | hp.Enrich("processing", "quality")
        _ = enriched.passed | hp.WriteMinIO(lake, "enriched/", compression=None)
        return {"receipts": (enriched.passed | hp.WritePostgres(db)).passed}

    assert [receipt.inserted for receipt in run(store_and_load)["receipts"]] == [1]
    filesystem = lake.filesystem()
    (stored,) = (filesystem.cat_file(key) for key in filesystem.find(f"{lake.bucket}/enriched"))
    assert data in stored
    columns = "data->>'id', data->>'amount', data->>'n', data->>'f', data->>'t'"
    ((*values,),) = rows_of(db, f"SELECT {columns} FROM business_events")
    assert values == ["dé1/", "1.50", str(10**30), "0.1234567890123456789", "a\tb\\N"]


def example(*arguments, **options):
    return run_script(ROOT / "examples" / "ingest_to_postgres.py", *arguments, **options)


@pytest.fixture
def main(monkeypatch, capsys):
    """The example in this process: `main(*arguments)` gives its exit code, what it printed, and its last words."""
    monkeypatch.syspath_prepend(ROOT / "examples")
    monkeypatch.setenv("MINIO_SECRET_KEY", "hunter2hunter2")
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    spec = importlib.util.spec_from_file_location("ingest_to_postgres", ROOT / "examples" / "ingest_to_postgres.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run_it(*arguments):
        try:
            code = module.main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        printed = capsys.readouterr()
        return code, printed.out + printed.err, printed.err.splitlines()[-1]

    run_it.module = module
    return run_it


def figures(report):
    return {
        name.strip(): int(number.replace(",", ""))
        for name, number in re.findall(r"^(\S[^:\n]*?) {2,}([\d,]+)$", report, re.MULTILINE)
    }


def test_the_example_counts_every_record_and_finds_only_duplicates_on_rerun(main, tmp_path):
    first = example("--samples", 500, "--keep", tmp_path / "kept")
    assert first.returncode == 0, first.stderr
    counts = figures(first.stdout)
    assert counts["read"] == 500
    assert (counts["inserted"], counts["duplicates"], counts["rejected"]) == (490, 0, 10)
    code, printed, _ = main("--samples", 500, "--keep", tmp_path / "kept")
    counts = figures(printed)
    assert (counts["read"], counts["inserted"], counts["duplicates"], counts["rejected"]) == (500, 0, 490, 10)
    assert code == 0

    samples = hp.testing.sample_events(500, seed=7, faults=0.02)
    with hp.local.stack(tmp_path / "kept") as stack:
        assert stored_ids(stack.postgres) == sorted(s.event_id for s in samples if s.fault is None)
        rejected_records = {from_document(document).raw for document in documents_below(stack.minio, "rejected/")}
        assert rejected_records == {sample.line for sample in samples if sample.fault}


def test_the_example_runs_on_given_servers(stack, lake, db):
    samples = hp.testing.sample_events(200, seed=1)
    put_object(lake, "incoming/a.jsonl", hp.testing.sample_lines(samples))
    done = example(
        "--minio", lake.endpoint, "--bucket", lake.bucket, "--access-key", lake.access_key, "--postgres", db.url,
        "--input", "incoming/", "--schemas", SCHEMAS, "--subject", "holded-events-value", "--run_id", "r1",
        env={"MINIO_SECRET_KEY": lake.secret_key.reveal(), "PGPASSWORD": db.password.reveal(), "PATH": ""},
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
        (["--schemas", "a", "--registry", "b"], "exclude each other"),
        (["--runner", "DaskRunner"], "DaskRunner loses branches"),
        (["--samples", "-1"], "must not be negative"),
    ],
)
def test_the_example_reports_a_wrong_argument_in_one_line(main, monkeypatch, arguments, words):
    monkeypatch.delenv("MINIO_SECRET_KEY")
    code, _, last_words = main(*arguments)
    assert (code, words in last_words) == (2, True)


def test_a_wrong_argument_ends_the_process_in_one_line():
    done = example("--bogus", env={"PATH": ""})
    assert done.returncode == 2
    assert "neither this example nor Beam knows --bogus" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--minio", "http://127.0.0.1:1"], "object store http://127.0.0.1:1 did not answer"),
        (["--postgres", "postgresql://a@127.0.0.1:1/b"], "PostgreSQL 127.0.0.1:1/b did not answer"),
        (["--registry", "http://127.0.0.1:1"], "schema registry http://127.0.0.1:1 did not answer"),
        (["--schemas", "/nowhere"], "the schema directory /nowhere does not exist"),
    ],
    ids=["store", "database", "registry", "directory"],
)
def test_the_example_reports_in_one_line_which_server_did_not_answer(main, monkeypatch, lake, db, arguments, words):
    put_object(lake, "raw/a.jsonl", hp.testing.sample_lines(hp.testing.sample_events(10)))
    monkeypatch.setenv("MINIO_SECRET_KEY", secret := lake.secret_key.reveal())
    present = ["--minio", lake.endpoint, "--bucket", lake.bucket, "--access-key", lake.access_key, "--postgres", db.url]
    code, printed, last_words = main(*present, "--patience", "1", *arguments)
    assert code == 1
    assert last_words.startswith("error: ")
    assert words in last_words
    assert "Traceback" not in printed
    assert secret not in printed


def test_the_default_is_twenty_thousand_events_of_which_two_percent_are_faulty(main):
    arguments, _ = main.module.parse([])
    assert (arguments.samples, main.module.FAULTY) == (20_000, 0.02)
