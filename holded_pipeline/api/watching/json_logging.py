"""Log lines as JSON: one object on one line, for each record of the process, uvicorn's too."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, Literal

from holded_pipeline.api.watching.current_request import current_request
from holded_pipeline.api.watching.request_log import REQUEST_LOGGER

LogFormat = Literal["text", "json"]
LOG_FORMATS: Final = ("text", "json")
_AUDIT_LOGGER = "holded_pipeline.audit"
_UVICORN_LOGGERS: Final = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")


class JsonFormatter(logging.Formatter):
    """Writes a record as a JSON object of ASCII characters alone, so that no text in it can end a line or begin one."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        if (notes := current_request()) is not None:
            fields["request_id"] = notes.request_id
            if notes.trace_id is not None:
                fields["trace_id"] = notes.trace_id
        fields |= getattr(record, "request", None) or {}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            fields["stack"] = record.stack_info
        return json.dumps(fields, default=str)


@contextlib.contextmanager
def process_logging(log_format: LogFormat, level: str) -> Iterator[dict[str, Any]]:
    """The logging of a server process until the end of the block.

    Args:
        log_format: `text` leaves it as it is; with `json` all records go to stderr as JSON lines.
        level: the lowest level of uvicorn's records.

    Yields:
        The arguments for `uvicorn.Config`.
    """
    audit = logging.getLogger(_AUDIT_LOGGER)
    if audit.level == logging.NOTSET:
        audit.setLevel(logging.INFO)  # a change of the keys is an INFO
    if log_format == "text":
        with _shown_on_stderr(audit):
            yield {"log_level": level}
        return
    root = logging.getLogger()
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    before, root.handlers = root.handlers, [handler]
    requests = logging.getLogger(REQUEST_LOGGER)
    level_before = requests.level
    requests.setLevel(logging.INFO)
    for name in _UVICORN_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    logging.captureWarnings(capture=True)
    try:
        yield {"log_level": level, "log_config": None}
    finally:
        logging.captureWarnings(capture=False)
        requests.setLevel(level_before)
        root.handlers = before


@contextlib.contextmanager
def _shown_on_stderr(logger: logging.Logger) -> Iterator[None]:
    """Shows a logger's records on stderr, where nothing else is set up for them: Python's last resort drops INFO."""
    if logger.hasHandlers():
        yield
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
