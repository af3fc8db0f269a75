"""Places for the command: a file of settings, a bucket and a database of its own."""

from __future__ import annotations

import logging

import pytest
from cli_place import Place, fill_in


@pytest.fixture(scope="module")
def make_place(stack, tmp_path_factory):
    def make() -> Place:
        lake, db = stack.new_bucket(), stack.new_database()
        file = tmp_path_factory.mktemp("cli") / "holded-pipeline.toml"
        file.write_text(fill_in(lake, db), encoding="utf-8")
        secrets = {"MINIO_SECRET_KEY": lake.secret_key.reveal(), "PGPASSWORD": db.password.reveal()}
        return Place(file, lake, db, secrets)

    return make


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch):
    """The command sets the levels of loggers."""
    for name in ("apache_beam", "holded_pipeline"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.getLogger(name).level)
