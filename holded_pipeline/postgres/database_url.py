"""URLs of databases, as libpq and SQLAlchemy write them."""

from __future__ import annotations

import contextlib
import re

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from holded_pipeline.servers.argument_types import described_argument

_PASSWORD = "password"  # noqa: S105  a parameter's name
_PREPARE_THRESHOLD = "prepare_threshold"
_OTHER_SECRETS = {"sslpassword", "oauth_client_secret"}  # of libpq's parameters
_DEFAULT_PORT = "5432"
_EXAMPLE = "postgresql://user@host:5432/database"


def parse_url(url: str) -> URL:
    """A URL as SQLAlchemy takes it.

    Raises:
        ValueError: it is none of a PostgreSQL database, or has a secret other than the password.
    """
    if not isinstance(url, str):
        raise TypeError(f"the database URL is a text such as {_EXAMPLE}, got {described_argument(url)}")
    parsed = _url_or_none(url)
    if parsed is None:
        # The text may contain a password, so the message does not show it.
        raise ValueError(f"the database URL must look like {_EXAMPLE}{_other_form(url)}")
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ValueError(f"a postgresql:// URL is needed, got one for {parsed.get_backend_name()!r}")
    threshold = parsed.query.get(_PREPARE_THRESHOLD, "none")
    if not isinstance(threshold, str) or not (threshold.lower() == "none" or threshold.isdecimal()):
        raise ValueError(f"prepare_threshold in the database URL is a number or none, got {threshold!r}")
    for name in _OTHER_SECRETS & set(parsed.query):
        raise ValueError(
            f"the database URL has {name}, which would show in logs; keep it in libpq's service file, and name "
            "the service by ?service="
        )
    return parsed


def _other_form(url: str) -> str:
    """Which other form a text has, as the end of a message."""
    if url.lower().startswith("jdbc:"):
        return ", without jdbc: in front, and with the user before an @"
    if re.match(r"\s*\w+\s*=", url):
        return ", not host=… dbname=…"
    return "" if "://" in url else "; write postgresql:// in front"


def _url_or_none(url: str) -> URL | None:
    with contextlib.suppress(sa.exc.ArgumentError, ValueError, psycopg.Error):  # their messages show parts of the URL
        authority = url.partition("://")[2].partition("?")[0].rpartition("@")[2].partition("/")[0]
        return _several_hosts(url) if "," in authority else make_url(url)
    return None


def _several_hosts(url: str) -> URL:
    """A URL with several hosts as libpq writes them, `//h1,h2:5433/db`, as SQLAlchemy: `///db?host=h1,h2&port=,5433`.

    Raises:
        ValueError: a port is no number.
        psycopg.Error: libpq does not understand it.
    """
    given = {name: str(value) for name, value in psycopg.conninfo.conninfo_to_dict(url).items()}
    if not all(port.isdecimal() for port in given.get("port", "").split(",") if port):
        raise ValueError("a port is no number")
    user, password, database = given.pop("user", None), given.pop("password", None), given.pop("dbname", None)
    return URL.create("postgresql", user, password, database=database, query=given)


def split_passwords(url: URL) -> tuple[URL, list[str]]:
    """A URL without the passwords in it, and the passwords."""
    in_query = url.query.get(_PASSWORD, ())
    passwords = [in_query] if isinstance(in_query, str) else list(in_query)
    if url.password is not None:
        passwords.append(str(url.password))
        url = url._replace(password=None)  # URL.set takes None for 'leave it as it is'
    return url.difference_update_query([_PASSWORD]), passwords


def split_prepare_threshold(url: URL) -> tuple[URL, int | None]:
    """A URL without psycopg's `prepare_threshold`, and that: None for never, which is the default here.

    Prepared statements have names, and clients of a pooler share the sessions that know them: one would run the
    statement of another.
    """
    text = str(url.query.get(_PREPARE_THRESHOLD, "none"))
    threshold = None if text.lower() == "none" else int(text)
    return url.difference_update_query([_PREPARE_THRESHOLD]), threshold


def server_names(url: URL) -> str:
    """What messages call the servers and the database of a URL, e.g. `h1:5432,h2:5432/app` or `service prod/`."""
    database = url.database or ""
    given = url.query.get("host", ()) if url.host is None else url.host
    service = url.query.get("service")
    if service is not None and not given:
        return f"service {service}/{database}"
    hosts = (given.split(",") if isinstance(given, str) else list(given)) or ["localhost"]
    ports = str(url.port or url.query.get("port", "")).split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    named = [_with_port(host, port) for host, port in zip(hosts, ports, strict=False)]
    return f"{','.join(named)}/{database}"


def _with_port(host: str, port: str) -> str:
    if host.startswith("/"):  # the folder of a socket
        return host
    if host.count(":") > 1:  # IPv6
        host = f"[{host}]"
    return host if ":" in host and not host.startswith("[") else f"{host}:{port or _DEFAULT_PORT}"
