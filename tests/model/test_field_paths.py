"""Paths into documents: the values at them, and copies in which these are replaced or removed."""

from __future__ import annotations

import copy

import pytest

from holded_pipeline.model.field_paths import parse_path, parse_paths, remove_values, replace_values, values_at
from holded_pipeline.model.json_pointer import json_pointer

DOCUMENT = {"email": "a", "lines": [{"email": "b", "n": 1}, {"n": 2}, "odd"], "a/b": {"~": None}, "0": "zero"}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/email", {"/email": "a"}),
        ("/lines/*/email", {"/lines/0/email": "b"}),
        ("/lines/*/n", {"/lines/0/n": 1, "/lines/1/n": 2}),
        ("/lines/1/n", {"/lines/1/n": 2}),
        ("/lines/7/n", {}),
        ("/lines/-1/n", {}),
        ("/lines/n", {}),
        ("/email/deeper", {}),
        ("/a~1b/~0", {"/a~1b/~0": None}),
        ("/0", {"/0": "zero"}),
        ("/*", {}),
    ],
)
def test_a_path_leads_to_values_with_their_own_pointers(path, found):
    assert dict(values_at(DOCUMENT, parse_path(path))) == found
    assert json_pointer(parse_path(path)) == path


@pytest.mark.parametrize("path", ["email", "", None, 7, "$.email"])
def test_text_that_is_not_a_path_raises_value_error(path):
    with pytest.raises(ValueError, match="named by a path below data"):
        parse_path(path)


def test_a_text_instead_of_a_list_of_paths_raises_value_error():
    with pytest.raises(ValueError, match=r"given as a list, e.g. \['/email'\]"):
        parse_paths("/email")


def test_values_are_replaced_in_a_copy():
    before = copy.deepcopy(DOCUMENT)
    paths = parse_paths(["/email", "/lines/*/email", "/missing/*"])
    changed = replace_values(DOCUMENT, paths, str.upper)
    assert (changed["email"], changed["lines"]) == ("A", [{"email": "B", "n": 1}, {"n": 2}, "odd"])
    assert before == DOCUMENT


def test_each_value_is_replaced_once_although_paths_overlap():
    paths = parse_paths(["/lines/*", "/lines/0", "/lines/0/email"])
    assert replace_values(DOCUMENT, paths, lambda value: [value])["lines"] == [[each] for each in DOCUMENT["lines"]]


def test_removed_members_are_omitted_and_removed_elements_become_null():
    assert remove_values(DOCUMENT, parse_paths(["/lines/*/n", "/a~1b", "/0", "/email"])) == {
        "lines": [{"email": "b"}, {}, "odd"]
    }
    assert remove_values({"a": [1, 2]}, parse_paths(["/a/0"])) == {"a": [None, 2]}
