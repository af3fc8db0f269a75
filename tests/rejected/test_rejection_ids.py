"""Ids of rejections: one for each record and what rejected it, the same after a retry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import attrs
from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.values import Event, SchemaRef, Source
from holded_pipeline.rejected.rejections import reject

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEXTS = st.sampled_from(["", "a", "b", "a\0", "a', 'b", "\ud800"])
SOURCES = st.none() | st.builds(Source, TEXTS, TEXTS, TEXTS, st.integers(1, 2), st.none() | st.just(1))
EVENTS = st.none() | st.builds(
    Event, id=TEXTS, type=TEXTS, company_id=st.just("c"), occurred_at=st.just(NOON), data=st.just({}), source=SOURCES,
    raw=st.sampled_from([b"{}", b"[]"]),
)  # fmt: skip
REJECTIONS = st.fixed_dictionaries(
    {
        "reason": TEXTS, "stage": TEXTS, "step": TEXTS, "run_id": st.just("r"),
        "raw": st.sampled_from([b"", b"a", b"\n"]), "source": SOURCES,
        "schema": st.none() | st.builds(SchemaRef, TEXTS), "event": EVENTS,
    }
)  # fmt: skip


def id_of(rejection, message="m", at=NOON):
    settings = dict(rejection)
    return reject(RejectRecord(settings.pop("reason"), message), rejected_at=at, **settings).id


def identity_of(rejection):
    """What the id depends on: an event brings its own bytes and source."""
    event = rejection["event"]
    return rejection if event is None else rejection | {"raw": event.raw, "source": event.source}


@given(REJECTIONS, REJECTIONS)
def test_different_rejections_have_different_ids(one, other):
    assert (id_of(one) == id_of(other)) == (identity_of(one) == identity_of(other))


@given(REJECTIONS, st.sampled_from(["reason", "stage", "step"]))
def test_one_difference_is_enough(rejection, name):
    assert id_of(rejection) != id_of(rejection | {name: rejection[name] + "x"})


@given(REJECTIONS)
def test_neither_the_run_nor_its_time_nor_the_message_changes_the_id(rejection):
    again = rejection | {"run_id": "another"}
    assert id_of(rejection) == id_of(again, "failing row contains 12:00:01", NOON + timedelta(seconds=1))


@given(REJECTIONS, REJECTIONS)
def test_every_rejection_of_a_replay_has_the_same_id(one, other):
    event = Event(
        id="e", type="t", company_id="c", occurred_at=NOON, data={}, raw=b"{}", attempts=2, replay_of="0" * 32
    )
    assert id_of(one | {"event": event}) == id_of(other | {"event": attrs.evolve(event, data={"n": 1})})
