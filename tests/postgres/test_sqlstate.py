"""What a SQLSTATE stands for: retried, a setting, a row's, or perhaps a row's. One table, for Python and for SQL."""

from __future__ import annotations

import psycopg
import pytest

from holded_pipeline.postgres.sqlstate import ErrorOrigin, classes_of, classify_error, classify_sqlstate, codes_of

ORIGINS = {
    ErrorOrigin.OUTAGE: (
        "08006", "25006", "25P03", "25P04", "40001", "40P01", "53100", "53300", "55006", "55P03", "57014", "57P01",
        "58030",
    ),
    ErrorOrigin.SETTING: ("28P01", "2F003", "3D000"),
    ErrorOrigin.MAYBE_ROW: ("0A000", "3F000", "42501", "42601", "42P01"),
    ErrorOrigin.ROW: (
        "21000", "22003", "22P02", "23502", "23505", "44000", "54000", "P0001", "P0002", "P0003", "P0004",
    ),
    ErrorOrigin.SERVER: ("25P02", "55000"),
    ErrorOrigin.UNKNOWN: ("34000", "HO001", "XX000", "P0000", "21001"),
}  # fmt: skip
CASES = [(sqlstate, origin) for origin, sqlstates in ORIGINS.items() for sqlstate in sqlstates]


@pytest.mark.parametrize(("sqlstate", "origin"), CASES)
def test_each_sqlstate_has_one_origin(sqlstate, origin):
    assert classify_sqlstate(sqlstate) is origin


@pytest.mark.parametrize("origin", ErrorOrigin)
def test_the_lists_for_sql_say_what_the_function_says(origin):
    listed = {
        sqlstate
        for sqlstate, _ in CASES
        if sqlstate in codes_of(origin)
        or (sqlstate[:2] in classes_of(origin) and sqlstate not in codes_of(*set(ErrorOrigin) - {origin}))
    }
    expected = set() if origin is ErrorOrigin.UNKNOWN else set(ORIGINS[origin])
    assert listed == expected


def test_an_error_without_a_sqlstate_has_an_unknown_origin():
    for error in (ConnectionResetError(), psycopg.OperationalError("the connection is lost"), ValueError("x")):
        assert classify_error(error) is ErrorOrigin.UNKNOWN
