"""Errors of PostgreSQL that end a run: an outage, or a wrong setting. For those of rows see `row_errors`."""

from __future__ import annotations

import re

import psycopg
import sqlalchemy as sa

from holded_pipeline.model.errors import ConfigurationError, HoldedPipelineError
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.postgres.sqlstate import ErrorOrigin, classify_sqlstate, driver_error, sqlstate_of

_ADVICE = {
    "0A000": 'on_conflict="update" needs an ordinary table, neither a partitioned one nor a view',
    "28": "check the user and the password",
    "3D": "create the database, or name another one",
    "3F": "create the schema, set search_path, or grant the user USAGE on the schema",
    "42501": "grant the user INSERT, SELECT and UPDATE on the tables, USAGE on their schema and sequences, and "
    "TEMPORARY on the database",
    "42P01": "create the table, let migrate() do it, or grant the user USAGE on its schema",
    "42703": "the table in the database lacks a column that the rows have; hp.evolve(db, table) shows which, migrate() "
    "is for the business tables",
    "42P10": "the key of the table needs a unique constraint in the database",
}
_DEFAULT_ADVICE = "see the SQLSTATE in PostgreSQL's manual"
# A connection that was denied has no SQLSTATE on the client's side, only words of the server, of libpq or of OpenSSL.
_CONNECTION_DENIED = re.compile(
    r"authentication failed for user|no password supplied|pg_hba\.conf|role \".*\" does not exist"
    r"|database \".*\" does not exist|permission denied|is not permitted to log in|not currently accepting connections"
    r"|unrecognized configuration parameter|invalid value for parameter|parameter \".*\" cannot be"
    r"|invalid command-line argument|unrecognized protocol option"
    r"|invalid \S+ value: |invalid integer value|invalid connection option|definition of service|service file"
    r"|authentication method requirement|channel binding required"
    r"|does not support SSL|certificate|private key file|unknown ca|alert (handshake failure|protocol version)"
    r"|unsupported protocol|wrong version number"
)
_TEMPORARILY_DENIED = re.compile(r"starting up|shutting down|too many")
_OBJECT_DENIED = re.compile(r"permission denied for (?P<kind>[a-z ]+?) (?P<name>\S.*)")
_TEMPORARY_TABLES_DENIED = re.compile(r"permission denied to create temporary tables in (?P<name>database \".*\")")
_GRANTS = {
    "table": "SELECT, INSERT and UPDATE",
    "view": "SELECT, INSERT and UPDATE",
    "sequence": "USAGE",
    "schema": "USAGE, and to make tables there CREATE,",
    "function": "EXECUTE",
    "database": "CONNECT and TEMPORARY",
    "type": "USAGE",
}


def is_transient_postgres_error(error: Exception) -> bool:
    """Whether the same call may succeed when it is made again."""
    if isinstance(error, HoldedPipelineError):
        return False
    sqlstate = sqlstate_of(error)
    if sqlstate is not None:
        return classify_sqlstate(sqlstate) is ErrorOrigin.OUTAGE
    cause = driver_error(error)
    if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
        text = str(cause)
        return bool(_TEMPORARILY_DENIED.search(text)) or not _CONNECTION_DENIED.search(text)
    return isinstance(cause, ConnectionError | TimeoutError | sa.exc.TimeoutError)


def translate_postgres_error(error: Exception, db: Postgres) -> Exception:
    """The error for a user; an error that comes from neither the database nor its settings is returned as it is."""
    cause = driver_error(error)
    if not isinstance(cause, psycopg.Error):
        return error
    sqlstate = cause.sqlstate
    if sqlstate is None:
        return ConfigurationError(f"{db} cannot be used as it is set up: {_first_line(cause)}; check url and password")
    message = cause.diag.message_primary or _first_line(cause)
    origin = classify_sqlstate(sqlstate)
    if origin in (ErrorOrigin.SETTING, ErrorOrigin.MAYBE_ROW):
        advice = _advise_grant(message) or _ADVICE.get(sqlstate) or _ADVICE.get(sqlstate[:2]) or _DEFAULT_ADVICE
        return ConfigurationError(f"{db} rejected the request: {message} (SQLSTATE {sqlstate}); {advice}")
    if origin is not ErrorOrigin.OUTAGE:
        return ConfigurationError(
            f"{db} failed: {message} (SQLSTATE {sqlstate}), which is neither an outage nor known as an error of a row; "
            "see the server's log. A trigger rejects a row by SQLSTATE P0001, 22xxx or 23xxx"
        )
    return error


def _advise_grant(message: str) -> str | None:
    """What to grant, where the server says in English what it denied."""
    if temporary := _TEMPORARY_TABLES_DENIED.search(message):
        return f"grant the user TEMPORARY on {temporary['name']}"
    denied = _OBJECT_DENIED.search(message)
    grants = denied and _GRANTS.get(denied["kind"])
    return f"grant the user {grants} on {denied['kind']} {denied['name']}" if denied and grants else None


def _first_line(cause: psycopg.Error) -> str:
    """Without the lines below it, which show the connection or the statement."""
    return str(cause).strip().splitlines()[0]
