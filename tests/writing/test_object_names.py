"""Keys: what an event puts in stays on one level, and no two objects are called the same."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.core.object_names import (
    ObjectIdentity,
    escaped,
    has_odd_level,
    joined,
    partition_template,
    usable_pattern,
    usable_prefix,
)
from holded_pipeline.core.records import glob_regex
from holded_pipeline.core.values import Event, Source


def event(**fields) -> Event:
    defaults = {
        "id": "e1",
        "type": r"Holded\Wallet\Domain\User\Events\UserUpdatedEvent",
        "company_id": "c1",
        "occurred_at": datetime(2026, 3, 1, 23, 30, tzinfo=UTC),
        "data": {},
        "source": Source("b", "raw/a", "etag", 1),
    }
    return Event(**(defaults | fields))


def named(*events: Event) -> str:
    identity = ObjectIdentity()
    for each in events:
        identity.add(each)
    return identity.name("run")


def test_a_template_files_by_what_it_names():
    partition = partition_template("date={date}/h={hour}/{type_name}")
    assert partition(event()) == "date=2026-03-01/h=23/UserUpdatedEvent"


def test_an_unknown_field_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'dat'.*company_id, date"):
        partition_template("{dat}")


@given(st.text())
def test_text_of_an_event_can_neither_open_a_folder_nor_leave_one(text):
    level = escaped(text)
    assert level
    assert "/" not in level
    assert ".." not in level
    assert level.isascii()


@given(st.lists(st.text(max_size=6), min_size=2, max_size=2, unique=True))
def test_different_texts_make_different_levels(texts):
    levels = {escaped(text) for text in texts if text not in ("", "_")}
    assert len(levels) == len([text for text in texts if text not in ("", "_")])


@given(st.text())
def test_text_of_an_event_is_a_level_that_a_store_takes_for_no_other(text):
    assert not has_odd_level(escaped(text))


ODD = ["a//b/", "./x/", "../y/", "c/../d/", "a/./b", "a//b"]


@pytest.mark.parametrize("prefix", [*ODD, "a/.", "..", None, 7])
def test_a_prefix_that_stores_take_for_another_is_refused(prefix):
    with pytest.raises(ValueError, match="prefix must be text such as 'raw/'.*without empty levels"):
        usable_prefix(prefix)


@pytest.mark.parametrize("prefix", ["", "/", "raw", "raw/", "/raw/", "raw//", "a/b.c/..d/...", "a b/é/"])
def test_any_other_prefix_is_used(prefix):
    assert usable_prefix(prefix) == prefix


@pytest.mark.parametrize("pattern", [*ODD, "a//*.json", "**//x"])
def test_a_pattern_by_which_some_stores_list_nothing_is_refused(pattern):
    with pytest.raises(ValueError, match="pattern must be text such as 'raw/'"):
        usable_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "used"),
    [("", ""), ("/raw/", "raw/"), ("raw//", "raw/"), ("raw/.", "raw/."), ("a/**/b?.json", "a/**/b?.json"), ("/", "")],
)
def test_slashes_around_a_pattern_make_no_difference(pattern, used):
    assert usable_pattern(pattern) == used


def test_a_wildcard_finds_keys_with_an_empty_level():
    assert re.match(glob_regex("a/*/b/**"), "a//b/x.json")


def test_a_partition_with_an_empty_level_is_refused():
    with pytest.raises(ValueError, match="partition must be text"):
        partition_template("date={date}//{type_name}")


def test_slashes_are_neither_doubled_nor_missing():
    assert joined("enriched/", "date=1", "x.jsonl") == "enriched/date=1/x.jsonl"
    assert joined("", "", "x.jsonl") == "x.jsonl"


def test_the_same_records_make_the_same_name_again():
    assert named(event(), event(id="e2")) == named(event(), event(id="e2"))


def test_other_records_make_another_name():
    names = {named(event()), named(event(id="e2")), named(event(source=Source("b", "raw/a", "etag", 2)))}
    assert len(names) == 3


def test_events_without_a_source_never_share_a_name():
    assert named(event(source=None)) != named(event(source=None))
