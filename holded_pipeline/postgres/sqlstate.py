"""What an error of PostgreSQL comes from, by its SQLSTATE: one table for retries, messages and rejected rows.

https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

import enum
import re

import psycopg
import sqlalchemy as sa


class ErrorOrigin(enum.Enum):
    """What an error comes from."""

    OUTAGE = enum.auto()
    """It ends by itself: the call is retried."""
    SETTING = enum.auto()
    """A setting, a grant, a table or a column is wrong or missing: the run ends."""
    MAYBE_ROW = enum.auto()
    """A setting, unless the error is not the same for every row: types such as tsquery, jsonpath and regclass, and
    policies, say of a value what is said of settings otherwise."""
    ROW = enum.auto()
    """The row: it is rejected."""
    SERVER = enum.auto()
    """A state of the server or the session that neither a retry nor another row changes: the run ends."""
    UNKNOWN = enum.auto()
    """Any other code. The row, if a trigger raised it; else the run ends."""


_CLASSES = {
    "08": ErrorOrigin.OUTAGE,  # connection exception
    "0A": ErrorOrigin.MAYBE_ROW,  # feature not supported
    "22": ErrorOrigin.ROW,  # data exception
    "23": ErrorOrigin.ROW,  # integrity constraint violation
    "25": ErrorOrigin.SERVER,  # invalid transaction state
    "28": ErrorOrigin.SETTING,  # invalid authorization
    "2F": ErrorOrigin.SETTING,  # SQL routine exception
    "3D": ErrorOrigin.SETTING,  # invalid catalog name
    "3F": ErrorOrigin.MAYBE_ROW,  # invalid schema name
    "40": ErrorOrigin.OUTAGE,  # transaction rollback: deadlock, serialization failure
    "42": ErrorOrigin.MAYBE_ROW,  # syntax error, undefined or denied object
    "53": ErrorOrigin.OUTAGE,  # insufficient resources
    "54": ErrorOrigin.ROW,  # program limit exceeded
    "55": ErrorOrigin.SERVER,  # object not in prerequisite state
    "57": ErrorOrigin.OUTAGE,  # operator intervention: shutdown, timeout
    "58": ErrorOrigin.OUTAGE,  # system error: input and output
}
_CODES = {
    "21000": ErrorOrigin.ROW,  # a subquery of a trigger returned more than one row
    "25006": ErrorOrigin.OUTAGE,  # read only: a standby that is not yet, or no longer, the primary
    "25P03": ErrorOrigin.OUTAGE,  # the server ended a session that was idle in a transaction
    "25P04": ErrorOrigin.OUTAGE,  # the server ended a transaction that took too long
    "44000": ErrorOrigin.ROW,  # the check option of a view
    "55006": ErrorOrigin.OUTAGE,  # object in use
    "55P03": ErrorOrigin.OUTAGE,  # lock not available
    "P0001": ErrorOrigin.ROW,  # a trigger's RAISE
    "P0002": ErrorOrigin.ROW,  # a trigger found no row
    "P0003": ErrorOrigin.ROW,  # a trigger found too many rows
    "P0004": ErrorOrigin.ROW,  # a trigger's ASSERT
}
"""Codes that differ from their class, or whose class is not listed."""
_SYNTAX_OF_A_VALUE = ("42601", "42602")  # said of SQL itself, it comes with a position


def classify_sqlstate(sqlstate: str) -> ErrorOrigin:
    """What an error with a SQLSTATE comes from, as far as the code alone says."""
    return _CODES.get(sqlstate) or _CLASSES.get(sqlstate[:2], ErrorOrigin.UNKNOWN)


def classes_of(*origins: ErrorOrigin) -> tuple[str, ...]:
    """The classes of SQLSTATEs, two characters each, that come from one of these."""
    return tuple(name for name, origin in _CLASSES.items() if origin in origins)


def codes_of(*origins: ErrorOrigin) -> tuple[str, ...]:
    """The single SQLSTATEs that come from one of these and differ from their class."""
    return tuple(code for code, origin in _CODES.items() if origin in origins)


def classify_error(error: BaseException, *, reading: bool = False) -> ErrorOrigin:
    """What an error comes from, by its SQLSTATE and its diagnostic; UNKNOWN where it has no SQLSTATE.

    Args:
        error: of psycopg's, or SQLAlchemy's around it.
        reading: whether it came up where texts were read as values of their columns' types.
    """
    sqlstate = sqlstate_of(error)
    cause = driver_error(error)
    if sqlstate is None or not isinstance(cause, psycopg.Error):
        return ErrorOrigin.UNKNOWN
    origin = classify_sqlstate(sqlstate)
    if cause.diag.source_function == "exec_stmt_raise":  # RAISE in PL/pgSQL
        return {ErrorOrigin.UNKNOWN: ErrorOrigin.ROW, ErrorOrigin.MAYBE_ROW: ErrorOrigin.SETTING}.get(origin, origin)
    if origin is ErrorOrigin.MAYBE_ROW:
        return _classify_diagnostic(sqlstate, cause.diag, reading=reading)
    return origin


def _classify_diagnostic(sqlstate: str, diagnostic: psycopg.errors.Diagnostic, *, reading: bool) -> ErrorOrigin:
    """Tells a value's error from a setting's, where the diagnostic does.

    A position means that the server did not understand SQL. A context means that the error is in code of the user's
    (a trigger, a function), unless it is COPY's own.

    tsquery, value 'a b':      42601, no position, context 'COPY holded_stage, line 1, ...'  -> ROW
    a trigger with bad SQL:    42P01, internal position, context 'PL/pgSQL function ...'     -> SETTING
    a sequence without grant:  42501, no position, no context                                -> SETTING
    regclass of a default:     42P01, no position, no context                                -> MAYBE_ROW
    """
    context = diagnostic.context or ""
    copied = context.startswith("COPY ")
    if diagnostic.statement_position or diagnostic.internal_position or (context and not copied):
        return ErrorOrigin.SETTING
    if sqlstate == "42501":  # a grant, or the policy of a table with row-level security
        return ErrorOrigin.ROW if diagnostic.source_function == "ExecWithCheckOptions" else ErrorOrigin.SETTING
    if sqlstate in _SYNTAX_OF_A_VALUE or ((copied or reading) and not sqlstate.startswith("0A")):
        return ErrorOrigin.ROW
    return ErrorOrigin.MAYBE_ROW


def driver_error(error: BaseException) -> BaseException:
    """The error of psycopg inside SQLAlchemy's; any other error itself."""
    return error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig is not None else error


def sqlstate_of(error: BaseException) -> str | None:
    """The SQLSTATE of an error; None where it has none, such as that of a connection that broke."""
    cause = driver_error(error)
    return cause.sqlstate if isinstance(cause, psycopg.Error) else None


def condition_name(sqlstate: str) -> str:
    """PostgreSQL's own name of a SQLSTATE, e.g. `not_null_violation`; `sqlstate_<code>` where it has none."""
    try:
        kind = psycopg.errors.lookup(sqlstate)
    except KeyError:
        return f"sqlstate_{sqlstate}"
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower().rstrip("_")
