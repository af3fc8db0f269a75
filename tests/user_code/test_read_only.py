"""Read-only values: dicts and lists to every reader, and every change raises."""

from __future__ import annotations

import copy
import json
import operator
import pickle
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.model import json_codec
from holded_pipeline.user_code.read_only import read_only

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def is_plain(value):
    if isinstance(value, dict):
        return type(value) is dict and all(map(is_plain, value.values()))
    return not isinstance(value, list) or (type(value) is list and all(map(is_plain, value)))


@given(VALUES)
def test_it_equals_the_value_and_its_copies_are_plain(value):
    frozen = read_only(value)
    assert frozen == value
    assert isinstance(frozen, dict | list) == isinstance(value, dict | list)
    assert json.dumps(frozen) == json.dumps(value)
    for copied in (copy.deepcopy(frozen), pickle.loads(pickle.dumps(frozen))):
        assert copied == value
        assert is_plain(copied)


@given(VALUES)
def test_encoders_see_no_difference(value):
    try:
        encoded = json_codec.encode(value)
    except (TypeError, ValueError):
        return  # what cannot be encoded anyway
    assert json_codec.encode(read_only(value)) == encoded


@pytest.mark.parametrize("make", [dict, copy.copy, dict.copy, lambda value: value.copy(), lambda value: value | {}])
def test_a_shallow_copy_of_a_dict_can_be_changed(make):
    copied = make(read_only({"a": 1}))
    copied["b"] = 2
    assert type(copied) is dict
    assert copied == {"a": 1, "b": 2}


@pytest.mark.parametrize("make", [list, copy.copy, lambda value: value.copy(), lambda value: [*value], sorted])
def test_a_shallow_copy_of_a_list_can_be_changed(make):
    copied = make(read_only([1]))
    copied.append(2)
    assert copied == [1, 2]


@pytest.mark.parametrize(
    "change",
    [
        lambda d: operator.setitem(d, "a", 2),
        lambda d: operator.delitem(d, "a"),
        lambda d: operator.ior(d, {"b": 1}),
        lambda d: d.clear(),
        lambda d: d.pop("a"),
        lambda d: d.pop("nothing", None),
        lambda d: d.popitem(),
        lambda d: d.setdefault("b", 1),
        lambda d: d.update(b=1),
        lambda d: operator.setitem(d["list"], 0, 2),
        lambda d: operator.setitem(d["list"], slice(None), []),
        lambda d: operator.delitem(d["list"], 0),
        lambda d: operator.iadd(d["list"], [2]),
        lambda d: operator.imul(d["list"], 2),
        lambda d: d["list"].append(2),
        lambda d: d["list"].clear(),
        lambda d: d["list"].extend([2]),
        lambda d: d["list"].insert(0, 2),
        lambda d: d["list"].pop(),
        lambda d: d["list"].remove(1),
        lambda d: d["list"].reverse(),
        lambda d: d["list"].sort(),
        lambda d: operator.setitem(d["list"][1], "x", 1),
    ],
)
def test_every_change_raises_and_changes_nothing(change):
    frozen = read_only({"a": 1, "list": [1, {"x": 0}]})
    with pytest.raises(TypeError, match="tried to change the event"):
        change(frozen)
    assert frozen == {"a": 1, "list": [1, {"x": 0}]}


def test_every_method_that_changes_a_dict_or_a_list_is_covered():
    readers = {"copy", "get", "items", "keys", "values", "fromkeys", "count", "index"}
    for plain, frozen in ((dict, type(read_only({}))), (list, type(read_only([])))):
        inherited = {n for n in dir(plain) if not n.startswith("_") and getattr(frozen, n) == getattr(plain, n)}
        assert inherited <= readers


def test_it_is_a_copy():
    value = {"a": [1], "exact": Decimal("1.10")}
    frozen = read_only(value)
    value["a"].append(2)
    assert frozen == {"a": [1], "exact": Decimal("1.10")}
    assert read_only(frozen) is frozen
