"""table_from_schema: types, nullability, keys, nested parts, what has no column, and rows that load."""

from __future__ import annotations

import json
import logging
import pickle
from datetime import UTC, date, datetime
from decimal import Decimal

import apache_beam as beam
import pytest
import sqlalchemy as sa
from event_factory import make_event
from schema_checks import DRAFTS
from sqlalchemy.dialects import postgresql
from table_contents import load_rows, rows_of

import holded_pipeline as hp
from holded_pipeline.model import json_codec

TEXT = {"type": "string"}


def made(members, *, required=(), key="id", draft="2020-12", **options):
    """The table for documents with these members and an `id`."""
    schema = {
        "$schema": DRAFTS[draft],
        "type": "object",
        "required": ["id", *required],
        "properties": {"id": TEXT, **members},
        "additionalProperties": False,
    }
    return hp.table_from_schema({"s": schema}, "s", key=key, **options)


def column_of(schema, **options):
    """The type and nullability of the column `x` for a required member with this schema."""
    column = made({"x": schema}, required=["x"], **options).table.c.x
    return column.type.compile(dialect=postgresql.dialect()), column.nullable


@pytest.mark.parametrize(
    ("schema", "kind", "nullable"),
    [
        ({"type": "string"}, "TEXT", False),
        ({"type": ["string", "null"]}, "TEXT", True),
        ({"type": "string", "maxLength": 20}, "VARCHAR(20)", False),
        ({"type": "string", "maxLength": 20_000_000}, "TEXT", False),
        ({"type": "string", "format": "date-time"}, "TIMESTAMP WITH TIME ZONE", False),
        ({"type": "string", "format": "date"}, "DATE", False),
        ({"type": "string", "format": "uuid"}, "UUID", False),
        ({"type": "string", "format": "time"}, "TEXT", False),
        ({"type": "integer"}, "BIGINT", False),
        ({"type": "integer", "minimum": 0, "maximum": 100}, "INTEGER", False),
        ({"type": "integer", "maximum": 100}, "BIGINT", False),
        ({"type": "integer", "maximum": 2**70}, "NUMERIC", False),
        ({"type": "number"}, "NUMERIC", False),
        ({"type": ["integer", "number"]}, "NUMERIC", False),
        ({"type": "boolean"}, "BOOLEAN", False),
        ({"type": "object"}, "JSONB", False),
        ({"type": "array"}, "JSONB", False),
        ({"type": ["string", "integer"]}, "JSONB", False),
        ({}, "JSONB", True),
        (True, "JSONB", True),
        ({"enum": ["a", "b"]}, "TEXT", False),
        ({"enum": ["a", None]}, "TEXT", True),
        ({"enum": [1, 2]}, "BIGINT", False),
        ({"const": True}, "BOOLEAN", False),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "BIGINT", True),
        ({"oneOf": [{"type": "null"}, {"$ref": "#/$defs/short"}]}, "VARCHAR(5)", True),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, "NUMERIC", False),
        ({"anyOf": [{"type": "string", "maxLength": 5}, {"type": "string"}]}, "TEXT", False),
        ({"allOf": [{"type": "string", "maxLength": 9}, {"maxLength": 7}]}, "VARCHAR(7)", False),
        ({"$ref": "#/$defs/short"}, "VARCHAR(5)", False),
        ({"$ref": "#/$defs/short", "maxLength": 3}, "VARCHAR(3)", False),
        ({"$ref": "#short"}, "VARCHAR(5)", False),
        ({"$ref": "common"}, "DATE", False),
    ],
)
def test_the_type_and_nullability_of_a_column(schema, kind, nullable):
    short = {"$anchor": "short", "type": "string", "maxLength": 5}
    documents = {
        "s": {"properties": {"id": TEXT, "x": schema}, "required": ["id", "x"], "$defs": {"short": short}},
        "common": {"type": "string", "format": "date"},
    }
    column = hp.table_from_schema(documents, "s", key="id").table.c.x
    assert (column.type.compile(dialect=postgresql.dialect()), column.nullable) == (kind, nullable)


@pytest.mark.parametrize("draft", ["4", "6", "7"])
def test_in_old_drafts_a_reference_stands_alone(draft):
    assert column_of({"$ref": "#/properties/id", "type": "integer"}, draft=draft) == ("TEXT", False)


def test_a_member_that_is_not_required_may_be_null():
    assert made({"x": TEXT}).table.c.x.nullable
    assert not made({"x": TEXT}, required=["x"]).table.c.x.nullable


def test_members_come_from_every_part_of_the_schema():
    schema = {
        "allOf": [{"$ref": "#/$defs/base"}, {"properties": {"a": {"type": "integer"}}, "required": ["a"]}],
        "oneOf": [
            {"properties": {"kind": {"const": "x"}, "x": TEXT}, "required": ["kind", "x"]},
            {"properties": {"kind": {"const": "y"}, "y": {"type": "number"}}, "required": ["kind"]},
        ],
        "$defs": {"base": {"properties": {"id": TEXT}, "required": ["id"]}},
    }
    table, _ = hp.table_from_schema({"s": schema}, "s", key="id")
    assert [(c.name, type(c.type).__name__, c.nullable) for c in table.columns] == [
        ("id", "Text", False),
        ("a", "BigInteger", False),
        ("kind", "Text", False),
        ("x", "Text", True),
        ("y", "Numeric", True),
    ]


def test_the_caller_names_the_key():
    table, _ = made({"n": {"type": "integer"}}, required=["n"], key=("id", "n"))
    assert [column.name for column in table.primary_key.columns] == ["id", "n"]
    assert table.c.n.autoincrement is False


CUSTOMER = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": TEXT,
        "address": {"type": ["object", "null"], "properties": {"zip": TEXT}, "required": ["zip"]},
    },
}


def test_nested_parts_are_jsonb():
    table, row = made({"customer": CUSTOMER}, required=["customer"])
    assert [column.name for column in table.columns] == ["id", "customer"]
    assert row({"id": "1", "customer": {"name": "n"}}) == {"id": "1", "customer": {"name": "n"}}


def test_nested_parts_are_flattened_by_option():
    table, row = made({"customer": CUSTOMER}, required=["customer"], nested="flatten")
    assert [(column.name, column.nullable) for column in table.columns] == [
        ("id", False),
        ("customer_name", False),
        ("customer_address_zip", True),
    ]
    customer = {"name": "n", "address": {"zip": "08"}}
    assert row({"id": "1", "customer": customer}) == {"id": "1", "customer_name": "n", "customer_address_zip": "08"}
    for address in ({}, {"address": None}, {"address": {}}):
        assert row({"id": "1", "customer": {"name": "n", **address}})["customer_address_zip"] is None


def test_flattening_ends_where_a_schema_refers_to_itself():
    node = {"type": "object", "properties": {"id": TEXT, "next": {"$ref": "#"}}}
    table, _ = hp.table_from_schema({"s": node}, "s", key="id", nested="flatten")
    assert [column.name for column in table.columns] == ["id", "next"]
    inner = {"properties": {"id": TEXT, "n": {"$ref": "#/$defs/n"}}, "$defs": {"n": node | {"$id": "node"}}}
    table, _ = hp.table_from_schema({"s": inner}, "s", key="id", nested="flatten")
    assert [column.name for column in table.columns] == ["id", "n_id", "n_next"]


def test_columns_may_have_other_names():
    names = {"customer.name": "buyer"}
    table, row = made({"customer": CUSTOMER}, nested="flatten", names=names)
    assert "buyer" in table.columns
    assert row({"id": "1", "customer": {"name": "n"}})["buyer"] == "n"


@pytest.mark.parametrize(
    ("members", "note"),
    [
        ({"x": {"type": ["string", "integer"]}}, "x: it may be integer or string, so its column is JSONB"),
        ({"x": {}}, "x: it may be anything, so its column is JSONB"),
        ({"x": {"type": "null"}}, "x: it can only be null or missing, so it has no column"),
        ({"x": False}, "x: it can only be null or missing, so it has no column"),
    ],
)
def test_what_does_not_map_is_listed_and_logged(members, note, caplog):
    with caplog.at_level(logging.WARNING, logger="holded_pipeline"):
        assert made(members).notes == (note,)
    assert [each.getMessage() for each in caplog.records] == [f"table s from the schema 's': {note}"]


def test_members_that_only_other_keywords_declare_are_listed():
    schema = {
        "properties": {"id": TEXT},
        "patternProperties": {"^x-": TEXT},
        "dependentSchemas": {"id": {"properties": {"y": TEXT}}},
        "if": {"required": ["id"]},
        "then": {"properties": {"z": TEXT}},
    }
    notes = hp.table_from_schema({"s": schema}, "s", key="id").notes
    assert [note.split(" ")[2] for note in notes[:3]] == ["dependentSchemas", "patternProperties", "then"]
    assert notes[3] == "the document: members that the schema does not declare are not stored; rest= stores them"
    assert notes[4] == "id: it is in the key, and the schema lets it be null or missing; such rows are rejected"
    assert len(notes) == 5


def test_members_without_a_column_go_into_the_rest():
    schema = {"properties": {"id": TEXT, "c": {"type": "object", "properties": {"n": TEXT}}}, "required": ["id"]}
    made = hp.table_from_schema({"s": schema}, "s", key="id", nested="flatten", rest="others")
    assert made.notes == ()
    assert made.row({"id": "1", "c": {"n": "a", "m": 1}, "d": [2], "e": {}}) == {
        "id": "1",
        "c_n": "a",
        "others": {"c": {"m": 1}, "d": [2], "e": {}},
    }
    assert made.row({"id": "1", "c": {"n": "a"}})["others"] is None


@pytest.mark.parametrize(
    ("members", "options", "message"),
    [
        ({}, {"key": "nr"}, "the key 'nr' is not a column; the schema 's' gives id"),
        ({}, {"key": ()}, "key must name at least one column"),
        ({"x": {"type": "array"}}, {"key": "x"}, "the key 'x' would be JSONB"),
        ({}, {"nested": "flat"}, 'nested must be "jsonb" or "flatten"'),
        ({}, {"names": {"nr": "x"}}, "names has 'nr', but the members are id"),
        ({"x" * 64: TEXT}, {}, "PostgreSQL takes 1 to 63 bytes"),
        ({"ñ" * 32: TEXT}, {}, "PostgreSQL takes 1 to 63 bytes"),
        ({"": TEXT}, {}, "the column of '' cannot have the name ''"),
        ({"ctid": TEXT}, {}, "not the name of a system column"),
        ({"a\0": TEXT}, {}, "cannot have the name"),
        ({"customer_name": TEXT, "customer": CUSTOMER}, {"nested": "flatten"}, "both have the column 'customer_name'"),
        ({"x": TEXT}, {"rest": "x"}, "'x' and rest both have the column 'x'"),
        ({f"m{n}": TEXT for n in range(1_600)}, {}, "PostgreSQL allows 1600"),
        ({}, {"name": "n" * 64}, "the table cannot have the name"),
    ],
)
def test_what_cannot_be_a_table_is_an_error_in_words(members, options, message):
    with pytest.raises(ValueError, match=message):
        made(members, **options)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "array"}, "a table needs the schema of an object"),
        ({"type": "object"}, "that declares its members"),
        ({"type": "strin"}, "it is not valid JSON Schema"),
        ({"properties": {"x": {"$ref": "nowhere"}}}, "no known schema has the URI"),
    ],
)
def test_a_schema_that_cannot_be_a_table_is_named(schema, message):
    with pytest.raises(hp.ConfigurationError, match=f"subject 's' is not usable: .*{message}"):
        hp.table_from_schema({"s": schema}, "s", key="id")


def test_a_schema_in_place_of_a_mapping_of_schemas_is_recognised():
    with pytest.raises(hp.ConfigurationError, match="this looks like a schema itself: pass {'invoice': schema}"):
        hp.table_from_schema({"type": "object", "properties": {"id": TEXT}}, "invoice", key="id")


def test_an_unknown_subject_is_an_error():
    with pytest.raises(hp.ConfigurationError, match="no table can be made: .*there is no schema for the subject 'nr'"):
        hp.table_from_schema({"s": {}}, "nr", key="id")


EVERY = {
    "t": TEXT,
    "short": {"type": "string", "maxLength": 3},
    "at": {"type": "string", "format": "date-time"},
    "day": {"type": "string", "format": "date"},
    "u": {"type": "string", "format": "uuid"},
    "n": {"type": "integer"},
    "small": {"type": "integer", "minimum": 0, "maximum": 9},
    "big": {"type": "integer", "minimum": 0, "maximum": 2**80},
    "price": {"type": "number"},
    "ok": {"type": "boolean"},
    "tags": {"type": "array", "items": TEXT},
    "any": {},
}
DOCUMENT = b"""{"id": "1", "t": "a\\tb", "short": "\xc3\xb1\xc3\xb1\xc3\xb1", "at": "2026-03-01T12:00:00+02:00",
"day": "2026-03-01", "u": "123e4567-e89b-12d3-a456-426614174000", "n": 1e3, "small": 9.0,
"big": 1208925819614629174706176, "price": 0.12345678901234567890123, "ok": true, "tags": ["x"], "any": "text"}"""


def test_a_row_of_every_type_loads(db):
    table, row = made(EVERY)
    table.create(db.engine())
    result = load_rows(db, table, [row(json_codec.decode(DOCUMENT)), row({"id": "2"})])
    assert (result.inserted, result.rejected) == (2, ())
    stored, empty = rows_of(db, "SELECT * FROM s ORDER BY id")
    assert stored == (
        "1",
        "a\tb",
        "ñññ",
        datetime(2026, 3, 1, 10, tzinfo=UTC),
        date(2026, 3, 1),
        stored[5],
        1000,
        9,
        2**80,
        Decimal("0.12345678901234567890123"),
        True,
        ["x"],
        "text",
    )
    assert str(stored[5]) == "123e4567-e89b-12d3-a456-426614174000"
    assert set(empty[1:]) == {None}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("t", value) for value in (1, True)),
        *(("n", value) for value in ("1", 1.5, True, [1], Decimal("1e-3"))),
        *(("ok", value) for value in ("true", 1)),
        ("price", "1"),
        ("small", Decimal("0.5")),
        ("day", 20260301),
        *(("day", value) for value in ("infinity", "now", "20000-01-01", "0044-03-15 BC", "2026-03-01T10:00:00Z")),
        *(("at", value) for value in ("infinity", "-infinity", "now", "today", "0044-03-15 12:00 BC")),
        *(("at", value) for value in ("20000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z")),
        ("at", 1772359200),
    ],
)
def test_a_value_of_another_type_than_its_column_is_rejected(name, value):
    with pytest.raises(hp.RejectRecord) as error:
        made(EVERY).row({"id": "1", name: value})
    assert error.value.reason == "row_error"
    assert name in str(error.value)


def test_a_number_of_a_million_digits_is_not_written_out():
    assert made(EVERY).row({"id": "1", "n": Decimal("1e1000000")})["n"] == Decimal("1e1000000")


@pytest.mark.parametrize("document", [{"id": "1", "customer": 5}, {"id": "1", "customer": "x"}, [], 5, None])
def test_a_part_that_is_no_object_is_rejected(document):
    with pytest.raises(hp.RejectRecord, match="and its schema says object"):
        made({"customer": CUSTOMER}, nested="flatten").row(document)


def test_events_of_a_schema_load_through_a_pipeline(db):
    schema = {
        "type": "object",
        "required": ["id", "total"],
        "properties": {"id": TEXT, "total": {"type": "number"}, "customer": CUSTOMER},
    }
    schemas = {"sales/order": schema}
    table, row = hp.table_from_schema(schemas, "sales/order", key="id", nested="flatten")
    assert table.name == "sales_order"
    table.create(db.engine())
    events = [make_event(data={"id": str(n), "total": n, "customer": {"name": "c"}}) for n in range(3)]
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        checked = pipeline | beam.Create(events) | hp.ValidateSchema(schemas, subject="sales/order")
        checked.passed | hp.WritePostgres(db, table=table, row=row)
    stored = rows_of(db, "SELECT id, total, customer_name FROM sales_order ORDER BY id")
    assert stored == [(str(n), n, "c") for n in range(3)]


def test_the_table_and_the_row_function_are_picklable():
    table, row = pickle.loads(pickle.dumps(made(EVERY)))
    assert isinstance(table, sa.Table)
    assert row({"id": "1"})["id"] == "1"


def test_a_directory_gives_tables_too(tmp_path):
    (tmp_path / "common.json").write_text(json.dumps({"$id": "common.json", "type": "integer"}))
    order = {"properties": {"id": TEXT, "n": {"$ref": "common.json"}}, "required": ["id", "n"]}
    (tmp_path / "order.json").write_text(json.dumps(order))
    table, _ = hp.table_from_schema(hp.SchemaDirectory(tmp_path), "order", key="id", schema="sales", name="orders")
    assert (table.schema, table.name, table.c.n.nullable) == ("sales", "orders", False)
    assert isinstance(table.c.n.type, sa.BigInteger)
