"""An event while enrichers add to it: nothing of it is left behind."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs

import holded_pipeline as hp
from holded_pipeline.enriching.drafts import PROVENANCE, Draft

EVENT = hp.Event(
    id="e",
    type="t",
    company_id="c",
    occurred_at=datetime(2026, 1, 2, tzinfo=UTC),
    data={"a": 1},
    user_id="u",
    metadata={"m": 1},
    source=hp.Source("b", "k", "e", 3),
    raw=b"{}",
    attempts=3,
    replay_of="r",
)


def test_every_field_of_the_event_is_another_than_its_default():
    """So that the next test notices a field that is new."""
    for field in attrs.fields(hp.Event):
        assert getattr(EVENT, field.name) != field.default, f"give {field.name} a value in EVENT"


def test_view_and_result_keep_every_field():
    draft = Draft(EVENT)
    assert draft.view == EVENT
    draft.add("n", "1", {"x": 2})
    expected = {"m": 1, "n": {"x": 2}, PROVENANCE: {"n": {"version": "1", "status": "ok"}}}
    assert draft.event() == attrs.evolve(EVENT, metadata=expected)
    assert draft.view == attrs.evolve(EVENT, metadata={"m": 1, "n": {"x": 2}})
