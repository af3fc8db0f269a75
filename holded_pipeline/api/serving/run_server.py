"""Runs the server of one process, which is the only one or one of several workers."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Callable, Sequence
from os import PathLike

import attrs
import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE

from holded_pipeline.api.serving.open_files import fit_open_files
from holded_pipeline.api.serving.server import ApiServer, uvicorn_settings
from holded_pipeline.api.serving.tls import server_tls
from holded_pipeline.api.watching.json_logging import process_logging

_ONCE = 10**9  # seconds between two calls of uvicorn's callback; the first is when the server has started


@attrs.frozen
class ServerRun:
    """Serves an app on listening sockets until a signal arrives. It can be pickled, for a worker process.

    Attributes:
        proxy: see `serve`.
        certificate: see `serve`.
        private_key: see `serve`.
        log_level: see `serve`.
        health_socket: the socket of the listener for health; None for none.
    """

    proxy: str | None
    certificate: str | PathLike[str] | None
    private_key: str | PathLike[str] | None
    log_level: str
    health_socket: socket.socket | None

    def __call__(self, app: FastAPI, listeners: Sequence[socket.socket], say_ready: Callable[[], None]) -> None:
        """Serves the app; calls the function when it is ready.

        Raises:
            ConfigurationError: the certificate cannot be used.
            SystemExit: the app did not start; the log says why.
        """

        async def notify() -> None:
            say_ready()

        tls = None if self.certificate is None else server_tls(self.certificate, self.private_key)
        with process_logging(app.state.log_format, self.log_level) as logs:
            limits = fit_open_files(app.state.service.limits)
            ready = {"callback_notify": notify, "timeout_notify": _ONCE}
            settings = uvicorn_settings(app, limits=limits, proxy=self.proxy, **logs, **ready)
            server = ApiServer(uvicorn.Config(**settings), tls=tls, health_socket=self.health_socket)
            with contextlib.suppress(KeyboardInterrupt):
                server.run(list(listeners))
        if not server.started:
            sys.exit(STARTUP_FAILURE)
