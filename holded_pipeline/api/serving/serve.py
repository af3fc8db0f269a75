"""`serve`: the app under uvicorn, with limits for clients that send or read slowly or without end."""

from __future__ import annotations

import contextlib
import sys
from os import PathLike

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE

from holded_pipeline.api.access.authentication import is_loopback
from holded_pipeline.api.service import Service
from holded_pipeline.api.serving.open_files import fit_open_files
from holded_pipeline.api.serving.server import ApiServer, listen, listen_everywhere, uvicorn_settings
from holded_pipeline.api.serving.tls import server_tls
from holded_pipeline.model.errors import ConfigurationError


def serve(
    app: FastAPI,
    *,
    host: str = "localhost",
    port: int = 8000,
    proxy: str | None = None,
    certificate: str | PathLike[str] | None = None,
    private_key: str | PathLike[str] | None = None,
    health_host: str | None = None,
    health_port: int | None = None,
    log_level: str = "info",
) -> None:
    """Serves the app until SIGTERM or Ctrl-C; what was accepted by then is stored before this returns.

    A client has 10 s for the headers of a request, `Limits.body_seconds` for its body, and 15 s between two requests.
    Headers of up to 64 KiB are accepted; longer ones close the connection within some hundred KiB. A client that takes
    less of its response than `Limits.bytes_per_second` for `Limits.stall_seconds` is disconnected. There are at most
    `Limits.connections` connections, and `Limits.address_connections` for each address; beyond them a new one replaces
    one that is slow or idle.

    Args:
        app: what `create_app` returned.
        host: the address to listen on; `localhost` is 127.0.0.1 and ::1. Other addresses than loopback need API keys.
        port: the port to listen on.
        proxy: address of the reverse proxy whose X-Forwarded-For is trusted. It may have all connections.
        certificate: a PEM file with the certificate for HTTPS, TLS 1.2 or later; None for plain HTTP.
        private_key: a PEM file with the certificate's private key; None if it is in the same file.
        health_host: the address of the listener for health; None for `host`.
        health_port: the port of a second listener, over plain HTTP, that answers `/health`, `/ready` and `/metrics`
            alone. Its connections are its own, so it answers whatever clients do to the other one. None for none.
        log_level: uvicorn's.

    Raises:
        ValueError: the address is not loopback and there are no API keys.
        ConfigurationError: the certificate cannot be used, or nothing can listen on a port.
    """
    service: Service = app.state.service
    if not service.authenticator.has_keys and host != "localhost" and not is_loopback(host):
        raise ValueError(f"without API keys the API listens on loopback only, not on {host}; give create_app keys")
    if private_key is not None and certificate is None:
        raise ConfigurationError(f"the private key {private_key} has no certificate; give certificate, too")
    tls = None if certificate is None else server_tls(certificate, private_key)
    limits = fit_open_files(service.limits)
    settings = uvicorn_settings(app, limits=limits, proxy=proxy, log_level=log_level)
    with contextlib.ExitStack() as closing:
        health = None
        if health_port is not None:
            health = closing.enter_context(listen(health_host or host, health_port, "health_port"))
        sockets = [closing.enter_context(each) for each in listen_everywhere(host, port, "port")]
        server = ApiServer(uvicorn.Config(**settings), tls=tls, health_socket=health)
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets)
    if not server.started:
        sys.exit(STARTUP_FAILURE)
