"""Keys: what an event puts in stays on one level, and no two objects are called the same."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holded_pipeline.api.archive import partition_of
from holded_pipeline.model import json_codec
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.values import Event, Rejected, Source
from holded_pipeline.reading.envelopes import event_document
from holded_pipeline.reading.key_patterns import glob_regex
from holded_pipeline.rejected.rejections import reject, to_line
from holded_pipeline.store.object_names import (
    ObjectIdentity,
    ObjectNames,
    escape_key_level,
    has_odd_level,
    joined,
    partition_template,
    rejected_partition,
    shorten_with_digest,
    usable_pattern,
    usable_prefix,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEXTS = st.text(st.sampled_from("a/.😀\ud800%~"), max_size=400)


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


def identity_of(*elements: Event | Rejected) -> ObjectIdentity:
    identity = ObjectIdentity()
    for each in elements:
        identity.begin(each)
        for piece in [json_codec.encode(event_document(each))] if isinstance(each, Event) else to_line(each):
            identity.add(piece)
    return identity


def named(*elements: Event | Rejected, names: ObjectNames | None = None, partition: str = "p") -> str:
    return (names or ObjectNames("run", "Write")).key("out/", partition, identity_of(*elements), ".jsonl")


def rejected(at: datetime = NOON, **fields) -> Rejected:
    made = reject(RejectRecord("odd", "m"), stage="validate", raw=b"{}", run_id="r", rejected_at=at, event=event())
    return attrs.evolve(made, **fields)


def test_a_template_files_by_what_it_names():
    partition = partition_template("date={date}/h={hour}/{type_name}")
    assert partition(event()) == "date=2026-03-01/h=23/UserUpdatedEvent"


def test_an_unknown_field_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'dat'.*company_id, date"):
        partition_template("{dat}")


@pytest.mark.parametrize("year", [1, 999, 2026])
def test_a_year_has_four_digits_so_that_days_sort(year):
    early = event(occurred_at=NOON.replace(year=year))
    assert partition_template("{month}/{date}")(early) == f"{year:04}-03/{year:04}-03-01"
    assert partition_of(NOON.replace(year=year).date()) == f"date={year:04}-03-01"
    assert rejected_partition(rejected(NOON.replace(year=year))) == f"stage=validate/date={year:04}-03-01"


@given(st.text())
def test_text_of_an_event_can_neither_open_a_folder_nor_leave_one(text):
    level = escape_key_level(text)
    assert level
    assert "/" not in level
    assert level != "."
    assert ".." not in level
    assert level.isascii()


@given(st.lists(st.text(max_size=6), min_size=2, max_size=2, unique=True))
def test_different_texts_make_different_levels(texts):
    levels = {escape_key_level(text) for text in texts if text not in ("", "_")}
    assert len(levels) == len([text for text in texts if text not in ("", "_")])


@given(st.text())
def test_text_of_an_event_is_a_level_that_a_store_takes_for_no_other(text):
    assert not has_odd_level(escape_key_level(text))


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


LINES = st.builds(
    lambda n, item, note, twin: event(
        id=f"e{n}", source=Source("b", "raw/a", "etag", 1, item), data={"note": note}, metadata={"twin": twin}
    ),
    st.integers(0, 2), st.sampled_from([None, 1]), st.sampled_from(["", "a"]), st.booleans(),
)  # fmt: skip


@given(st.lists(LINES, max_size=3), st.lists(LINES, max_size=3))
def test_different_content_makes_a_different_key_and_the_same_content_the_same(one, other):
    assert (named(*one) == named(*other)) == (one == other)


PLACES = st.tuples(*[st.sampled_from(["a", "a/b", "b"])] * 3, st.sampled_from([(), ("0", "60"), ("60", "120")]))


@given(PLACES, PLACES)
def test_different_runs_steps_folders_and_windows_make_different_keys(one, other):
    def key(run, step, partition, window):
        return ObjectNames(run, step).key("out/", partition, identity_of(event()), ".jsonl", window=window)

    assert (key(*one) == key(*other)) == (one == other)


def test_the_same_lines_twice_in_a_bundle_are_two_objects_and_the_same_two_when_it_is_tried_again():
    def bundle():
        names = ObjectNames("run", "Write")
        return [named(*each, names=names) for each in ([event()], [event(id="e2")], [event()])]

    assert len(set(bundle())) == 3
    assert bundle() == bundle()


def test_the_moment_a_clock_gave_is_no_content_and_all_else_is():
    def processed(at, **fields):
        return event(metadata={"processing": {"processed_at": at.isoformat()}, "quality": {}}, **fields)

    later = NOON + timedelta(microseconds=1)
    assert named(processed(NOON)) == named(processed(later))
    assert named(processed(NOON)) != named(event(metadata={"processing": {}, "quality": {}}))
    assert named(processed(NOON, data={"processed_at": 1})) != named(processed(later, data={"processed_at": 2}))
    assert named(rejected(NOON)) == named(rejected(later))
    assert named(rejected(NOON)) != named(rejected(NOON, message="another"))
    assert named(rejected(NOON, raw=b'"rejected_at":1')) != named(rejected(later, raw=b'"rejected_at":2'))


@given(st.lists(TEXTS, min_size=3, max_size=3), st.integers(1, 8))
@example(["aaaaa" + "/" * 7 + "\ud800" * 4 + "😀😀😀😀/", "a" * 8 + "/" * 7 + "\ud800" * 4 + "😀😀😀😀", "😀😀😀"], 3)
@example(["a" * 250, "b" * 250, "r"], 8)
@example(["a" * 120, "b" * 120, "r" * 158], 8)
def test_a_key_fits_the_store_whatever_the_event_and_the_template(texts, times):
    kind, company, run = texts
    template = partition_template("/".join(["t={type}-{company_id}/{type_name}{company_id}"] * times))
    names = ObjectNames(run, "Write")
    key = named(event(), names=names, partition=template(event(type=kind, company_id=company)))
    assert len(key.encode()) <= 1024
    assert all(0 < len(level) <= 255 and level not in (".", "..") for level in key.split("/"))


@given(st.lists(st.text("aé😀", max_size=80), min_size=2, max_size=2, unique=True))
def test_shortened_texts_differ_where_the_texts_do(texts):
    one, other = (shorten_with_digest(text, 100) for text in texts)
    assert one != other
    assert all(len(text.encode()) <= 100 for text in (one, other))
