"""The main example says in one line what is wrong, and its exit code says that something is: no traceback."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

import holded_pipeline as hp

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "ingest_to_postgres.py"


@pytest.fixture
def main(monkeypatch, capsys):
    """The example in this process: exit code, everything printed, the last line of it."""
    monkeypatch.syspath_prepend(ROOT / "examples")
    monkeypatch.setattr(logging.getLogger("apache_beam"), "level", logging.CRITICAL)  # put back afterwards
    spec = importlib.util.spec_from_file_location("ingest_to_postgres", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run_it(*arguments):
        code = module.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out + printed.err, printed.err.splitlines()[-1]

    return run_it


@pytest.fixture
def usual(stack, lake, db, monkeypatch, tmp_path):
    """The arguments of a run that would be well, by name."""
    monkeypatch.setenv("MINIO_SECRET_KEY", lake.secret_key.reveal())
    monkeypatch.delenv("PGPASSWORD", raising=False)
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", hp.testing.sample_lines(hp.testing.sample_events(10)))
    for name, text in (("broken", "{"), ("useless", '{"type": "nothing"}'), ("afar", '{"$ref": "https://x.test/y"}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "s.json").write_text(text)
    (tmp_path / "file").write_text("no directory")
    return {
        "minio": lake.endpoint, "bucket": lake.bucket, "access-key": lake.access_key, "postgres": db.url,
        "subject": "s", "patience": 1,
    }  # fmt: skip


def flags(settings):
    return [part for name, value in settings.items() for part in (f"--{name}", value)]


WRONG = {
    "bucket": ({"bucket": "nowhere"}, "NoSuchBucket; create the bucket, or name another one"),
    "bucket, storing samples": ({"bucket": "nowhere", "samples": 10}, "bucket"),
    "access key": ({"access-key": "nobody"}, "InvalidAccessKeyId; check access_key"),
    "access key, storing samples": ({"access-key": "nobody", "samples": 10}, "access key"),
    "store": ({"minio": "http://127.0.0.1:1"}, "object store http://127.0.0.1:1 did not answer"),
    "store, storing samples": ({"minio": "http://127.0.0.1:1", "samples": 10}, "http://127.0.0.1:1"),
    "endpoint": ({"minio": "127.0.0.1:1"}, "must be a URL such as http://localhost:9000"),
    "database": ({"postgres": "{}_not"}, "does not exist"),
    "database url": ({"postgres": "mysql://a/b"}, "postgresql:// URL is needed"),
    "registry": ({"registry": "http://127.0.0.1:1"}, "schema registry http://127.0.0.1:1 did not answer"),
    "registry that is none": ({"registry": "{store}"}, "rejected these credentials (HTTP 403)"),
    "schemas": ({"schemas": "{tmp}/nowhere"}, "does not exist"),
    "a file for schemas": ({"schemas": "{tmp}/file"}, "file"),
    "a schema that is no JSON": ({"schemas": "{tmp}/broken"}, "s.json"),
    "a schema that does not compile": ({"schemas": "{tmp}/useless"}, "no valid schema"),
    "a reference that leads nowhere": ({"schemas": "{tmp}/afar"}, "https://x.test/y"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_in_one_line(main, usual, tmp_path, what):
    changes, words = WRONG[what]
    for name, value in changes.items():
        given = str(value).replace("{tmp}", str(tmp_path)).replace("{store}", usual["minio"])
        usual[name] = given.replace("{}", usual["postgres"])
    code, printed, last = main(*flags(usual))
    assert (code, last.startswith("error: "), words in last) == (1, True, True), printed
    assert "Traceback" not in printed
    assert os.environ["MINIO_SECRET_KEY"] not in printed


@pytest.mark.parametrize("number", ["inf", "nan", "-1", "0", "1e999", "soon", ""])
def test_a_patience_that_is_no_number_of_seconds_is_said_in_one_line(main, usual, capsys, number):
    usual["patience"] = number
    with pytest.raises(SystemExit) as ended:
        main(*flags(usual))
    last = capsys.readouterr().err.splitlines()[-1]
    assert (ended.value.code, f"argument --patience: must be a number more than 0, got {number!r}" in last) == (2, True)


def test_a_wrong_password_is_said_in_one_line(main, usual, db, monkeypatch):
    """Of a server that trusts, as it is used here, nobody is refused; a role that may not log in is."""
    name = "barred_" + db.url.rpartition("_")[2]
    with db.engine(poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text(f"CREATE ROLE {name} NOLOGIN"))
    monkeypatch.setenv("PGPASSWORD", "hunter2hunter2")
    usual["postgres"] = usual["postgres"].replace("holded@", f"{name}@")
    code, printed, last = main(*flags(usual))
    assert (code, "is not permitted to log in" in last, "check url and password" in last) == (1, True, True), printed
    assert "Traceback" not in printed
    assert "hunter2" not in printed


def test_ctrl_c_ends_it_in_one_line(usual):
    usual["patience"] = 60
    usual["minio"] = "http://127.0.0.1:1"  # so that it waits
    process = subprocess.Popen(
        [sys.executable, EXAMPLE, *map(str, flags(usual))], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    said = ""
    while "does not answer" not in said and process.poll() is None:
        said += process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, rest = process.communicate(timeout=60)
    assert process.returncode == 130, said + rest
    assert (said + rest).splitlines()[-1] == "interrupted"
    assert "Traceback" not in out + said + rest
