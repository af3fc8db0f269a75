"""A PostgreSQL database: how to connect to it."""

from __future__ import annotations

from typing import Any

import attrs
import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from holded_pipeline.postgres.database_url import parse_url, server_names, split_passwords, split_prepare_threshold
from holded_pipeline.servers.argument_types import url_without_password, wrong_argument
from holded_pipeline.servers.retry import Retry
from holded_pipeline.servers.secret import Secret

_DRIVER = "postgresql+psycopg"
# A network that drops every packet is noticed after about a minute, not after the two hours of the system's default.
_KEEPALIVE = {
    "keepalives_idle": 30,  # seconds
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds
}


@attrs.frozen(init=False)
class Postgres:
    """A PostgreSQL database. Constructing it does no I/O.

    Args:
        url: `postgresql://user@host:port/database`, as libpq and SQLAlchemy write it, several hosts
            (`h1:5432,h2:5432/database?target_session_attrs=read-write`) too; a password in it, `?password=`
            too, is moved into a `Secret`. Other parameters of libpq stand after `?`. `prepare_threshold=5` lets the
            server prepare statements that occur more often; not behind a pooler that shares sessions.
        password: a `Secret`, or a plain string that becomes one.
        connect_timeout: seconds for a connection to be made.
        retry: how long calls are retried during an outage; also how long a load, a migration, `verify_analytics` or a
            lookup may wait for a lock or for a server that does not answer, but never less than `connect_timeout`.
    """

    url: str
    password: Secret | None
    connect_timeout: float
    retry: Retry

    def __init__(
        self,
        url: str,
        *,
        password: str | Secret | None = None,
        connect_timeout: float = 10.0,
        retry: Retry | None = None,
    ) -> None:
        parsed = parse_url(url)
        parsed, passwords = split_passwords(parsed)
        if passwords:
            if password is not None or len(passwords) > 1:
                raise ValueError("the password is given twice, in the URL or in password=; give it once")
            (password,) = passwords
        if connect_timeout <= 0:
            raise ValueError(f"connect_timeout must be more than 0 seconds, got {connect_timeout}")
        secret = None if password is None else Secret.of(password)
        plain = parsed.set(drivername="postgresql").render_as_string()
        self.__attrs_init__(plain, secret, connect_timeout, retry or Retry())

    def engine(self, **overrides: Any) -> sa.Engine:
        """A new SQLAlchemy engine on psycopg 3; `overrides` go to `sqlalchemy.create_engine` as they are."""
        url, prepare_threshold = split_prepare_threshold(make_url(self.url).set(drivername=_DRIVER))
        if self.password is not None:
            url = url.set(password=self.password.reveal())
        defaults = {"connect_timeout": max(1, round(self.connect_timeout)), **_KEEPALIVE}
        settings: dict[str, Any] = {
            # Lines for COPY are bytes of UTF-8, whatever encoding the database or the environment prefers.
            "connect_args": {name: value for name, value in defaults.items() if name not in url.query}
            | {"client_encoding": "utf8", "prepare_threshold": prepare_threshold},
            "pool_pre_ping": True,
        }
        engine = sa.create_engine(url, **(settings | overrides))
        sa.event.listen(engine, "handle_error", _remove_password)
        return engine

    def __str__(self) -> str:
        return f"PostgreSQL {server_names(make_url(self.url))}"


def require_postgres(given: Any, whose: str) -> None:
    """Checks that an argument is a `Postgres`, where the argument is written.

    Raises:
        TypeError: it is not; the message says how to make one, and shows no secret.
    """
    if isinstance(given, Postgres):
        return
    url = url_without_password(given, "postgresql", "postgres") or "postgresql://user@localhost:5432/database"
    example = f'hp.Postgres("{url}", password=hp.Secret.env("PGPASSWORD"))'
    raise wrong_argument(whose, "an hp.Postgres, a database", given, example)


def _remove_password(context: sa.engine.ExceptionContext) -> None:
    """Removes the connection from psycopg's error: its attributes show every parameter, the password among them."""
    if isinstance(context.original_exception, psycopg.Error):
        context.original_exception._pgconn = None  # noqa: SLF001  there is no public way
