"""`up` and `serve` as processes: they accept events, and a signal ends them well."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from preloaded import Program, run_script
from table_contents import rows_of

import holded_pipeline as hp
from holded_pipeline.cli.commands import commands
from holded_pipeline.cli.output import Output
from holded_pipeline.cli.up_command import announce, example_event, flow_over, show_new
from holded_pipeline.cli.way_in import way_in
from holded_pipeline.local.ports import free_ports

COMMAND = ["-m", "holded_pipeline.cli.main"]
DEADLINE = 120.0  # seconds until the test gives up; it waits for no longer than it has to


def post(url: str, body: str) -> str:
    request = urllib.request.Request(f"{url}/collect", body.encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 202
        return json.loads(answer.read())["accepted"][0]["event_id"]


def wait_for_row(db: hp.Postgres, event_id: str) -> None:
    engine = db.engine()
    deadline = time.monotonic() + DEADLINE
    query = sa.text("SELECT count(*) FROM business_events WHERE event_id = :id")
    while True:
        with engine.connect() as connection:
            if connection.execute(query, {"id": event_id}).scalar_one():
                break
        assert time.monotonic() < deadline, "the event did not become a row"
        time.sleep(0.2)
    engine.dispose()


def variables_in(file: str | Path) -> dict[str, str]:
    return dict(line.removeprefix("export ").split("=", 1) for line in Path(file).read_text().splitlines())


def first_line(file: Path, process: Program) -> str:
    deadline = time.monotonic() + DEADLINE
    while not file.exists() or "\n" not in (text := file.read_text()):
        assert process.poll() is None
        assert time.monotonic() < deadline, "nothing was printed"
        time.sleep(0.05)
    return text.partition("\n")[0]


def processes_over(folder: str) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if folder in line]


def test_an_event_that_is_posted_becomes_a_row_and_ctrl_c_leaves_no_process(tmp_path):
    (port,) = free_ports(1)
    command = [*COMMAND, "up", "--json", "--every", "200ms"]
    command += ["--port", str(port), "--keep", str(tmp_path / "data"), "--partition-by", "month"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOLDED_")}
    out, err = tmp_path / "out", tmp_path / "err"
    process = Program(command, (out, err), env=environment)
    try:
        place = json.loads(first_line(out, process))
        event_id = post(place["api"], example_event())
        variables = variables_in(place["environment"])
        db = hp.Postgres(place["database"], password=variables["PGPASSWORD"])
        wait_for_row(db, event_id)
        assert rows_of(db, "SELECT event_id FROM business_event_ids") == [(event_id,)]
        assert stat.S_IMODE(Path(place["environment"]).stat().st_mode) == 0o600
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(DEADLINE)
    printed, words = out.read_text(), err.read_text()
    assert code == 0, words
    assert "Traceback" not in words
    assert sum(json.loads(line)["stored"] for line in printed.splitlines()[1:]) == 1
    assert processes_over(place["folder"]) == []
    assert (tmp_path / "data" / "postgres").is_dir()
    assert place["schemas"] is None
    assert not Path(place["environment"]).exists()
    for name in ("PGPASSWORD", "MINIO_SECRET_KEY"):
        assert variables[name] not in f"{place}{printed}{words}"


def test_serve_stores_what_it_accepted_and_sigterm_ends_it_with_0(make_place):
    place = make_place()
    (port,) = free_ports(1)
    command = [sys.executable, *COMMAND, "serve", "--config", str(place.file)]
    with subprocess.Popen(
        [*command, "--port", str(port)], stderr=subprocess.PIPE, text=True, env=os.environ | place.environment
    ) as process:
        try:
            while "/docs" not in process.stderr.readline():
                assert process.poll() is None
            event_id = post_when_it_listens(f"http://127.0.0.1:{port}")
        finally:
            process.send_signal(signal.SIGTERM)
            _, words = process.communicate(timeout=DEADLINE)
    assert (process.returncode, words) == (0, "")
    assert [event.id for event in hp.events(place.lake, "raw/", envelope="holded")] == [event_id]


def test_serve_with_json_logs_writes_json_alone(make_place, tmp_path):
    place = make_place()
    port = free_ports(1)[0]
    log = tmp_path / "log"
    command = [*COMMAND, "serve", "--config", str(place.file)]
    command += ["--workers", "2", "--log-format", "json", "--port", str(port)]
    environment = os.environ | place.environment
    process = Program(command, (log, log), env=environment)
    try:
        post_when_it_listens(f"http://127.0.0.1:{port}")
        taken = run_script(*command, env=environment)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    messages = [line["message"] for line in lines]
    assert "no key is set in HOLDED_API_KEY" in messages[0]
    assert "/docs shows the calls" in messages[1]
    (error,) = map(json.loads, (taken.stdout + taken.stderr).splitlines())
    assert (error["level"], taken.returncode) == ("ERROR", 2)
    assert f"cannot listen on localhost:{port}" in error["message"]


def post_when_it_listens(url: str) -> str:
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            return post(url, example_event())
        except urllib.error.URLError:
            assert time.monotonic() < deadline, "the API does not listen"
            time.sleep(0.1)


def test_up_says_why_records_were_rejected(capsys):
    counts = {"read.records": 3, "read.rejected.invalid_json": 2, "validate.rejected.schema_violation": 1}
    show_new(hp.RunReport("run-1", "ingest", "succeeded", None, 1.0, counts), Output())
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  2 rejected by read: invalid_json",
        "  1 rejected by validate: schema_violation",
    ]


@pytest.mark.parametrize("shown", [False, True])
def test_up_says_what_is_not_checked_and_shows_secrets_only_when_asked(stack, shown):
    printed = io.StringIO()
    settings = flow_over(stack, None).settings
    with way_in(stack, settings) as variables:
        listed = CliRunner().invoke(commands, ["rejected", "list", "--json"], env=variables_in(variables))
    assert (listed.exit_code, json.loads(listed.stdout)) == (0, [])
    with contextlib.redirect_stdout(printed):
        announce(stack, 8000, settings, variables, Output(), show_secrets=shown)
    text = printed.getvalue()
    assert "EVENTS ARE NOT CHECKED" in text
    assert "rejected list" in text
    assert f"access key {stack.minio.access_key}" in text
    assert f"  . {variables}\n" in text
    secrets = (stack.postgres.password.reveal(), stack.minio.secret_key.reveal())
    assert [secret in text for secret in secrets] == [shown, shown]
