"""Finding the violations takes bounded time and memory, for any schema and document."""

from __future__ import annotations

import tracemalloc

import pytest
from schema_checks import compile_schema

from holded_pipeline.schemas import explanations
from holded_pipeline.schemas.explanation_budget import REMAINING_STEPS

TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "base": {"type": "object", "properties": {"name": {"type": "string"}, "child": {"$ref": "#/$defs/node"}}},
        "node": {"allOf": [{"$ref": "#/$defs/base"}], "unevaluatedProperties": False},
    },
}


def tree(levels):
    document = {"name": "leaf"}
    for _ in range(levels):
        document = {"name": "n", "child": document}
    return {**document, "name": 1}


@pytest.mark.timeout(30)  # it would take 2 ** 90 steps
@pytest.mark.parametrize("levels", [2, 90])
def test_a_recursive_schema_is_explained_at_any_depth(levels):
    schema = compile_schema(TREE)
    found = schema.check(tree(levels))
    assert ("/name", "type") in {(each.pointer, each.keyword) for each in found}
    assert found == schema.check(tree(levels))
    assert REMAINING_STEPS.get(None) is None


def test_very_many_violations_of_a_large_enum_take_little_memory():
    codes = [f"code-{number:06}" for number in range(2_000)]
    schema = compile_schema({"items": {"enum": codes}})
    document = [f"x{number}" for number in range(300)]
    tracemalloc.start()
    found = schema.check(document)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == explanations.MAX_VIOLATIONS + 1
    assert "is not one of ['code-" in found[0].message
    assert peak < 5 << 20  # each message has 30 KB before it is shortened


class Panic(BaseException):
    """What an extension written in Rust raises when it panics."""


@pytest.mark.parametrize("raised", [Panic, RecursionError, ValueError])
def test_the_document_stays_invalid_if_explaining_it_fails(monkeypatch, raised):
    def fail(*_):
        raise raised

    monkeypatch.setattr(explanations, "_shorten_message", fail)
    (found,) = compile_schema({"type": "object", "required": ["id"]}).check({})
    assert (found.pointer, found.keyword) == ("", "required")


def test_an_interrupt_while_explaining_is_raised(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(explanations, "_shorten_message", interrupt)
    with pytest.raises(KeyboardInterrupt):
        compile_schema({"type": "object"}).check([])
