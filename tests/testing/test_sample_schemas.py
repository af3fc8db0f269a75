"""The schemas of the examples accept the good sample events and reject the faulty ones."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema_rs
import pytest
from jsonschema import FormatChecker
from jsonschema.validators import validator_for
from referencing import Registry, Resource

from holded_pipeline.testing import EVENT_TYPES, FAULTS, sample_events

SCHEMAS = Path(__file__).parents[2] / "examples" / "schemas"
FILES = sorted(SCHEMAS.rglob("*.schema.json"))
DOCUMENTS = {path: json.loads(path.read_text(encoding="utf-8")) for path in FILES}
ANY_EVENT = SCHEMAS / "holded-events-value.schema.json"


def registry() -> Registry:
    resources = [(path.as_uri(), Resource.from_contents(document)) for path, document in DOCUMENTS.items()]
    resources += [
        (document["$id"], Resource.from_contents(document)) for document in DOCUMENTS.values() if "$id" in document
    ]
    return Registry().with_resources(resources)


def file_of(event_type: str) -> Path:
    return SCHEMAS / (event_type.replace("\\", "/") + ".schema.json")


def python_validator(path: Path):
    document = DOCUMENTS[path]
    validator = validator_for(document)
    return validator({"$ref": path.as_uri()}, registry=registry(), format_checker=validator.FORMAT_CHECKER)


@pytest.fixture(scope="module")
def rust_validators() -> dict[Path, jsonschema_rs.Validator]:
    resources = [(path.as_uri(), document) for path, document in DOCUMENTS.items()]
    resources += [(document["$id"], document) for document in DOCUMENTS.values() if "$id" in document]
    known = jsonschema_rs.Registry(resources)
    return {
        path: jsonschema_rs.validator_for({"$ref": path.as_uri()}, registry=known, validate_formats=True)
        for path in FILES
    }


def headers(document: dict) -> dict:
    return document.get("headers") or document["attributes"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_schema_is_valid_by_its_own_draft(path):
    document = DOCUMENTS[path]
    validator_for(document).check_schema(document, format_checker=FormatChecker())


def test_each_type_of_sample_event_has_a_schema():
    assert [event_type for event_type in EVENT_TYPES if not file_of(event_type).exists()] == []


def test_schemas_are_written_in_two_drafts_and_share_definitions_by_id_and_by_path():
    texts = [path.read_text(encoding="utf-8") for path in FILES]
    assert {document["$schema"] for document in DOCUMENTS.values()} == {
        "https://json-schema.org/draft/2020-12/schema",
        "http://json-schema.org/draft-07/schema#",
    }
    assert any('"$ref": "https://schemas.example.com/holded/' in text for text in texts)
    assert any('"$ref": "../../../../../common/' in text for text in texts)


@pytest.mark.parametrize("wrapped", [0.0, 1.0])
def test_good_samples_match_the_schema_of_their_type_and_the_common_one(rust_validators, wrapped):
    for sample in sample_events(3_000, seed=11, wrapped=wrapped, duplicates=0.02):
        message = sample.document.get("event", sample.document)
        for path in (file_of(headers(message)["type"]), ANY_EVENT):
            assert [error.message for error in rust_validators[path].iter_errors(message["data"])] == []


def test_the_python_validator_agrees_on_good_samples():
    validators = {path: python_validator(path) for path in FILES}
    for sample in sample_events(150, seed=12):
        for path in (file_of(headers(sample.document)["type"]), ANY_EVENT):
            assert [error.message for error in validators[path].iter_errors(sample.document["data"])] == []


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.reason == "schema_violation"], ids=lambda fault: fault.name)
def test_schema_faults_violate_the_schema_of_their_type_and_the_common_one(rust_validators, fault):
    for sample in sample_events(60, seed=13, faults=1.0, kinds=[fault.name]):
        path = file_of(headers(sample.document)["type"])
        assert not rust_validators[path].is_valid(sample.document["data"])
        assert not rust_validators[ANY_EVENT].is_valid(sample.document["data"])


def test_an_unknown_type_has_no_schema():
    [sample] = sample_events(1, faults=1.0, kinds=["unknown_type"])
    assert not file_of(headers(sample.document)["type"]).exists()


def test_a_number_out_of_reach_is_valid_for_the_schemas(rust_validators):
    for sample in sample_events(60, seed=14, faults=1.0, kinds=["number_out_of_reach"]):
        data = sample.document["data"]
        assert data.pop("exchangeRate") == 0.0
        assert rust_validators[file_of(headers(sample.document)["type"])].is_valid(data)
