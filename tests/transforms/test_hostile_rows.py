"""What row functions, column types and elements of users raise rejects one element, with a valid rejection."""

from __future__ import annotations

import enum
import gzip
import json
from pathlib import Path

import apache_beam as beam
import jsonschema
import pytest
import sqlalchemy as sa
from store_contents import documents_below, objects_below
from table_contents import rows_of

import holded_pipeline as hp
from holded_pipeline.rejected import rejections

SCHEMA = jsonschema.Draft202012Validator(
    json.loads((Path(rejections.__file__).parent / "rejected.schema.json").read_text()),
    format_checker=jsonschema.FormatChecker(),
)


class Reason(enum.Enum):
    BAD = 404


class OwnError(Exception):
    def __str__(self):
        raise KeyError("no words")


class OwnReject(hp.RejectRecord):
    def __init__(self):
        """Without the attributes of a RejectRecord."""


def raising(error):
    def row(number):
        if number == 2:
            raise error
        return {"k": number}

    return row


def table_of(kind=sa.Integer):
    return sa.Table("t", sa.MetaData(), sa.Column("k", kind, primary_key=True))


@pytest.fixture
def load(run, lake, db):
    """`load(row)`: which of 1, 2 and 3 are stored, and the dead letters of the others."""

    def load(row, *, table=None, elements=(1, 2, 3), **settings):
        table_of().create(db.engine())

        def build(pipeline):
            loaded = (
                pipeline
                | beam.Create(elements)
                | hp.WritePostgres(db, table=table_of() if table is None else table, row=row)
            )
            # A reshuffle, so that rejections pass through their coder.
            return {"w": loaded.rejected | beam.Reshuffle() | hp.WriteRejected(lake, "rejected/", **settings)}

        run(build)
        return [k for (k,) in rows_of(db, "SELECT k FROM t ORDER BY k")], documents_below(lake, "rejected/")

    return load


RAISED = {
    "runtime": (RuntimeError("x"), "row_error", "the row function for t could not read the element: RuntimeError: x"),
    "assertion": (AssertionError(), "row_error", "AssertionError"),
    "recursion": (RecursionError("x"), "row_error", "RecursionError: x"),
    "no moment": (OSError(75, "odd"), "row_error", "OSError: [Errno 75] odd"),  # as datetime.fromtimestamp raises
    "no gzip": (gzip.BadGzipFile("Not a gzipped file"), "row_error", "Not a gzipped file"),
    "group": (ExceptionGroup("g", [ValueError("x")]), "row_error", "ExceptionGroup: g"),
    "exit": (SystemExit(3), "row_error", "it called sys.exit"),
    "without words": (OwnError(), "row_error", "no message, its __str__ raised KeyError"),
    "refused": (hp.RejectRecord("odd", "m"), "odd", "m (rejected by the row function for t)"),
    "a number for a reason": (
        hp.RejectRecord(404, "m"),
        "row_error",
        "the reason 404, which is not a snake_case code: m",
    ),
    "an enum for a reason": (hp.RejectRecord(Reason.BAD, "m"), "row_error", "not a snake_case code"),
    "no reason": (hp.RejectRecord("", "m"), "row_error", "not a snake_case code"),
    "no message": (hp.RejectRecord("r", None), "r", "None (rejected"),
    "mappings for violations": (hp.RejectRecord("r", "m", [{"pointer": "/a"}]), "r", "m (rejected"),
    "half a pair": (hp.RejectRecord("r", "m \ud800"), "r", "m \\ud800 (rejected"),
    "nul": (hp.RejectRecord("r", "m \0"), "r", "m \\0 (rejected"),
    "no RejectRecord within": (OwnReject(), "row_error", "a RejectRecord that cannot be read"),
}


@pytest.mark.parametrize("settings", [{}, {"max_rejected": 100}], ids=["", "with a budget"])
def test_what_a_row_function_raises_rejects_its_element_alone(load, lake, settings):
    cases = list(RAISED.values())
    good = [-number for number in range(1, len(cases) + 1)]

    def row(number):
        if number >= 0:
            raise cases[number][0]
        return {"k": number}

    between = [element for number, each in enumerate(good) for element in (number, each)]
    stored, rejections = load(row, elements=between, **settings)
    assert stored == sorted(good)
    by_element = {int(each["record"]["content"]): each for each in rejections}
    assert len(by_element) == len(rejections) == len(cases)
    for number, (_, reason, words) in enumerate(cases):
        rejected = by_element[number]
        assert (rejected["stage"], rejected["reason"]) == ("write", reason)
        assert words in rejected["message"]
        SCHEMA.validate(rejected)
    assert hp.forecast(lake, "rejected/", []).broken == 0


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (ConnectionResetError("gone"), hp.TransientError, "the row function for t raised ConnectionResetError: gone"),
        (FileNotFoundError("f"), hp.ConfigurationError, "a file or a grant is missing"),
        (hp.TransientError("away"), hp.TransientError, "the row function for t: away"),
    ],
)
def test_an_outage_in_a_row_function_ends_the_run_and_names_it(load, lake, error, kind, words):
    with pytest.raises(kind, match=words):
        load(raising(error))
    assert objects_below(lake, "rejected/") == {}


class Checked(sa.types.TypeDecorator):
    """A user's type, which checks the value."""

    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value, dialect):
        if value == 2:
            raise RuntimeError("half \ud800 a \0 pair")
        return value


class WithoutRepr:
    def __repr__(self):
        raise RuntimeError("not me")

    def __eq__(self, other):
        return isinstance(other, WithoutRepr)

    __hash__ = None


def test_a_column_type_of_the_users_that_raises_rejects_its_element(load):
    stored, (rejected,) = load(lambda n: {"k": n}, table=table_of(Checked))
    assert (stored, rejected["reason"]) == ([1, 3], "invalid_value")
    assert "the column 'k' of t cannot hold the value as Checked()" in rejected["message"]
    assert "RuntimeError: half \\ud800 a \\0 pair" in rejected["message"]
    SCHEMA.validate(rejected)


def test_an_element_whose_repr_raises_is_rejected(load):
    def row(element):
        return {"k": element} if isinstance(element, int) else {}[0]

    stored, (rejected,) = load(row, elements=[1, WithoutRepr(), 3])
    assert (stored, rejected["reason"]) == ([1, 3], "row_error")
    assert "WithoutRepr object at" in rejected["record"]["content"]
