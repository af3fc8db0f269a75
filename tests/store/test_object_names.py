"""Keys: the value of a field stays on one level, and no two objects have the same name."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from event_factory import make_event
from hypothesis import example, given
from hypothesis import strategies as st

from holded_pipeline.api.received.archive import partition_of
from holded_pipeline.model import json_codec
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.values import Event, Rejected, Source
from holded_pipeline.reading.envelopes import event_document
from holded_pipeline.reading.key_patterns import glob_regex
from holded_pipeline.rejected.rejections import reject, to_line
from holded_pipeline.store.listed_pattern import normalize_pattern
from holded_pipeline.store.object_names import (
    ObjectIdentity,
    ObjectNames,
    escape_key_level,
    has_ambiguous_level,
    join_key,
    partition_template,
    rejected_partition,
    shorten_with_digest,
    validate_prefix,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEXTS = st.text(st.sampled_from("a/.😀\ud800%~"), max_size=400)


def sample_event(**fields) -> Event:
    defaults = {
        "type": r"Holded\Wallet\Domain\User\Events\UserUpdatedEvent",
        "company_id": "c1",
        "occurred_at": datetime(2026, 3, 1, 23, 30, tzinfo=UTC),
        "data": {},
        "source": Source("b", "raw/a", "etag", 1),
    }
    return make_event(1, **(defaults | fields))


def identity_of(*elements: Event | Rejected) -> ObjectIdentity:
    identity = ObjectIdentity()
    for each in elements:
        time_member = identity.begin(each)
        for chunk in [json_codec.encode(event_document(each))] if isinstance(each, Event) else to_line(each):
            identity.add(chunk, time_member, identity.take_origins())
    return identity


def key_of(*elements: Event | Rejected, names: ObjectNames | None = None, partition: str = "p") -> str:
    return (names or ObjectNames("run", "Write")).key("out/", partition, identity_of(*elements), ".jsonl")


def rejected(at: datetime = NOON, **fields) -> Rejected:
    made = reject(
        RejectRecord("odd", "m"), stage="validate", raw=b"{}", run_id="r", rejected_at=at, event=sample_event()
    )
    return attrs.evolve(made, **fields)


def test_a_template_makes_a_folder_of_its_fields():
    partition = partition_template("date={date}/h={hour}/{type_name}")
    assert partition(sample_event()) == "date=2026-03-01/h=23/UserUpdatedEvent"


def test_an_unknown_field_raises_value_error_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'dat'.*company_id, date"):
        partition_template("{dat}")


@pytest.mark.parametrize("year", [1, 999, 2026])
def test_a_year_has_four_digits_so_that_days_sort(year):
    early = sample_event(occurred_at=NOON.replace(year=year))
    assert partition_template("{month}/{date}")(early) == f"{year:04}-03/{year:04}-03-01"
    assert partition_of(NOON.replace(year=year).date()) == f"date={year:04}-03-01"
    assert rejected_partition(rejected(NOON.replace(year=year))) == f"stage=validate/date={year:04}-03-01"


@given(st.text())
def test_an_escaped_text_can_neither_open_a_folder_nor_leave_one(text):
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
def test_an_escaped_text_is_never_an_ambiguous_level(text):
    assert not has_ambiguous_level(escape_key_level(text))


AMBIGUOUS = ["a//b/", "./x/", "../y/", "c/../d/", "a/./b", "a//b"]


@pytest.mark.parametrize("prefix", [*AMBIGUOUS, "a/.", "..", None, 7])
def test_a_prefix_with_an_ambiguous_level_raises_value_error(prefix):
    with pytest.raises(ValueError, match="prefix must be text such as 'raw/'.*without empty levels"):
        validate_prefix(prefix)


@pytest.mark.parametrize("prefix", ["", "/", "raw", "raw/", "/raw/", "raw//", "a/b.c/..d/...", "a b/é/"])
def test_any_other_prefix_is_used(prefix):
    assert validate_prefix(prefix) == prefix


@pytest.mark.parametrize("pattern", [*AMBIGUOUS, "a//*.json", "**//x"])
def test_a_pattern_for_which_some_stores_list_nothing_raises_value_error(pattern):
    with pytest.raises(ValueError, match="pattern must be text such as 'raw/'"):
        normalize_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "used"),
    [("", ""), ("/raw/", "raw/"), ("raw//", "raw/"), ("raw/.", "raw/."), ("a/**/b?.json", "a/**/b?.json"), ("/", "")],
)
def test_slashes_around_a_pattern_make_no_difference(pattern, used):
    assert normalize_pattern(pattern) == used


def test_a_wildcard_finds_keys_with_an_empty_level():
    assert re.match(glob_regex("a/*/b/**"), "a//b/x.json")


def test_a_partition_with_an_empty_level_raises_value_error():
    with pytest.raises(ValueError, match="partition must be text"):
        partition_template("date={date}//{type_name}")


def test_slashes_are_neither_doubled_nor_missing():
    assert join_key("enriched/", "date=1", "x.jsonl") == "enriched/date=1/x.jsonl"
    assert join_key("", "", "x.jsonl") == "x.jsonl"


def test_the_same_records_make_the_same_name_again():
    assert key_of(sample_event(), sample_event(id="e2")) == key_of(sample_event(), sample_event(id="e2"))


def test_other_records_make_another_name():
    names = {
        key_of(sample_event()),
        key_of(sample_event(id="e2")),
        key_of(sample_event(source=Source("b", "raw/a", "etag", 2))),
    }
    assert len(names) == 3


def test_events_without_a_source_never_share_a_name():
    assert key_of(sample_event(source=None)) != key_of(sample_event(source=None))


LINES = st.builds(
    lambda n, item, note, twin: sample_event(
        id=f"e{n}", source=Source("b", "raw/a", "etag", 1, item), data={"note": note}, metadata={"twin": twin}
    ),
    st.integers(0, 2), st.sampled_from([None, 1]), st.sampled_from(["", "a"]), st.booleans(),
)  # fmt: skip


@given(st.lists(LINES, max_size=3), st.lists(LINES, max_size=3))
def test_keys_are_equal_exactly_where_the_content_is(one, other):
    assert (key_of(*one) == key_of(*other)) == (one == other)


SETTINGS = st.tuples(*[st.sampled_from(["a", "a/b", "b"])] * 3, st.sampled_from([(), ("0", "60"), ("60", "120")]))


@given(SETTINGS, SETTINGS)
def test_different_runs_steps_folders_and_windows_make_different_keys(one, other):
    def key(run, step, partition, window):
        return ObjectNames(run, step).key("out/", partition, identity_of(sample_event()), ".jsonl", window=window)

    assert (key(*one) == key(*other)) == (one == other)


def test_equal_lines_in_a_bundle_are_two_objects_and_a_retry_makes_the_same_two():
    def bundle():
        names = ObjectNames("run", "Write")
        return [key_of(*each, names=names) for each in ([sample_event()], [sample_event(id="e2")], [sample_event()])]

    assert len(set(bundle())) == 3
    assert bundle() == bundle()


def test_the_time_of_processing_is_not_content_and_all_else_is():
    def processed(at, **fields):
        return sample_event(metadata={"processing": {"processed_at": at.isoformat()}, "quality": {}}, **fields)

    later = NOON + timedelta(microseconds=1)
    assert key_of(processed(NOON)) == key_of(processed(later))
    assert key_of(processed(NOON)) != key_of(sample_event(metadata={"processing": {}, "quality": {}}))
    assert key_of(processed(NOON, data={"processed_at": 1})) != key_of(processed(later, data={"processed_at": 2}))
    assert key_of(rejected(NOON)) == key_of(rejected(later))
    assert key_of(rejected(NOON)) != key_of(rejected(NOON, message="another"))
    assert key_of(rejected(NOON, raw=b'"rejected_at":1')) != key_of(rejected(later, raw=b'"rejected_at":2'))


@given(st.lists(TEXTS, min_size=3, max_size=3), st.integers(1, 8))
@example(["aaaaa" + "/" * 7 + "\ud800" * 4 + "😀😀😀😀/", "a" * 8 + "/" * 7 + "\ud800" * 4 + "😀😀😀😀", "😀😀😀"], 3)
@example(["a" * 250, "b" * 250, "r"], 8)
@example(["a" * 120, "b" * 120, "r" * 158], 8)
def test_a_key_fits_the_store_whatever_the_event_and_the_template(texts, times):
    kind, company, run = texts
    template = partition_template("/".join(["t={type}-{company_id}/{type_name}{company_id}"] * times))
    names = ObjectNames(run, "Write")
    key = key_of(sample_event(), names=names, partition=template(sample_event(type=kind, company_id=company)))
    assert len(key.encode()) <= 1024
    assert all(0 < len(level) <= 255 and level not in (".", "..") for level in key.split("/"))


@given(st.lists(st.text("aé😀", max_size=80), min_size=2, max_size=2, unique=True))
def test_shortened_texts_differ_where_the_texts_do(texts):
    one, other = (shorten_with_digest(text, 100) for text in texts)
    assert one != other
    assert all(len(text.encode()) <= 100 for text in (one, other))
