"""Errors that come from rows, and the rejections that they make."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import attrs
import psycopg

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.values import Violation
from holded_pipeline.postgres.sqlstate import ErrorOrigin, classify_error, condition_name


class RowRejectedError(Exception):
    """One of some rows is rejected; which one is not known unless it is the only one."""

    def __init__(self, rejection: RejectRecord) -> None:
        super().__init__(rejection)
        self.rejection = rejection


@contextlib.contextmanager
def row_errors(count: int) -> Iterator[None]:
    """Around the statements that take so many rows, and around no others: what fails there comes from no row.

    Raises:
        RowRejectedError: one of the rows caused the error; or perhaps did, and there are others to find that out with.
    """
    try:
        yield
    except psycopg.Error as error:
        origin = classify_error(error)
        if origin is ErrorOrigin.ROW or (origin is ErrorOrigin.MAYBE_ROW and count > 1):
            raise RowRejectedError(rejection_of_error(error)) from error
        raise


@attrs.frozen
class Diagnostic:
    """What PostgreSQL reported about a row; texts are empty or None where it reported nothing."""

    sqlstate: str
    message: str | None
    detail: str | None
    table: str | None
    column: str | None
    constraint: str | None


def rejection_of_error(error: psycopg.Error) -> RejectRecord:
    """The rejection of the row that caused an error."""
    reported = error.diag
    return rejection_of(
        Diagnostic(
            str(error.sqlstate),
            reported.message_primary or str(error),
            reported.message_detail,
            reported.table_name,
            reported.column_name,
            reported.constraint_name,
        )
    )


def rejection_of(diagnostic: Diagnostic) -> RejectRecord:
    """The rejection of a row; its reason is PostgreSQL's own name of the condition, e.g. `not_null_violation`."""
    objects = (("table", diagnostic.table), ("column", diagnostic.column), ("constraint", diagnostic.constraint))
    location = "".join(f", {kind} {name!r}" for kind, name in objects if name)
    detail = f": {diagnostic.detail}" if diagnostic.detail else ""
    sqlstate = diagnostic.sqlstate
    message = f"PostgreSQL rejected the row: {diagnostic.message}{detail} (SQLSTATE {sqlstate}{location})"
    violation = Violation(
        f"/{diagnostic.column}" if diagnostic.column else "",
        diagnostic.constraint or sqlstate,
        diagnostic.message or sqlstate,
    )
    return RejectRecord(condition_name(sqlstate), message, [violation])
