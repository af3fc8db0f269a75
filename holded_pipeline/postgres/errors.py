"""What an error of PostgreSQL means that is no row's own fault (see `row_faults`): an outage, or a wrong setting."""

from __future__ import annotations

import re

import psycopg
import sqlalchemy as sa

from holded_pipeline.model.errors import ConfigurationError, HoldedPipelineError
from holded_pipeline.postgres.postgres import Postgres

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_TRANSIENT_CLASSES = ("08", "40", "53", "57", "58")
# 25006: a standby that is not yet, or no longer, the primary. 25P03, 25P04: the server ended what took too long.
_TRANSIENT_CODES = ("25006", "25P03", "25P04", "55006", "55P03")
_SETTING_CLASSES = ("0A", "28", "2F", "3D", "3F", "42")
_ADVICE = {
    "0A000": 'on_conflict="update" needs an ordinary table, neither a partitioned one nor a view',
    "28": "check the user and the password",
    "3D": "create the database, or name another one",
    "3F": "create the schema, set search_path, or grant the user USAGE on the schema",
    "42501": "grant the user INSERT, SELECT and UPDATE on the tables, USAGE on their schema and sequences, and "
    "TEMPORARY on the database",
    "42P01": "create the table, let migrate() do it, or grant the user USAGE on its schema",
    "42703": "the table in the database lacks a column that the rows have; migrate it",
    "42P10": "the key of the table needs a unique constraint in the database",
}
_MANUAL = "see the SQLSTATE in PostgreSQL's manual"
# A refused connection has no SQLSTATE on the client's side, only the words of the server, of libpq or of OpenSSL.
_REFUSALS = re.compile(
    r"authentication failed for user|no password supplied|pg_hba\.conf|role \".*\" does not exist"
    r"|database \".*\" does not exist|permission denied|is not permitted to log in|not currently accepting connections"
    r"|unrecognized configuration parameter|invalid value for parameter|parameter \".*\" cannot be"
    r"|invalid command-line argument|unrecognized protocol option"
    r"|invalid \S+ value: |invalid integer value|invalid connection option|definition of service|service file"
    r"|authentication method requirement|channel binding required"
    r"|does not support SSL|certificate|private key file|unknown ca|alert (handshake failure|protocol version)"
    r"|unsupported protocol|wrong version number"
)
_PASSING = re.compile(r"starting up|shutting down|too many")
_DENIED = re.compile(r"permission denied for (?P<kind>[a-z ]+?) (?P<name>\S.*)")
_TEMPORARY = re.compile(r"permission denied to create temporary tables in (?P<name>database \".*\")")
_GRANTS = {
    "table": "SELECT, INSERT and UPDATE",
    "view": "SELECT, INSERT and UPDATE",
    "sequence": "USAGE",
    "schema": "USAGE, and to make tables there CREATE,",
    "function": "EXECUTE",
    "database": "CONNECT and TEMPORARY",
    "type": "USAGE",
}


def cause_of(error: BaseException) -> BaseException:
    """The driver's error inside SQLAlchemy's."""
    return error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig is not None else error


def is_transient_postgres_error(error: Exception) -> bool:
    """Whether the server may well do it if asked again."""
    if isinstance(error, HoldedPipelineError):
        return False
    state = _sqlstate(error)
    if state is not None:
        return state.startswith(_TRANSIENT_CLASSES) or state in _TRANSIENT_CODES
    cause = cause_of(error)
    if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
        text = str(cause)
        return bool(_PASSING.search(text)) or not _REFUSALS.search(text)
    return isinstance(cause, ConnectionError | TimeoutError | sa.exc.TimeoutError)


def translate_postgres_error(error: Exception, db: Postgres) -> Exception:
    """The error for a user; what is no fault of the database's or the settings' stays as it is."""
    cause = cause_of(error)
    if not isinstance(cause, psycopg.Error):
        return error
    state = cause.sqlstate
    if state is None:
        return ConfigurationError(
            f"{db} cannot be used as it is set up: {_without_target(cause)}; check url and password"
        )
    if state.startswith(_SETTING_CLASSES):
        said = cause.diag.message_primary or _without_target(cause)
        advice = _missing_grant(said) or _ADVICE.get(state) or _ADVICE.get(state[:2]) or _MANUAL
        return ConfigurationError(f"{db} refused: {said} (SQLSTATE {state}); {advice}")
    if not is_transient_postgres_error(error):
        return ConfigurationError(
            f"{db} failed: {cause.diag.message_primary or _without_target(cause)} (SQLSTATE {state}), which is neither "
            "an outage nor known as a row's fault; see the server's log. A trigger refuses a row by SQLSTATE P0001, "
            "22xxx or 23xxx"
        )
    return error


def _missing_grant(said: str) -> str | None:
    """What to grant, where the server says in English what it denied."""
    if temporary := _TEMPORARY.search(said):
        return f"grant the user TEMPORARY on {temporary['name']}"
    denied = _DENIED.search(said)
    grants = denied and _GRANTS.get(denied["kind"])
    return f"grant the user {grants} on {denied['kind']} {denied['name']}" if denied and grants else None


def _sqlstate(error: BaseException) -> str | None:
    cause = cause_of(error)
    return cause.sqlstate if isinstance(cause, psycopg.Error) else None


def _without_target(cause: psycopg.Error) -> str:
    return str(cause).strip().splitlines()[0]
