"""Ids that depend only on what was sent."""

from __future__ import annotations

import uuid

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.model.identity import correlation_id_of, event_id_of
from holded_pipeline.model.values import Source

SOURCE = Source("lake", "raw/a.jsonl", "e1", 3)


@given(st.uuids())
def test_a_uuid_is_its_own_event_id_in_canonical_form(value):
    for spelling in (str(value), str(value).upper(), value.hex):
        assert event_id_of(spelling) == str(value)


@given(st.text(min_size=1), st.text(min_size=1))
def test_other_ids_give_a_uuid_and_different_ids_different_ones(one, other):
    assert str(uuid.UUID(event_id_of(one))) == event_id_of(one)
    assert (event_id_of(one) == event_id_of(other)) == (one == other)


def test_ids_are_the_same_in_every_release():
    assert event_id_of("order-17") == "1c1f99c4-ed6d-5c66-a8cc-87f9f233b5db"
    assert correlation_id_of(SOURCE) == "cf16c7b5-3d28-5df5-aeaf-4e474af944c4"


@pytest.mark.parametrize(
    "odd", ["1-2345678123456781234567812345678", "{12345678-1234-5678-1234-567812345678}", "\u0661" * 32]
)
def test_text_that_only_resembles_a_uuid_is_hashed(odd):
    assert uuid.UUID(event_id_of(odd)).version == 5


def test_elements_of_one_array_share_their_correlation_id():
    assert correlation_id_of(attrs.evolve(SOURCE, item=1)) == correlation_id_of(attrs.evolve(SOURCE, item=2))


@pytest.mark.parametrize("change", [{"bucket": "b"}, {"key": "k"}, {"etag": "e2"}, {"line": 4}])
def test_records_of_other_packages_have_another_correlation_id(change):
    assert correlation_id_of(attrs.evolve(SOURCE, **change)) != correlation_id_of(SOURCE)


def test_positions_whose_joined_texts_are_equal_have_different_ids():
    assert correlation_id_of(Source("a", "bc", "e", 1)) != correlation_id_of(Source("ab", "c", "e", 1))
