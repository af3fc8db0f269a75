"""`serve`: the app under uvicorn, with limits for clients that send or read slowly, or without end."""

from __future__ import annotations

import contextlib
from os import PathLike

from fastapi import FastAPI

from holded_pipeline.api.access.authentication import is_loopback
from holded_pipeline.api.app_recipe import AppSource
from holded_pipeline.api.service import Service
from holded_pipeline.api.serving.run_server import ServerRun
from holded_pipeline.api.serving.server import listen, listen_everywhere
from holded_pipeline.api.serving.tls import server_tls
from holded_pipeline.api.serving.workers import require_no_import, serve_with_workers
from holded_pipeline.api.watching.json_logging import process_logging
from holded_pipeline.model.errors import ConfigurationError


def serve(
    app: AppSource,
    *,
    host: str = "localhost",
    port: int = 8000,
    proxy: str | None = None,
    workers: int = 1,
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

    With several workers each process makes the app anew, by the same call of `create_app`. One that ends, however
    that was, is replaced; metrics and recent events are those of all. SIGHUP is then ignored.

    Args:
        app: what `create_app` returned, or a function without arguments that makes it and can be pickled, so a
            function at the top of a module.
        host: the address to listen on; `localhost` is 127.0.0.1 and ::1. Other addresses than loopback need API keys.
        port: the port to listen on.
        proxy: address of the reverse proxy whose X-Forwarded-For is trusted. It may have all connections.
        workers: how many processes serve; each uses about one core at most.
        certificate: a PEM file with the certificate for HTTPS, TLS 1.2 or later; None for plain HTTP.
        private_key: a PEM file with the certificate's private key; None if it is in the same file.
        health_host: the address of the listener for health; None for `host`.
        health_port: the port of a second listener, over plain HTTP, that answers `/health`, `/ready` and `/metrics`
            alone. Its connections are its own, so it answers whatever clients do to the other one. None for none.
        log_level: uvicorn's.

    Raises:
        ValueError: the address is not loopback and there are no API keys, or there is not at least one worker.
        ConfigurationError: the certificate cannot be used, nothing can listen on a port, or several workers cannot be
            started; the message says why.
    """
    if workers < 1:
        raise ValueError(f"workers must be 1 or more, not {workers}")
    if workers > 1:
        require_no_import()
    built = app if isinstance(app, FastAPI) else app()
    service: Service | None = getattr(built.state, "service", None)
    if service is None:
        raise ConfigurationError(
            "serve takes what create_app returned, and this app was made in another way; run an application that "
            "mounts it with its own server, such as uvicorn.run(app)"
        )
    if not service.authenticator.has_keys and host != "localhost" and not is_loopback(host):
        raise ValueError(f"without API keys the API listens on loopback only, not on {host}; give create_app keys")
    if private_key is not None and certificate is None:
        raise ConfigurationError(f"the private key {private_key} has no certificate; give certificate, too")
    if certificate is not None:
        server_tls(certificate, private_key)  # to say now what is wrong with them
    with contextlib.ExitStack() as closing:
        health = None
        if health_port is not None:
            health = closing.enter_context(listen(health_host or host, health_port, "health_port"))
        listeners = [closing.enter_context(each) for each in listen_everywhere(host, port, "port")]
        run = ServerRun(proxy, certificate, private_key, log_level, health)
        if workers == 1:
            run(built, listeners, lambda: None)
            return
        with process_logging(built.state.log_format, log_level):
            serve_with_workers(app, run, workers=workers, listeners=listeners, log_format=built.state.log_format)
