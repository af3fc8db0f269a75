"""Whatever a schema and its documents are: a row is stored with the values of the document, or rejected."""

from __future__ import annotations

import uuid

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from table_contents import load_rows

import holded_pipeline as hp

NAMES = ["a", "B c", "ñ", "select", "x%y", 'q"q', "a.b"]
SCALARS = [
    {"type": "string"},
    {"type": ["string", "null"], "maxLength": 3},
    {"type": "integer"},
    {"type": "integer", "minimum": -5, "maximum": 5},
    {"type": "number"},
    {"type": "boolean"},
    {"type": "array"},
    {"type": ["string", "integer"]},
    {},
]
SCHEMAS = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: st.builds(
        lambda members, required: {"type": "object", "properties": members, "required": sorted(required)},
        st.dictionaries(st.sampled_from(NAMES), inner, min_size=1, max_size=3),
        st.sets(st.sampled_from(NAMES), max_size=2),
    ),
    max_leaves=5,
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.sampled_from([1.5, 2.0, 1e3]) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=5,
)
DOCUMENTS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4)


def without_nulls(value):
    """The document, in which what is null is missing: a row stores both as NULL."""
    if not isinstance(value, dict):
        return value
    kept = {name: without_nulls(each) for name, each in value.items()}
    return {name: each for name, each in kept.items() if each is not None and each != {}}


def document_of(made, stored):
    """The document that a stored row was made of."""
    document = dict(stored.pop("rest") or {})
    for column in made.row.columns:
        place = document
        for name in column.path[:-1]:
            place = place.setdefault(name, {})
        place[column.path[-1]] = stored[column.name]
    return document


@pytest.mark.parametrize("nested", ["jsonb", "flatten"])
def test_a_row_is_stored_as_its_document_or_rejected(db, nested):
    engine = db.engine()

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(st.sampled_from(NAMES), SCHEMAS, min_size=1, max_size=3), DOCUMENTS)
    def check(members, document):
        schema = {"type": "object", "properties": {"id": {"type": "string"}, **members}, "required": ["id"]}
        document = {"id": "1", **document}
        name = f"t{uuid.uuid4().hex}"
        made = hp.table_from_schema({"s": schema}, "s", key="id", name=name, nested=nested, rest="rest")
        made.table.create(engine)
        try:
            row = made.row(document)
            result = load_rows(db, made.table, [row])
        except hp.RejectRecord:
            return
        assert result.inserted + len(result.rejected) == 1
        if result.inserted:
            with engine.connect() as connection:
                stored = dict(connection.execute(sa.select(made.table)).mappings().one())
            assert without_nulls(document_of(made, stored)) == without_nulls(document)

    check()
