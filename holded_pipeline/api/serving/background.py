"""Serves the app in a thread, beside other work of the process."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from holded_pipeline.api.serving.addresses import listening_addresses
from holded_pipeline.api.serving.server import ApiServer, uvicorn_settings
from holded_pipeline.model.errors import ConfigurationError

_POLL_SECONDS = 0.02


@contextlib.contextmanager
def serving_in_thread(app: FastAPI, *, host: str, port: int) -> Iterator[None]:
    """Serves the app until the block ends; what was accepted by then is stored before this returns.

    Args:
        app: what `create_app` returned.
        host: the address to listen on.
        port: the port to listen on.

    Raises:
        ConfigurationError: the server did not start, for example because the port is taken.
    """
    settings = uvicorn_settings(app, host=listening_addresses(host), port=port, log_level="error")
    server = ApiServer(uvicorn.Config(**settings))
    thread = threading.Thread(target=_run, args=(server,), name="api", daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise ConfigurationError(f"the API cannot listen on {host}:{port}; is the port taken? Name another one")
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        server.should_exit = True
        thread.join()


def _run(server: uvicorn.Server) -> None:
    with contextlib.suppress(SystemExit):  # by which uvicorn says that it cannot start
        server.run()
