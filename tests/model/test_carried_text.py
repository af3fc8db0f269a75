"""An event's text is used as long as it says what the fields say, and never longer."""

from __future__ import annotations

import copy
import pickle

import attrs
import pytest

import holded_pipeline as hp
from holded_pipeline.model import json_codec
from holded_pipeline.model.carried_text import (
    ReadObject,
    data_of,
    data_text,
    make_entry,
    metadata_text,
    metadata_value,
    source_text,
    with_entries,
)
from holded_pipeline.model.carrying import carry
from holded_pipeline.model.held_events import event_of_held, held_for_rejection
from holded_pipeline.model.identity import PackageIds
from holded_pipeline.reading.common_message import read_common_message
from tests.support.event_factory import make_event

SOURCE = hp.Source("b", "k", "e", 1, 2)


def carried(**fields):
    return carry(make_event(**{"data": {"n": None, "list": [1]}, "metadata": {"m": {"x": 1}}, **fields}))


def test_looking_does_not_change_the_text():
    event = carried()
    before = data_text(event), metadata_text(event)
    assert (event.data, event.metadata) == ({"n": None, "list": [1]}, {"m": {"x": 1}})
    assert (data_text(event), metadata_text(event)) == before


def test_what_somebody_changes_in_the_data_is_stored():
    event = carried()
    event.data["list"].append(2)
    assert data_text(event) == b'{"n":null,"list":[1,2]}'
    assert data_of(event) is event.data
    assert data_text(with_entries(event, {"x": make_entry("x", 1)})) == b'{"n":null,"list":[1,2]}'


def test_what_somebody_changes_in_the_metadata_is_stored():
    event = carried()
    event.metadata["m"]["x"] = 2
    assert metadata_text(event) == b'{"m":{"x":2}}'
    assert with_entries(event, {"y": make_entry("y", 3)}).metadata == {"m": {"x": 2}, "y": 3}


def test_a_value_that_is_not_json_is_noticed_in_data_that_somebody_changed():
    event = carried()
    event.data["n"] = float("nan")
    event.data["list"] = {1}
    with pytest.raises(TypeError):
        data_text(event)


def test_entries_that_events_share_cannot_be_changed_through_one_of_them():
    shared = make_entry("schema", {"subject": "s"})
    for event in (carried(), make_event()):
        first, second = with_entries(event, {"schema": shared}), with_entries(event, {"schema": shared})
        first.metadata["schema"]["subject"] = "other"
        assert second.metadata["schema"] == shared[0] == {"subject": "s"}


def test_an_entry_replaces_one_of_its_name_and_keeps_its_place():
    event = with_entries(carried(metadata={"a": 1, "b": 2}), {"a": make_entry("a", 3), "c": make_entry("c", 4)})
    assert metadata_text(event) == b'{"a":3,"b":2,"c":4}'
    assert [metadata_value(event, name) for name in "abcd"] == [3, 2, 4, None]


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda event: pickle.loads(pickle.dumps(event))])
def test_a_copy_is_equal_and_independent(duplicate):
    event = carried(source=SOURCE)
    other = duplicate(event)
    assert other == event == make_event(data=event.data, metadata=event.metadata, source=SOURCE)
    assert data_text(other) == data_text(event)
    assert source_text(other) == source_text(event)


def test_what_is_held_of_an_event_is_enough_for_its_rejection():
    sample = hp.testing.sample_events(1, seed=5)[0]
    read_object = ReadObject("b", "k", "e")
    event = read_common_message(sample.line, (read_object, 1, None), PackageIds("b", "k", "e"), max_depth=100)
    held = held_for_rejection(event)
    assert not any(isinstance(value, dict) for value in held)
    rebuilt = event_of_held(held)
    for name in ("id", "type", "company_id", "occurred_at", "user_id", "raw", "attempts", "replay_of", "source"):
        assert getattr(rebuilt, name) == getattr(event, name)
    with pytest.raises(AttributeError, match="its record is in `raw`"):
        _ = rebuilt.data


def test_an_event_without_its_record_is_held_whole():
    event = carried()
    assert event_of_held(held_for_rejection(event)) is event


def test_evolve_replaces_what_the_text_says():
    event = attrs.evolve(carried(), data={"new": 1}, metadata={})
    assert (data_text(event), metadata_text(event)) == (b'{"new":1}', b"{}")


def test_a_misspelt_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'Event' object has no attribute 'dat'"):
        _ = carried().dat
    assert not hasattr(make_event(), "metadata_")


@pytest.mark.parametrize("look", [metadata_text, lambda event: (metadata_text(event), dict(event.metadata))])
def test_an_entry_that_is_added_after_the_text_was_made_is_in_the_text(look):
    event = carried(metadata={"a": 1})
    look(event)
    added = with_entries(event, {"b": make_entry("b", 2), "a": make_entry("a", 3)})
    assert json_codec.decode(metadata_text(added)) == dict(added.metadata) == {"a": 3, "b": 2}
    assert json_codec.decode(metadata_text(event)) == {"a": 1}
