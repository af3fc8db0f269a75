"""Checks of `[api]`: its keys, its certificate, its addresses. Nothing is served."""

from __future__ import annotations

import errno
import socket
from datetime import UTC, datetime

from holded_pipeline.cli.api_keys import keys_of_environment, keys_of_settings, require_api, require_checkable
from holded_pipeline.cli.settings import ApiSettings, Settings
from holded_pipeline.model.errors import ConfigurationError


def has_api(settings: Settings) -> bool:
    """Whether somebody has set up the API: a section that differs from the defaults, or a key."""
    return settings.api != ApiSettings() or bool(keys_of_environment())


def check_api_keys(settings: Settings) -> str:
    """The keys can be used, and no other user of this machine can add one."""
    require_api()
    keys = keys_of_settings(settings)
    if isinstance(keys, dict):
        expired = [name for name, key in keys.items() if key.expires_at and key.expires_at <= datetime.now(UTC)]
        if expired:
            raise ConfigurationError(f"the API key {expired[0]!r} has expired; make another one")
        return f"{len(keys)} in the environment" if keys else "none: requests from this machine alone are answered"
    if (exposure := keys.exposure()) is not None:
        raise ConfigurationError(exposure)
    return f"{keys.path} can be used"


def check_api_schemas(settings: Settings) -> str:
    """Events are checked before they are accepted only if they have the envelope that the API reads."""
    checked = require_checkable(settings)
    return "events are checked before they are accepted" if checked else "events are accepted unchecked"


def check_api_certificate(settings: Settings) -> str:
    """The certificate can be used."""
    require_api()
    from holded_pipeline.api.serving.tls import server_tls  # noqa: PLC0415  it needs the extra `api`

    api = settings.api
    if api.certificate is None:
        if api.private_key is not None:
            raise ConfigurationError("[api] private_key has no certificate; give certificate, too")
        return "none: plain HTTP"
    private_key = None if api.private_key is None else settings.folder / api.private_key
    server_tls(settings.folder / api.certificate, private_key)
    return f"{api.certificate} can be used"


def check_api_ports(settings: Settings) -> str:
    """The API can listen; a port that is in use may be its own."""
    api = settings.api
    ports = {"port": api.port} | ({} if api.health_port is None else {"health_port": api.health_port})
    return ", ".join(f"{name} {port} {_port_state(api.host, name, port)}" for name, port in ports.items())


def _port_state(host: str, name: str, port: int) -> str:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.create_server(address[:2], family=family):
            return "is free"
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return "is in use, which is right while the API runs"
        raise ConfigurationError(
            f"the API cannot listen on {host}:{port}: {error.strerror or error}; give another [api] host or {name}"
        ) from error
