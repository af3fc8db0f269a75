"""Explaining a refusal costs a bounded time and memory, whatever schema and document are made of."""

from __future__ import annotations

import tracemalloc

import pytest

from holded_pipeline.schemas import explanations
from holded_pipeline.schemas.compiled import CompiledSchema
from holded_pipeline.schemas.judged_keywords import STEPS
from holded_pipeline.schemas.references import LocalSchemas

TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "base": {"type": "object", "properties": {"name": {"type": "string"}, "child": {"$ref": "#/$defs/node"}}},
        "node": {"allOf": [{"$ref": "#/$defs/base"}], "unevaluatedProperties": False},
    },
}


def compiled(schema):
    return CompiledSchema(LocalSchemas({"s": schema}).open().resolve("s", None))


def tree(levels):
    document = {"name": "leaf"}
    for _ in range(levels):
        document = {"name": "n", "child": document}
    return {**document, "name": 1}


@pytest.mark.timeout(30)  # it would take 2 ** 90 steps
@pytest.mark.parametrize("levels", [2, 90])
def test_a_recursive_schema_is_explained_at_any_depth(levels):
    schema = compiled(TREE)
    found = schema.check(tree(levels))
    assert ("/name", "type") in {(each.pointer, each.keyword) for each in found}
    assert found == schema.check(tree(levels))
    assert STEPS.get(None) is None


def test_very_many_violations_of_a_large_enum_take_little_memory():
    codes = [f"code-{number:06}" for number in range(5_000)]
    schema = compiled({"items": {"enum": codes}})
    document = [f"x{number}" for number in range(1_000)]
    tracemalloc.start()
    found = schema.check(document)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == explanations.MOST_VIOLATIONS + 1
    assert "is not one of ['code-" in found[0].message
    assert peak < 20 << 20  # each of the messages has 75 KB before it is shortened


class Panic(BaseException):
    """What an extension written in Rust raises when it gives up."""


@pytest.mark.parametrize("raised", [Panic, RecursionError, ValueError])
def test_whatever_the_explaining_stumbles_over_the_verdict_stands(monkeypatch, raised):
    def stumble(*_):
        raise raised

    monkeypatch.setattr(explanations, "_brief", stumble)
    (found,) = compiled({"type": "object", "required": ["id"]}).check({})
    assert (found.pointer, found.keyword) == ("", "required")


def test_a_wish_to_stop_is_no_stumbling(monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(explanations, "_brief", stop)
    with pytest.raises(KeyboardInterrupt):
        compiled({"type": "object"}).check([])
