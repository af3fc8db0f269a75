"""What is logged of connections: a client that goes away, stalls or sends no HTTP is no error of the server."""

from __future__ import annotations

import asyncio
import logging

from starlette.requests import ClientDisconnect

_PARENT = logging.getLogger("uvicorn.error")
_OF_CLIENTS = (ClientDisconnect, ConnectionError, asyncio.CancelledError)


class _DisconnectFilter(logging.Filter):
    """Makes one line of level DEBUG of what a client caused; passes the server's own errors on.

    uvicorn logs a warning for each connection that sends no HTTP, and a traceback for each request that ends because
    its client is gone or the server stops. Ten thousand clients can make ten thousand of them.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, _OF_CLIENTS):
            record.msg = f"a request ended early: {type(error).__name__}"
            record.exc_info = record.exc_text = None
            record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        elif record.levelno == logging.WARNING:  # uvicorn has warnings only of what clients send
            record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        return _PARENT.isEnabledFor(record.levelno)


def connection_logger() -> logging.Logger:
    """The logger that uvicorn's protocol gets instead of its own."""
    logger = _PARENT.getChild("connections")
    if not logger.filters:
        logger.addFilter(_DisconnectFilter())
        logger.setLevel(logging.DEBUG)  # the filter decides by the level of the parent
    return logger
