"""The file by which libpq finds the passwords of local servers."""

from __future__ import annotations

import os

from holded_pipeline.local.password_file import passwords_for_libpq


def test_a_password_file_that_the_user_names_meanwhile_stays_named(tmp_path, monkeypatch):
    monkeypatch.delenv("PGPASSFILE", raising=False)
    with passwords_for_libpq(tmp_path, []):
        assert os.environ["PGPASSFILE"] == str(tmp_path / "pgpass")
        monkeypatch.setenv("PGPASSFILE", "/own")
    assert os.environ["PGPASSFILE"] == "/own"
