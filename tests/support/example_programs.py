"""The examples as programs, in the process of a test and on its servers."""

from __future__ import annotations

import logging
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

import holded_pipeline as hp

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def run_program(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, *arguments: Any
) -> tuple[Any, str, str]:
    """Runs an example as `python examples/NAME.py` would: its exit code, its output, and its last line of errors."""
    path = str(EXAMPLES / f"{name}.py")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(EXAMPLES)
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
        patch.setattr(sys, "argv", [path, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(path, run_name="__main__")
    printed = capsys.readouterr()
    return ended.value.code, printed.out, (printed.err.splitlines() or [""])[-1]


def name_servers(monkeypatch: pytest.MonkeyPatch, lake: hp.MinIO, db: hp.Postgres) -> list[str]:
    """The arguments that name the servers of a test, whose secrets are set in the environment."""
    monkeypatch.setenv("MINIO_SECRET_KEY", lake.secret_key.reveal())
    if db.password is not None:
        monkeypatch.setenv("PGPASSWORD", db.password.reveal())
    return [
        "--minio", lake.endpoint, "--bucket", lake.bucket, "--access-key", lake.access_key, "--postgres", db.url,
        "--deadline", "20",
    ]  # fmt: skip
