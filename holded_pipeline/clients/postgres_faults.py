"""What an error of PostgreSQL means: an outage, a wrong setting, or a row that it will not have."""

from __future__ import annotations

import re

import attrs
import psycopg
import sqlalchemy as sa

from holded_pipeline.clients.postgres import Postgres
from holded_pipeline.core.errors import ConfigurationError, HoldedPipelineError, RejectRecord
from holded_pipeline.core.values import Violation

# https://www.postgresql.org/docs/current/errcodes-appendix.html
ROW_CLASSES = ("22", "23", "54")
# A subquery of a trigger's, the check option of a view, and a trigger that refuses the row or finds none or too many.
ROW_CODES = ("21000", "44000", "P0001", "P0002", "P0003", "P0004")
VALUE_CODES = ("42601", "42602", "42704", "42725", "42883", "42P01")
"""What types such as tsquery, jsonpath, ltree and regclass say of a text that they cannot read, and SQL of SQL."""
OTHERS_CLASSES = ("0A", "08", "25", "28", "2F", "3D", "3F", "40", "42", "53", "55", "57", "58")
"""Outages and settings, also where a trigger says so; by any other code a trigger refuses the row."""
_TRANSIENT_CLASSES = ("08", "40", "53", "57", "58")
_TRANSIENT_CODES = ("25006", "55006", "55P03")  # 25006: a standby that is not yet, or no longer, the primary
_SETTING_CLASSES = ("0A", "28", "2F", "3D", "3F", "42")
_ADVICE = {
    "0A000": 'on_conflict="update" needs an ordinary table, neither a partitioned one nor a view',
    "28": "check the user and the password",
    "3D": "create the database, or name another one",
    "3F": "create the schema, or set search_path",
    "42501": "grant the user INSERT, SELECT and UPDATE on the table and TEMPORARY on the database",
    "42P01": "create the table, or let migrate() do it",
    "42703": "the table in the database lacks a column that the rows have; migrate it",
    "42P10": "the key of the table needs a unique constraint in the database",
}
# A refused connection has no SQLSTATE on the client's side, only the server's words.
_REFUSALS = re.compile(
    r"password authentication failed|no password supplied|no pg_hba\.conf entry|role \".*\" does not exist"
    r"|database \".*\" does not exist|permission denied for database|is not permitted to log in"
    r"|SSL|certificate"
)
_PASSING = re.compile(r"SSL (SYSCALL|connection has been closed)|starting up|shutting down|too many")


def cause_of(error: BaseException) -> BaseException:
    """The driver's error inside SQLAlchemy's."""
    return error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig is not None else error


def is_row_fault(error: Exception) -> bool:
    """Whether it is a row's own fault."""
    cause = cause_of(error)
    if not isinstance(cause, psycopg.Error) or cause.sqlstate is None:
        return False
    state = cause.sqlstate
    raised = cause.diag.source_function == "exec_stmt_raise"  # RAISE in PL/pgSQL
    copied = (cause.diag.context or "").startswith("COPY ")
    return (
        state.startswith(ROW_CLASSES)
        or state in ROW_CODES
        or (state in VALUE_CODES and copied)
        or (raised and not state.startswith(OTHERS_CLASSES))
    )


def is_transient(error: Exception) -> bool:
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


@attrs.frozen
class Said:
    """What PostgreSQL said about a row; texts are empty or None where it said nothing."""

    state: str
    message: str | None
    detail: str | None
    table: str | None
    column: str | None
    constraint: str | None


def row_fault(error: Exception) -> RejectRecord:
    """The rejection of the row that caused it."""
    cause = cause_of(error)
    if not isinstance(cause, psycopg.Error):
        raise TypeError(f"not an error of PostgreSQL: {cause!r}")
    said = cause.diag
    return refusal(
        Said(
            str(cause.sqlstate),
            said.message_primary or str(cause),
            said.message_detail,
            said.table_name,
            said.column_name,
            said.constraint_name,
        )
    )


def refusal(said: Said) -> RejectRecord:
    """The rejection of a row; its reason is PostgreSQL's own name of the condition, e.g. `not_null_violation`."""
    named = (("table", said.table), ("column", said.column), ("constraint", said.constraint))
    place = "".join(f", {kind} {name!r}" for kind, name in named if name)
    detail = f": {said.detail}" if said.detail else ""
    message = f"PostgreSQL refused the row: {said.message}{detail} (SQLSTATE {said.state}{place})"
    violation = Violation(
        f"/{said.column}" if said.column else "", said.constraint or said.state, said.message or said.state
    )
    return RejectRecord(condition(said.state), message, [violation])


def condition(state: str) -> str:
    """PostgreSQL's own name of a SQLSTATE; `sqlstate_<code>` where it has none."""
    try:
        kind = psycopg.errors.lookup(state)
    except KeyError:
        return f"sqlstate_{state}"
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower().rstrip("_")


def translate(error: Exception, db: Postgres) -> Exception:
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
        advice = _ADVICE.get(state) or _ADVICE.get(state[:2]) or "see the SQLSTATE in PostgreSQL's manual"
        said = cause.diag.message_primary or _without_target(cause)
        return ConfigurationError(f"{db} refused: {said} (SQLSTATE {state}); {advice}")
    if not is_transient(error):
        return ConfigurationError(
            f"{db} failed: {cause.diag.message_primary or _without_target(cause)} (SQLSTATE {state}), which is neither "
            "an outage nor known as a row's fault; see the server's log. A trigger refuses a row by SQLSTATE P0001, "
            "22xxx or 23xxx"
        )
    return error


def _sqlstate(error: BaseException) -> str | None:
    cause = cause_of(error)
    return cause.sqlstate if isinstance(cause, psycopg.Error) else None


def _without_target(cause: psycopg.Error) -> str:
    return str(cause).strip().splitlines()[0]
