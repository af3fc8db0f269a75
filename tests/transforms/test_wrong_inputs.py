"""A transform that is applied to, or made with, the wrong thing says what to write instead, before anything runs."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import apache_beam as beam
import pytest
import sqlalchemy as sa

import holded_pipeline as hp

LAKE = hp.MinIO("http://127.0.0.1:1", bucket="b", access_key="a", secret_key="s")
DB = hp.Postgres("postgresql://u@127.0.0.1:1/d", password="hunter2")
TABLE = sa.Table("t", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))
EVENTS = {
    "ValidateSchema": lambda: hp.ValidateSchema({"a": {}}, subject="a"),
    "Enrich": lambda: hp.Enrich("quality"),
    "DropEvents": lambda: hp.DropEvents(bool, reason="test"),
    "WriteMinIO": lambda: hp.WriteMinIO(LAKE, "x/"),
    "WritePostgres": lambda: hp.WritePostgres(DB),
}
ANY_ELEMENTS = {
    "WritePostgres": lambda: hp.WritePostgres(DB, table=TABLE, row=dict),
    "WriteMinIO": lambda: hp.WriteMinIO(LAKE, "x/", encode=bytes),
}
connection = sqlite3.connect(":memory:")


def read():
    return beam.Pipeline(runner="FnApiRunner") | hp.ReadMinIO(LAKE, "raw/")


@pytest.mark.parametrize("name", EVENTS)
def test_an_outcome_instead_of_what_passed(name):
    with pytest.raises(TypeError, match=re.escape(f"got an Outcome; write outcome.passed | hp.{name}(")):
        read() | EVENTS[name]()


def test_an_outcome_instead_of_what_was_rejected():
    for given in (read(), (read(),)):
        with pytest.raises(TypeError, match=r"got an Outcome; write outcome\.rejected \| hp\.WriteRejected\("):
            given | hp.WriteRejected(LAKE, "rejected/")


@pytest.mark.parametrize("name", EVENTS)
def test_rejected_records_instead_of_events(name):
    with pytest.raises(TypeError, match=rf"{name} takes events, .*has rejected records; write outcome\.passed"):
        read().rejected | EVENTS[name]()


@pytest.mark.parametrize("name", ANY_ELEMENTS)
def test_rejected_records_can_be_written_like_any_other_elements(name):
    read().rejected | ANY_ELEMENTS[name]()
    with pytest.raises(TypeError, match=r"write outcome\.passed"):
        read() | ANY_ELEMENTS[name]()


def test_events_instead_of_rejected_records():
    with pytest.raises(TypeError, match=r"takes rejected records, .* has events; write outcome\.rejected"):
        read().passed | hp.WriteRejected(LAKE, "rejected/")


@pytest.mark.parametrize("name", EVENTS)
def test_a_pipeline_instead_of_events(name):
    with pytest.raises(TypeError, match=r"got the pipeline itself; read first: raw = pipeline \| hp\.ReadMinIO"):
        beam.Pipeline(runner="FnApiRunner") | EVENTS[name]()


@pytest.mark.parametrize("reader", [hp.ReadMinIO(LAKE, "raw/"), hp.ReadRejected(LAKE, "rejected/")])
def test_events_instead_of_a_pipeline(reader):
    with pytest.raises(TypeError, match="begins a pipeline, and is applied to a PCollection"):
        read().passed | "Again" >> reader


def test_a_replay_has_several_outputs_too():
    with pytest.raises(TypeError, match=r"got a Replayed; write replayed\.passed"):
        beam.Pipeline(runner="FnApiRunner") | hp.ReadRejected(LAKE, "rejected/") | hp.Enrich("quality")


def test_a_transform_of_beam_on_an_outcome_names_both_outputs():
    with pytest.raises(AttributeError, match=r"two PCollections, \.passed and \.rejected"):
        read() | beam.Map(print)


def test_an_outcome_can_be_taken_apart_in_a_transform_of_ones_own():
    class Both(beam.PTransform):
        def expand(self, outcome):
            return (outcome.passed, outcome.rejected) | beam.Flatten()

    assert isinstance(read() | Both(), beam.PCollection)


LAKES = {
    "ReadMinIO": lambda lake: hp.ReadMinIO(lake, "raw/"),
    "WriteMinIO": lambda lake: hp.WriteMinIO(lake, "x/"),
    "WriteRejected": lambda lake: hp.WriteRejected(lake, "x/"),
    "ReadRejected": lambda lake: hp.ReadRejected(lake, "x/"),
    "SettleRejected": lambda lake: hp.SettleRejected(lake, "x/", after=read().passed),
    "IngestEvents": lambda lake: hp.IngestEvents(lake, DB, {}),
    "forecast": lambda lake: hp.forecast(lake, "x/", []),
    "events": lambda lake: hp.events(lake, "x/"),
    "rejected": lambda lake: hp.rejected(lake, "x/"),
    "Lookup.object": lambda lake: hp.Lookup.object(lake, "x.json", of="id"),
}
DATABASES = {
    "WritePostgres": hp.WritePostgres,
    "IngestEvents": lambda db: hp.IngestEvents(LAKE, db, {}),
    "Ledger": lambda db: hp.Ledger(db, "x"),
    "runs": hp.runs,
    "migrate": hp.migrate,
    "verify_analytics": hp.verify_analytics,
    "run_every": lambda db: hp.run_every(read, db, name="x"),
    "Lookup.table": lambda db: hp.Lookup.table(db, "t", key="id", of="id"),
}


@pytest.mark.parametrize("name", LAKES)
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("https://s3.example:9000", r'text .*make one: hp\.MinIO\("https://s3\.example:9000", bucket='),
        ("s3://sales/raw/", r'make one: hp\.MinIO\(.*, bucket="sales"'),
        (hp.MinIO, "got the class MinIO itself"),
        (DB, "got a Postgres"),
        (None, "got None"),
    ],
)
def test_what_is_no_store_is_named_with_an_example(name, given, words):
    with pytest.raises(TypeError, match=f"^{name} needs an hp.MinIO, .*{words}"):
        LAKES[name](given)


@pytest.mark.parametrize("name", DATABASES)
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("postgresql://me:hunter2@h/d", r'make one: hp\.Postgres\("postgresql://me@h/d", password='),
        (hp.Postgres, "got the class Postgres itself"),
        (LAKE, "got a MinIO"),
    ],
)
def test_what_is_no_database_is_named_with_an_example(name, given, words):
    with pytest.raises(TypeError, match=f"^{name} needs an hp.Postgres, .*{words}") as caught:
        DATABASES[name](given)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("schemas/", r'hp\.SchemaDirectory\("schemas/"\)'),
        (Path("schemas"), r'hp\.SchemaDirectory\("schemas"\)'),
        ("http://ann:hunter2@h:8081", r'hp\.SchemaRegistry\("http://ann@h:8081"\)'),
        ('{"type": "object"}', r'a mapping from subject to schema, \{"order": json\.loads\(text\)\}'),
        (hp.SchemaDirectory, "got the class SchemaDirectory itself"),
        (None, "got None"),
        ({"type": "object", "properties": {}}, 'this one is a schema itself, with "properties", "type"'),
    ],
)
def test_what_is_no_source_of_schemas_is_named_with_an_example(given, words):
    with pytest.raises(TypeError, match=words) as caught:
        hp.ValidateSchema(given, subject="order")
    assert "hunter2" not in str(caught.value)


def test_a_ledger_is_not_its_database():
    for make in (hp.SettleObjects, lambda given: hp.ReadMinIO(LAKE, "raw/", new_only=given)):
        with pytest.raises(TypeError, match=r'needs an hp\.Ledger, and got a Postgres; make one: hp\.Ledger\(db, "'):
            make(DB)


class Caller:
    def __call__(self, element):
        return element


async def slow(element):
    return element


def several(element):
    yield element


FUNCTIONS = {
    "row": lambda f: hp.WritePostgres(DB, table=TABLE, row=f),
    "encode": lambda f: hp.WriteMinIO(LAKE, "x/", encode=f),
    "partition": lambda f: hp.WriteMinIO(LAKE, "x/", partition=f),
    "predicate": lambda f: hp.DropEvents(f, reason="test"),
    "subject": lambda f: hp.ValidateSchema({"a": {}}, subject=f),
    "an envelope": lambda f: hp.ReadMinIO(LAKE, "x/", envelope=f),
}


@pytest.mark.parametrize("what", FUNCTIONS)
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"id": 1}, "got dict"),
        (Caller, r"Caller is a class whose objects are called; make an object: Caller\("),
        (slow, "slow is asynchronous"),
        (several, "several is a generator"),
        (lambda: None, r"takes \(\): too many positional arguments"),
    ],
)
def test_what_is_no_function_of_that_form_is_named(what, given, words):
    with pytest.raises(TypeError, match=f"^{what} is a function .*{words}"):
        FUNCTIONS[what](given)


def counter():
    numbers = (number for number in range(3))
    return lambda *_: next(numbers)


TYPED = {"__name__": "a_cell_of_a_notebook", "connection": connection}  # no module that a worker could import
exec("def uses_connection(*_): return connection.total_changes", TYPED)
exec("def calls_it(*_): return uses_connection()", TYPED)


class Client:
    def __init__(self):
        self.connection = connection

    def call(self, *_):
        return self.connection.total_changes


APPLIED = {
    "the row function": lambda f: read().passed | FUNCTIONS["row"](f),
    "the encode function": lambda f: read().passed | FUNCTIONS["encode"](f),
    "the partition function": lambda f: read().passed | FUNCTIONS["partition"](f),
    "the function": lambda f: read().passed | FUNCTIONS["predicate"](f),
    "the subject function": lambda f: read().passed | FUNCTIONS["subject"](f),
    "the envelope": lambda f: beam.Pipeline(runner="FnApiRunner") | FUNCTIONS["an envelope"](f),
    "the enricher counted": lambda f: read().passed | hp.Enrich(hp.Enricher("counted", f)),
}


@pytest.mark.parametrize("whose", APPLIED)
@pytest.mark.parametrize(
    ("function", "part"),
    [
        (counter(), "the variable numbers, of type generator"),
        (TYPED["uses_connection"], "the global connection, of type Connection"),
        (Client().call, "its object, of type Client, and of that its attribute connection, of type Connection"),
        (TYPED["calls_it"], "the function uses_connection, and of that the global connection"),
    ],
    ids=["generator", "global", "method", "nested"],
)
def test_the_part_of_a_function_that_cannot_be_pickled_is_named(whose, function, part):
    with pytest.raises(hp.ConfigurationError, match=f"^{whose}.* cannot be pickled for the workers.*{part}"):
        APPLIED[whose](function)
