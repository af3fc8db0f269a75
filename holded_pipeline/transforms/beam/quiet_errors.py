"""Beam logs the traceback of each error beside raising it; of this library's own errors the sentence is enough."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from holded_pipeline.transforms.beam.run_errors import is_said_once

_logger = logging.getLogger("holded_pipeline")
_LOGGERS: Final = (
    None,  # the messages of a job service
    "apache_beam.runners.common",
    "apache_beam.runners.portability.local_job_service",
    "apache_beam.runners.portability.portable_runner",
    "apache_beam.runners.worker.sdk_worker",
)
_WORKER_PROGRAM: Final = "apache_beam.runners.worker.sdk_worker_main"


@contextmanager
def quiet_library_errors() -> Iterator[None]:
    """Within the block, what Beam logs of errors of this library comes at level DEBUG, by this library's logger."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addFilter(_keep)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(_keep)


def quiet_worker_process() -> None:
    """The same for as long as this process runs, if it is a worker that Beam has started: its stderr is the user's."""
    program = getattr(sys.modules["__main__"], "__spec__", None)
    if program is not None and program.name == _WORKER_PROGRAM:
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_keep)


def _keep(record: logging.LogRecord) -> bool:
    if record.levelno < logging.ERROR or record.name.startswith(_logger.name):
        return True
    error = record.exc_info[1] if record.exc_info else None
    message = record.getMessage()
    if not is_said_once(error, message):
        return True
    _logger.debug("%s", message, exc_info=record.exc_info)
    return False
