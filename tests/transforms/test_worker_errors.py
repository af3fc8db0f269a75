"""What a worker process of Beam's own logs of errors."""

from __future__ import annotations

import logging
import sys
from types import SimpleNamespace

import pytest

import holded_pipeline as hp
from holded_pipeline.transforms.beam import quiet_errors


@pytest.mark.parametrize(
    ("program", "logged"),
    [("apache_beam.runners.worker.sdk_worker_main", ["ValueError"]), ("pytest", ["ConfigurationError", "ValueError"])],
)
def test_only_a_worker_leaves_out_the_tracebacks_of_this_library(monkeypatch, caplog, program, logged):
    logger = logging.getLogger("apache_beam.runners.common")
    caplog.set_level(logging.ERROR, logger.name)
    for name in quiet_errors._LOGGERS:
        monkeypatch.setattr(logging.getLogger(name), "filters", [])
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", SimpleNamespace(name=program))
    quiet_errors.quiet_worker_process()
    for error in (hp.ConfigurationError("the bucket is not there"), ValueError("a fault of Beam's")):
        logger.error("%s", error, exc_info=error)
    assert [record.exc_info[0].__name__ for record in caplog.records if record.levelno == logging.ERROR] == logged
