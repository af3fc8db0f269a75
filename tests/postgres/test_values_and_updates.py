"""How values are stored in a column, and which values count as an update."""

from __future__ import annotations

from decimal import Decimal

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB, NUMERIC
from table_contents import load_rows, rows_of

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.postgres.copy_format import RowFormat


class TypeByName(sa.types.UserDefinedType):
    """A type of PostgreSQL by its name; values are written as text."""

    cache_ok = True

    def __init__(self, name):
        self.name = name

    def get_col_spec(self, **_):
        return self.name


def table_of(db, *columns):
    table = sa.Table("t", sa.MetaData(), sa.Column("k", sa.Integer, primary_key=True), *columns)
    table.metadata.create_all(db.engine(poolclass=sa.NullPool))
    return table


def load_last(db, table, *rows):
    """Loads rows with on_conflict="update" and keep="last": the counts, and the reasons of rejections."""
    loaded = load_rows(db, table, rows, on_conflict="update", keep="last")
    counts = (loaded.inserted, loaded.updated, loaded.duplicates)
    return counts, [rejection.reason for _, rejection in loaded.rejected]


def column_values(db, what):
    return [value for (value,) in rows_of(db, f"SELECT {what} FROM t ORDER BY k")]


DIFFERENT_VALUES = {
    "interval": ("1 mon", "30 days"),  # equal to PostgreSQL
    "circle": ("<(0,0),1>", "<(9,9),1>"),  # of one area
    "box": ("(1,1),(0,0)", "(3,3),(2,2)"),
    "path": ("[(0,0),(1,1)]", "[(0,0),(2,2)]"),  # of one number of points
    "point": ("(0,0)", "(1,1)"),  # without equality
    "polygon": ("((0,0),(1,1),(1,0))", "((0,0),(2,2),(2,0))"),
    "jsonpath": ('$."a"', '$."b"'),
    "numeric": ("1.0", "1.00"),
    "text": ("a", "A"),
    "int4": ("1", "2"),
}


@pytest.mark.parametrize("kind", DIFFERENT_VALUES)
def test_only_a_value_that_is_written_differently_updates_a_row(db, kind):
    table = table_of(db, sa.Column("v", TypeByName(kind)))
    first, other = DIFFERENT_VALUES[kind]
    seen = [load_last(db, table, {"k": 1, "v": value})[0] for value in (first, first, other, other, None, None, first)]
    assert seen == [(1, 0, 0), (0, 0, 1), (0, 1, 0), (0, 0, 1), (0, 1, 0), (0, 0, 1), (0, 1, 0)]
    assert column_values(db, "v::text") == [first]


@pytest.mark.parametrize("kind", [JSON, JSONB])
def test_documents_of_any_size_are_compared(db, kind):
    table = table_of(db, sa.Column("v", kind))
    large = {"lines": [{"n": n, "text": "word " * 10} for n in range(2_000)]}
    seen = [load_last(db, table, {"k": 1, "v": value})[0] for value in (large, large, {**large, "more": 1})]
    assert seen == [(1, 0, 0), (0, 0, 1), (0, 1, 0)]


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (NUMERIC, [10, 12.5, None, Decimal("0.10"), 10**40], "{10,12.5,NULL,0.10,1" + "0" * 40 + "}"),
        (NUMERIC, [], "{}"),
        (sa.Float, [1, 2.5], "{1,2.5}"),
        (sa.Integer, [[1, 2], [3, None]], "{{1,2},{3,NULL}}"),
        (sa.Boolean, [True, False], "{t,f}"),
        (
            sa.Text,
            ["a b", 'quote "', "back \\ slash", "tab\t", "line\n", "NULL", "", "{}", "ñ,"],
            '{"a b","quote \\"","back \\\\ slash","tab\t","line\n","NULL","","{}","ñ,"}',
        ),
        (sa.LargeBinary, [b"\x00\xff\\"], '{"\\\\x00ff5c"}'),
    ],
    ids=["numbers", "none", "floats", "nested", "booleans", "texts", "bytes"],
)
def test_lists_with_elements_of_several_types_are_stored_as_arrays(db, kind, value, expected):
    table = table_of(db, sa.Column("v", ARRAY(kind)))
    assert load_last(db, table, {"k": 1, "v": value}) == ((1, 0, 0), [])
    assert column_values(db, "v::text") == [expected]


def test_rows_that_are_good_only_together_are_stored_beside_a_bad_one(db):
    table = table_of(
        db, sa.Column("other", sa.ForeignKey("t.k")), sa.Column("n", sa.Integer, sa.CheckConstraint("n > 0"))
    )
    rows = [{"k": 1, "other": 2, "n": 1}, {"k": 2, "other": 1, "n": 1}, {"k": 3, "other": None, "n": -1}]
    assert load_last(db, table, *rows) == ((2, 0, 0), ["check_violation"])
    lost = [{"k": 4, "other": 5, "n": 1}, {"k": 5, "other": 99, "n": 1}, {"k": 6, "other": None, "n": -1}]
    reasons = ["foreign_key_violation", "foreign_key_violation", "check_violation"]
    assert load_last(db, table, *lost) == ((0, 0, 0), reasons)
    assert column_values(db, "k") == [1, 2]


@pytest.mark.parametrize(
    "bomb", [Decimal("1e131071"), "1e131071", " +.1E13_1072 "], ids=["decimal", "text", "odd text"]
)
def test_an_array_is_stored_only_if_it_can_be_read_again(db, bomb):
    table = table_of(db, sa.Column("v", ARRAY(NUMERIC)))
    bomb = [[bomb] * 4_500] * 2  # a few bytes for each, and over a gigabyte of text
    with pytest.raises(RejectRecord, match="1,179,6.*00 digits when they are written out"):
        load_last(db, table, {"k": 1, "v": bomb})
    kept = [["1e131071", Decimal("NaN")], [Decimal("1e-16383"), 1]]
    assert load_last(db, table, {"k": 1, "v": kept}) == ((1, 0, 0), [])
    assert column_values(db, "length(v::text)") == [131_072 + 16_385 + len("{{,NaN},{,1}}")]


@pytest.mark.parametrize("kind", [JSON, JSONB])
def test_a_document_whose_numbers_python_could_not_read_again_is_not_stored(db, kind):
    table = table_of(db, sa.Column("v", kind))
    with pytest.raises(RejectRecord, match="more than 4,300 digits before its point"):
        load_last(db, table, {"k": 1, "v": {"n": Decimal("9" * 4_301)}})
    assert load_last(db, table, {"k": 1, "v": {"n": Decimal("-" + "9" * 4_300), "t": "9" * 9_000}}) == ((1, 0, 0), [])


@pytest.mark.parametrize(
    ("kind", "bomb"),
    [(JSONB, [Decimal("1e4000")] * 53_700), (ARRAY(NUMERIC), ["1e131071"] * 1_640)],
    ids=["documents", "arrays"],
)
def test_a_row_that_no_query_could_write_out_is_rejected_alone(kind, bomb):
    """Each column has 215 million digits, which is allowed; five of them are over a gigabyte."""
    columns = [sa.Column(f"c{number}", kind) for number in range(5)]
    form = RowFormat(sa.Table("t", sa.MetaData(), *columns))
    names = [column.name for column in columns]
    with pytest.raises(RejectRecord, match=r"the row for t takes 1,0\d\d,.* bytes when it is written out") as caught:
        form.line(dict.fromkeys(names, bomb), names)
    assert caught.value.reason == "invalid_value"
    assert form.line(dict.fromkeys(names, bomb) | {"c4": [1]}, names)


def test_texts_that_look_like_long_numbers_do_not_grow():
    form = RowFormat(sa.Table("t", sa.MetaData(), sa.Column("t", sa.Text), sa.Column("v", JSONB)))
    texts = ['1e131071 \\ " \\'] * 9_000
    assert form.line({"t": " ".join(texts), "v": texts}, ["t", "v"])
