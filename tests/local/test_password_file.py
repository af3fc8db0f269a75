"""The file and the variables by which libpq finds local servers."""

from __future__ import annotations

import os

import pytest

from holded_pipeline.local.password_file import passwords_for_libpq
from holded_pipeline.local.postgres_server import PostgresServer
from holded_pipeline.local.process import Server, Watchdog
from holded_pipeline.model.errors import ConfigurationError


def test_a_password_file_that_the_user_names_meanwhile_stays_named(tmp_path, monkeypatch):
    monkeypatch.delenv("PGPASSFILE", raising=False)
    with passwords_for_libpq(tmp_path, []):
        assert os.environ["PGPASSFILE"] == str(tmp_path / "pgpass")
        monkeypatch.setenv("PGPASSFILE", "/own")
    assert os.environ["PGPASSFILE"] == "/own"


def test_a_password_file_of_the_user_is_left_alone(stack, tmp_path, monkeypatch):
    own = tmp_path / "own"
    monkeypatch.setenv("PGPASSFILE", str(own))
    with passwords_for_libpq(tmp_path, [stack.postgres]):
        assert os.environ["PGPASSFILE"] == str(own)
        assert not (tmp_path / "pgpass").exists()
    assert os.environ["PGPASSFILE"] == str(own)


def test_lines_of_the_users_own_file_go_on_counting(stack, tmp_path, monkeypatch):
    monkeypatch.delenv("PGPASSFILE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    lines = "db.example:5432:*:me:Schlüssel\n".encode("latin-1")  # libpq takes any bytes
    (tmp_path / ".pgpass").write_bytes(lines)
    with passwords_for_libpq(tmp_path, [stack.postgres]):
        written = (tmp_path / "pgpass").read_bytes()
        assert written.endswith(lines)
        assert len(written) > len(lines)
        assert (tmp_path / "pgpass").stat().st_mode & 0o777 == 0o600


def test_variables_for_another_server_are_named_where_they_keep_clients_out(tmp_path, monkeypatch):
    monkeypatch.setenv("PGCHANNELBINDING", "require")
    monkeypatch.setitem(Server.wait_until.__kwdefaults__, "seconds", 3.0)
    watchdog = Watchdog()
    try:
        with pytest.raises(ConfigurationError, match=r"channel binding required.*; unset .*PGCHANNELBINDING"):
            PostgresServer(tmp_path / "postgres", tmp_path, watchdog).start()
    finally:
        watchdog.dismiss()
