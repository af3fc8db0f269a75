"""A plugin's wheel, installed from outside beside this library, changes the rows in PostgreSQL."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
import sqlalchemy as sa

import holded_pipeline as hp
from holded_pipeline.model import json_codec
from holded_pipeline.reading.holded_envelope import holded

ROOT = Path(__file__).parent.parent.parent
# Only contacts have a VAT number, so those are what the job reads.
CONTACTS = [s for s in hp.testing.sample_events(600, seed=3) if b"ContactCreatedEvent" in s.line]


def succeed(*command, **environment):
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of an environment that sees ours, and has the plugin's wheel installed in it alone."""
    folder = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(ROOT / "examples" / "plugin_package", folder / "source")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input")
    succeed(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, source)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", symlinks=True)
    site = next((folder / "venv" / "lib").glob("python3*")) / "site-packages"
    ours = sysconfig.get_path("purelib")
    (site / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    succeed(*pip, "install", "--no-deps", "--no-index", "--target", site, wheel)
    return folder / "venv" / "bin" / "python"


def event_of(sample):
    return holded(json_codec.decode(sample.line), hp.Source("b", "k", "e", 1))


def ingested(python, lake, db, names):
    """The main job's rows: id, what `vat` says, and the quality entry."""
    lake.filesystem().pipe(f"{lake.bucket}/raw/contacts.jsonl", hp.testing.sample_lines(CONTACTS))
    job = (python, "examples/ingest_to_postgres.py", "--minio", lake.endpoint, "--bucket", lake.bucket)
    servers = ("--access-key", lake.access_key, "--postgres", db.url, "--enrichers", names)
    succeed(*job, *servers, MINIO_SECRET_KEY=lake.secret_key.reveal())
    columns = "event_id, metadata->'vat' AS vat, metadata->'quality' AS quality, data_quality_score AS score"
    engine = db.engine()
    with engine.connect() as connection:
        rows = {row.event_id: row for row in connection.execute(sa.text(f"SELECT {columns} FROM business_events"))}
    engine.dispose()
    return rows


def test_a_plugins_wheel_changes_the_rows_by_its_name_alone(python, lake, db):
    rows = ingested(python, lake, db, "processing,business_context,quality,vat")
    assert set(rows) == {sample.event_id for sample in CONTACTS}
    assert {True, False, None} >= {row.vat["valid"] for row in rows.values()} >= {False, None}
    judge = hp.Quality()
    for sample in CONTACTS:
        row, without = rows[sample.event_id], judge(event_of(sample))
        invalid = row.vat["valid"] is False
        assert ("vat.number" in {each["rule"] for each in row.quality["failed"]}) is invalid
        assert row.quality["ruleset"] != without["ruleset"]
        assert float(row.score) == row.quality["score"]
        assert (float(row.score) < without["score"]) is invalid
