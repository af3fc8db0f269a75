"""Whose fault an error of PostgreSQL's is that comes from rows, and the rejection that it makes."""

from __future__ import annotations

import contextlib
import enum
import re
from collections.abc import Iterator

import attrs
import psycopg

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.values import Violation
from holded_pipeline.postgres.errors import cause_of

# https://www.postgresql.org/docs/current/errcodes-appendix.html
ROW_CLASSES = ("22", "23", "54")
# A subquery of a trigger's, the check option of a view, and a trigger that refuses the row or finds none or too many.
ROW_CODES = ("21000", "44000", "P0001", "P0002", "P0003", "P0004")
VALUE_CLASSES = ("0A", "3F", "42")
"""What settings are said to lack, and values too: by types such as tsquery, jsonpath and regclass, and by policies."""
OTHERS_CLASSES = ("0A", "08", "25", "28", "2F", "3D", "3F", "40", "42", "53", "55", "57", "58")
"""Outages and settings, also where a trigger says so; by any other code a trigger refuses the row."""
_SYNTAX_OF_A_VALUE = ("42601", "42602")  # of SQL itself it is said with a position


class ErrorOrigin(enum.Enum):
    """Whose fault it is; PERHAPS the row's, if it is not the same for every row."""

    ROW = enum.auto()
    PERHAPS = enum.auto()
    OTHERS = enum.auto()


def classify_error(error: BaseException, *, reading: bool = False) -> ErrorOrigin:
    """Whose fault an error is; `reading`: it came up where texts were read as values of their columns' types."""
    cause = cause_of(error)
    if not isinstance(cause, psycopg.Error) or cause.sqlstate is None:
        return ErrorOrigin.OTHERS
    state = cause.sqlstate
    raised = cause.diag.source_function == "exec_stmt_raise"  # RAISE in PL/pgSQL
    if state.startswith(ROW_CLASSES) or state in ROW_CODES or (raised and not state.startswith(OTHERS_CLASSES)):
        return ErrorOrigin.ROW
    if not state.startswith(VALUE_CLASSES) or raised:
        return ErrorOrigin.OTHERS
    return _blame_value(state, cause.diag, reading=reading)


def _blame_value(state: str, said: psycopg.errors.Diagnostic, *, reading: bool) -> ErrorOrigin:
    """A position says that SQL was not understood; a context, that it was in code of the user's, or in COPY."""
    context = said.context or ""
    copied = context.startswith("COPY ")
    if said.statement_position or said.internal_position or (context and not copied):
        return ErrorOrigin.OTHERS
    if state == "42501":  # a grant, or the policy of a table with row-level security
        return ErrorOrigin.ROW if said.source_function == "ExecWithCheckOptions" else ErrorOrigin.OTHERS
    if state in _SYNTAX_OF_A_VALUE or ((copied or reading) and not state.startswith("0A")):
        return ErrorOrigin.ROW
    return ErrorOrigin.PERHAPS


class RowRejectedError(Exception):
    """A row of some is at fault; which one is not known unless it is alone."""

    def __init__(self, fault: RejectRecord) -> None:
        super().__init__(fault)
        self.fault = fault


@contextlib.contextmanager
def row_errors(count: int) -> Iterator[None]:
    """Around statements that take so many rows, and around no others: these fail for want of something else.

    Raises:
        RowRefusedError: one of the rows is at fault, or perhaps is and is not alone, so that it can be found out.
    """
    try:
        yield
    except psycopg.Error as error:
        found = classify_error(error)
        if found is ErrorOrigin.ROW or (found is ErrorOrigin.PERHAPS and count > 1):
            raise RowRejectedError(row_fault(error)) from error
        raise


@attrs.frozen
class Diagnostic:
    """What PostgreSQL said about a row; texts are empty or None where it said nothing."""

    state: str
    message: str | None
    detail: str | None
    table: str | None
    column: str | None
    constraint: str | None


def row_fault(error: psycopg.Error) -> RejectRecord:
    """The rejection of the row that caused it."""
    said = error.diag
    return refusal(
        Diagnostic(
            str(error.sqlstate),
            said.message_primary or str(error),
            said.message_detail,
            said.table_name,
            said.column_name,
            said.constraint_name,
        )
    )


def refusal(said: Diagnostic) -> RejectRecord:
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
