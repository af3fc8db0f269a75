"""Ids of rejections: one for each record and what refused it, the same when it is tried again."""

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
REFUSALS = st.fixed_dictionaries(
    {
        "reason": TEXTS, "stage": TEXTS, "step": TEXTS, "run_id": TEXTS, "raw": st.sampled_from([b"", b"a", b"\n"]),
        "source": SOURCES, "schema": st.none() | st.builds(SchemaRef, TEXTS), "event": EVENTS,
    }
)  # fmt: skip


def id_of(refusal, message="m", at=NOON):
    settings = dict(refusal)
    return reject(RejectRecord(settings.pop("reason"), message), rejected_at=at, **settings).id


def told(refusal):
    """What is kept of the refusal: an event brings its own bytes and source."""
    event = refusal["event"]
    return refusal if event is None else refusal | {"raw": event.raw, "source": event.source}


@given(REFUSALS, REFUSALS)
def test_different_refusals_have_different_ids(one, other):
    assert (id_of(one) == id_of(other)) == (told(one) == told(other))


@given(REFUSALS, st.sampled_from(["reason", "stage", "step", "run_id"]))
def test_one_difference_is_enough(refusal, name):
    assert id_of(refusal) != id_of(refusal | {name: refusal[name] + "x"})


@given(REFUSALS)
def test_neither_the_time_nor_the_words_make_another_id(refusal):
    assert id_of(refusal) == id_of(refusal, "failing row contains 12:00:01", NOON + timedelta(seconds=1))


@given(REFUSALS, REFUSALS)
def test_whatever_refuses_a_replay_the_id_is_one(one, other):
    event = Event(
        id="e", type="t", company_id="c", occurred_at=NOON, data={}, raw=b"{}", attempts=2, replay_of="0" * 32
    )
    assert id_of(one | {"event": event}) == id_of(other | {"event": attrs.evolve(event, data={"n": 1})})
