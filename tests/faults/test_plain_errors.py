"""The main example ends with one line that says what is wrong, an exit code, and no traceback."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from preloaded import Program

import holded_pipeline as hp

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "ingest_to_postgres.py"


@pytest.fixture
def main(monkeypatch, capsys):
    """Runs the example in this process: its exit code, everything printed, and the last line of it."""
    monkeypatch.syspath_prepend(ROOT / "examples")
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    spec = importlib.util.spec_from_file_location("ingest_to_postgres", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run_example(*flags):
        code = module.main([str(flag) for flag in flags])
        printed = capsys.readouterr()
        return code, printed.out + printed.err, printed.err.splitlines()[-1]

    return run_example


@pytest.fixture
def arguments(stack, lake, db, monkeypatch, tmp_path):
    """The arguments of a run that would succeed, by name."""
    monkeypatch.setenv("MINIO_SECRET_KEY", lake.secret_key.reveal())
    monkeypatch.setenv("PGPASSWORD", db.password.reveal())
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", hp.testing.sample_lines(hp.testing.sample_events(10)))
    for name, text in (("broken", "{"), ("useless", '{"type": "nothing"}'), ("afar", '{"$ref": "https://x.test/y"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "s.json").write_text(text)
    (tmp_path / "file").write_text("not a directory")
    return {
        "minio": lake.endpoint, "bucket": lake.bucket, "access-key": lake.access_key, "postgres": db.url,
        "subject": "s", "patience": 1,
    }  # fmt: skip


def flags(settings):
    return [part for name, value in settings.items() for part in (f"--{name}", value)]


WRONG = {
    "bucket": ({"bucket": "nowhere"}, "NoSuchBucket; create the bucket, or name one that there is: "),
    "bucket, storing samples": ({"bucket": "nowhere", "samples": 10}, "bucket"),
    "access key": ({"access-key": "nobody"}, "InvalidAccessKeyId; check access_key"),
    "access key, storing samples": ({"access-key": "nobody", "samples": 10}, "access key"),
    "store": ({"minio": "http://127.0.0.1:1"}, "object store http://127.0.0.1:1 did not answer"),
    "store, storing samples": ({"minio": "http://127.0.0.1:1", "samples": 10}, "http://127.0.0.1:1"),
    "endpoint": ({"minio": "127.0.0.1:1"}, "must be a URL such as http://localhost:9000"),
    "database": ({"postgres": "{}_not"}, "does not exist"),
    "database url": ({"postgres": "mysql://a/b"}, "postgresql:// URL is needed"),
    "registry": ({"registry": "http://127.0.0.1:1"}, "schema registry http://127.0.0.1:1 did not answer"),
    "an endpoint that is not a registry": ({"registry": "{store}"}, "rejected these credentials (HTTP 403)"),
    "schemas": ({"schemas": "{tmp}/nowhere"}, "does not exist"),
    "a file for schemas": ({"schemas": "{tmp}/file"}, "file"),
    "a schema that is not JSON": ({"schemas": "{tmp}/broken"}, "s.json"),
    "a schema that does not compile": ({"schemas": "{tmp}/useless"}, "not valid JSON Schema"),
    "a reference that cannot be resolved": ({"schemas": "{tmp}/afar"}, "https://x.test/y"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_argument_is_reported_in_one_line(main, arguments, tmp_path, what):
    changes, words = WRONG[what]
    for name, value in changes.items():
        given = str(value).replace("{tmp}", str(tmp_path)).replace("{store}", arguments["minio"])
        arguments[name] = given.replace("{}", arguments["postgres"])
    code, printed, last = main(*flags(arguments))
    assert (code, last.startswith("error: "), words in last) == (1, True, True), printed
    assert "Traceback" not in printed
    assert os.environ["MINIO_SECRET_KEY"] not in printed


@pytest.mark.parametrize("number", ["inf", "nan", "-1", "0", "1e999", "soon", ""])
def test_a_deadline_that_is_no_number_is_reported_in_one_line(main, arguments, capsys, number):
    arguments["patience"] = number
    with pytest.raises(SystemExit) as ended:
        main(*flags(arguments))
    last = capsys.readouterr().err.splitlines()[-1]
    assert (ended.value.code, f"argument --patience: must be a number more than 0, got {number!r}" in last) == (2, True)


def test_a_denied_login_is_reported_in_one_line(main, arguments, db, monkeypatch):
    name = "barred_" + db.url.rpartition("_")[2]
    with db.engine(poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text(f"CREATE ROLE {name} LOGIN PASSWORD 'another'"))
    monkeypatch.setenv("PGPASSWORD", "hunter2hunter2")
    arguments["postgres"] = arguments["postgres"].replace("holded@", f"{name}@")
    code, printed, last = main(*flags(arguments))
    assert (code, "password authentication failed" in last, "check url and password" in last) == (1, True, True), (
        printed
    )
    assert "Traceback" not in printed
    assert "hunter2" not in printed


def test_ctrl_c_ends_with_one_line(arguments, tmp_path):
    arguments["patience"] = 60
    arguments["minio"] = "http://127.0.0.1:1"  # so that it waits
    out, err = tmp_path / "out", tmp_path / "err"
    out.touch()
    err.touch()
    process = Program([EXAMPLE, *flags(arguments)], (out, err))
    while "does not answer" not in err.read_text() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130, err.read_text()
    assert err.read_text().splitlines()[-1] == "interrupted"
    assert "Traceback" not in out.read_text() + err.read_text()
