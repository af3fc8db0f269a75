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


def test_variables_for_another_server_are_named_where_they_keep_clients_out(tmp_path, monkeypatch):
    monkeypatch.setenv("PGCHANNELBINDING", "require")
    monkeypatch.setitem(Server.wait_until.__kwdefaults__, "seconds", 3.0)
    watchdog = Watchdog()
    try:
        with pytest.raises(ConfigurationError, match=r"channel binding required.*; unset .*PGCHANNELBINDING"):
            PostgresServer(tmp_path / "postgres", tmp_path, watchdog).start()
    finally:
        watchdog.dismiss()
