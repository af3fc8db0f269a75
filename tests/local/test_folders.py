"""Folders that are in use, damaged or of another user, and servers that take long to end."""

from __future__ import annotations

import importlib
import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from holded_pipeline import local
from holded_pipeline.local import folder_lock, process
from holded_pipeline.local.postgres_access import PostgresAccess
from holded_pipeline.local.process import Server, Watchdog
from holded_pipeline.model.errors import ConfigurationError

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
IGNORES_SIGINT = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('ready', flush=True); "


def test_damaged_secrets_are_named_and_without_them_the_data_are_kept(tmp_path):
    with local.stack(tmp_path) as stack:
        stack.minio.filesystem().pipe("holded/k", b"v")
        with stack.postgres.engine().begin() as connection:
            connection.execute(sa.text("CREATE TABLE t AS SELECT 7 AS n"))
    for file in (tmp_path / "minio" / "identities.json", tmp_path / "postgres.passwords.json"):
        file.write_bytes(b"")
        with pytest.raises(ConfigurationError, match=f"{file.name} has no .*it is empty or damaged.*remove it"):
            local.start(tmp_path)
        file.unlink()
    with local.stack(tmp_path) as stack:
        assert stack.minio.filesystem().cat("holded/k") == b"v"
        with stack.postgres.engine().connect() as connection:
            assert connection.execute(sa.text("SELECT n FROM t")).scalar_one() == 7


def test_the_command_that_the_main_job_prints_opens_what_it_kept(tmp_path, monkeypatch):
    folder = tmp_path / 'it\'s a "folder" of Ü'
    with local.stack(folder) as stack:
        stack.minio.filesystem().pipe("holded/enriched/k", b"v")
    monkeypatch.syspath_prepend(EXAMPLES)
    printed = importlib.import_module("ingest_report").opening_command(folder)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # where `python` is
    typed = "print(stack.minio.filesystem().find('holded'))\n"
    done = subprocess.run(
        printed, shell=True, input=typed, capture_output=True, text=True, check=True, env=os.environ | {"PATH": path}
    )
    assert f"data in {folder}>" in done.stdout
    assert "['holded/enriched/k']" in done.stdout


@pytest.mark.parametrize("content", [b"{}", b"[]", b"\xff", b'{"holded"'])
def test_a_password_file_of_another_form_is_named_without_its_content(tmp_path, content):
    (tmp_path / "postgres.passwords.json").write_bytes(content)
    with pytest.raises(ConfigurationError, match="has no password of the database's user holded"):
        PostgresAccess(tmp_path / "postgres").password("holded")


def test_a_second_stack_over_a_folder_fails_without_waiting(stack, monkeypatch):
    monkeypatch.setattr(folder_lock.time, "sleep", lambda _: pytest.fail("it waits"))
    with pytest.raises(ConfigurationError, match=f"a stack of this process is running over {stack.folder} already"):
        local.start(stack.folder)
    psycopg.connect(stack.postgres.url).close()


def test_the_process_that_has_a_folder_is_named(stack, monkeypatch):
    monkeypatch.setattr(folder_lock.os, "getpid", lambda: 1)
    with pytest.raises(ConfigurationError, match=rf"of the process \d+, is running over {stack.folder}"):
        local.start(stack.folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root could take the folder of another user")
def test_root_does_not_take_the_folder_of_another_user(tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o755)
    os.chown(folder, 65534, 65534)
    with pytest.raises(ConfigurationError, match=r"belongs to another user \(id 65534\)"):
        local.start(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert list(folder.iterdir()) == []


def test_a_variable_that_demands_tls_of_other_servers_keeps_nobody_out(stack, monkeypatch):
    monkeypatch.setenv("PGSSLMODE", "require")
    db = stack.new_database()
    psycopg.connect(db.url).close()
    with db.engine().connect() as connection:
        assert connection.execute(sa.text("SELECT 1")).scalar_one() == 1


def test_a_server_that_takes_long_to_end_is_named(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(process, "_QUIET_SECONDS", 0.1)
    watchdog = Watchdog()
    log = tmp_path / "log"
    server = Server("Sleeper", [sys.executable, "-c", f"{IGNORES_SIGINT} time.sleep(60)"], log=log, watchdog=watchdog)
    try:
        server.wait_until(lambda: "ready" in log.read_text())
        with caplog.at_level(logging.WARNING):
            server.stop(seconds=0.3)
    finally:
        watchdog.dismiss()
    assert not server.running
    assert "waiting for Sleeper to end, for up to 0.2 s more" in caplog.text
    assert "Sleeper did not end in 0.3 s and is killed" in caplog.text
