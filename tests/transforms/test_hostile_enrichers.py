"""Whatever an enricher of user code does, it is contained and named; what is stored stays whole."""

from __future__ import annotations

import contextlib
import heapq
import json
import re
import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

import attrs
import pytest
from event_factory import make_event
from pipeline_runs import run_enrich

import holded_pipeline as hp
from holded_pipeline.enriching.drafts import Draft
from holded_pipeline.transforms.workers.enricher_calls import EnricherCalls

DATA = {"amount": 2, "lines": [{"sku": "a"}], "customer": {"tags": ["x"]}}


def order_event(number=0):
    return make_event(number, data=json.loads(json.dumps(DATA)) | {"n": number})


def rejection_of(run, function):
    """The one rejection by a user's function, between two built-in enrichers."""
    (rejected,) = run_enrich(
        run, "processing", hp.Enricher("hostile", function, version="3"), "quality", events=[order_event()]
    )["rejected"]
    assert "the enricher hostile 3" in rejected.message
    assert len(rejected.message) < 800
    json.loads(rejected.raw)
    return rejected


# --- raising


def recursing(event):
    return recursing(event)


def exiting(event):
    sys.exit(3)


class UnspeakableError(Exception):
    def __str__(self):
        raise ValueError("not even its message")


class ExitingWords(Exception):  # noqa: N818
    def __str__(self):
        raise SystemExit(4)


class Unfinished(hp.RejectRecord):
    def __init__(self):
        """Without what the base needs."""


def raising(error):
    def function(event):
        raise error

    return function


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (raising(ZeroDivisionError("oh")), "raised ZeroDivisionError: oh"),
        (recursing, "raised RecursionError"),
        (exiting, "raised SystemExit: 3: it called sys.exit"),
        (raising(GeneratorExit()), "raised GeneratorExit"),
        (raising(UnspeakableError()), "raised UnspeakableError: no message"),
        (raising(ValueError("\0\ud800" + "x" * 10_000)), r"raised ValueError: \\0\\ud800x+$"),
        (raising(ExitingWords()), "raised ExitingWords: no message"),
        (raising(Unfinished()), "raised Unfinished, a RejectRecord that cannot be read.*call super"),
        (raising(hp.RejectRecord("Not A Code", "m")), "with the reason 'Not A Code'.*snake_case"),
        (raising(hp.RejectRecord(None, "m")), "with the reason None"),
    ],
)
def test_what_it_raises_rejects_the_event_and_names_it(run, function, words):
    rejected = rejection_of(run, function)
    assert rejected.reason == "enricher_error"
    assert re.search(words, rejected.message)


def test_a_rejection_with_unusable_contents_is_still_a_record(run):
    rejected = rejection_of(run, raising(hp.RejectRecord("embargoed", "\ud800" * 100, [1, hp.Violation("", "k", "m")])))
    assert rejected.reason == "embargoed"
    assert rejected.violations == (hp.Violation("", "k", "m"),)


class OwnOutage(hp.TransientError):
    def __init__(self, url, status):
        super().__init__(f"{url} answered {status}")


def test_an_outage_of_a_users_own_class_names_the_enricher(run):
    def asking(event):
        raise OwnOutage("ours", 503)

    with pytest.raises((hp.TransientError, RuntimeError), match="the enricher asking,.*: ours answered 503"):
        run_enrich(run, hp.Enricher("asking", asking, on_error="skip"), events=[order_event()])


def test_only_ctrl_c_ends_the_run_at_once(run):
    with pytest.raises((KeyboardInterrupt, RuntimeError), match="KeyboardInterrupt"):
        run_enrich(run, raising(KeyboardInterrupt("KeyboardInterrupt")), events=[order_event()])


def test_events_that_it_does_not_fail_for_pass(run):
    def picky(event):
        return {"n": 1 / event.data["n"]}

    ran = run_enrich(run, picky, events=[order_event(n) for n in range(5)])
    assert sorted(passed.id for passed in ran["passed"]) == ["e1", "e2", "e3", "e4"]
    assert [rejected.event_id for rejected in ran["rejected"]] == ["e0"]


# --- returning unusable results


class Exploding(Mapping):
    def __getitem__(self, name):
        raise LookupError("boom")

    def __iter__(self):
        return iter("ab")

    def __len__(self):
        return 2


class Exiting(Exploding):
    def __iter__(self):
        sys.exit(3)


class ExitingEquality(dict):
    def __eq__(self, other):
        sys.exit(3)

    __ne__ = __eq__
    __hash__ = None


def cyclic():
    value = {"a": []}
    value["a"].append(value)
    return value


def cyclic_beside_an_object():
    value = {"first": object()}
    value["again"] = value
    return value


def deep():
    value = {}
    for _ in range(500):
        value = {"in": value}
    return value


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (lambda: None, "returned None, as a function without a return does; it must return a mapping"),
        (lambda: [1], "returned list"),
        (lambda: (n for n in "ab"), "returned generator"),
        (lambda: {"a": object()}, "object at /a"),
        (lambda: {"a": {1, 2}}, "set at /a"),
        (lambda: {"at": datetime(2026, 1, 1, tzinfo=UTC)}, "datetime at /at"),
        (lambda: {"a": b"x"}, "bytes at /a"),
        (lambda: {1: "a"}, "the key 1 at the top is not a string"),
        (lambda: {"a": {None: 1}}, "the key None at /a"),
        (lambda: {"a": float("nan")}, "nan at /a"),
        (lambda: {"a": [float("inf")]}, "inf at /a/0"),
        (lambda: {"a": "\0"}, "at /a contains U[+]0000"),
        (lambda: {"a": "\ud800"}, "lone surrogate"),
        (lambda: {"a": 10**5000}, "4,300 digits"),
        (lambda: {"a": "x" * 1_000_001}, "1,000,009 bytes as JSON, and 1,000,000 are kept"),
        (cyclic, "contains itself"),
        (cyclic_beside_an_object, "contains itself"),
        (deep, "more than 100 levels"),
        (Exploding, "LookupError: boom"),
        (Exiting, "SystemExit: 3"),
        (lambda: {"a": ExitingEquality(b=1)}, "SystemExit: 3"),
    ],
)
def test_a_result_that_is_no_json_rejects_the_event(run, result, words):
    rejected = rejection_of(run, lambda event: result())
    assert rejected.reason == "enricher_output"
    assert re.search(words, rejected.message)


def test_an_unusable_result_is_skipped_as_errors_are(run):
    (passed,) = run_enrich(run, hp.Enricher("odd", lambda event: [1], on_error="skip"), events=[order_event()])[
        "passed"
    ]
    assert passed.metadata == {
        "enrichers": {"odd": {"version": None, "status": "skipped", "error": "returned list; it must return a mapping"}}
    }


def test_a_result_is_what_it_was_when_it_was_returned(run):
    kept = {"calls": [0]}

    def keeping(event):
        kept["calls"][0] += 1
        return kept

    ran = run_enrich(run, keeping, lambda_named("other"), events=[order_event(n) for n in range(3)])
    assert sorted(passed.metadata["keeping"]["calls"][0] for passed in ran["passed"]) == [1, 2, 3]


def lambda_named(name):
    return hp.Enricher(name, lambda event: {})


def test_a_part_of_the_event_may_be_returned(run):
    def returning(event):
        return event.data

    (passed,) = run_enrich(run, returning, events=[order_event()])["passed"]
    assert passed.metadata["returning"] == passed.data == DATA | {"n": 0}
    assert type(passed.metadata["returning"]) is dict
    assert type(passed.metadata["returning"]["lines"]) is list


# --- changing what it was given


def set_in_data(event):
    event.data["amount"] = 3


def set_deep_in_data(event):
    event.data["customer"]["tags"].append("y")


def sort_a_list(event):
    event.data["lines"].sort(key=str)


def update_in_place(event):
    data = event.data
    data |= {"amount": 3}


def pop_from_metadata(event):
    event.metadata.pop("processing")


def change_what_another_learned(event):
    event.metadata["processing"]["run_id"] = "mine"


def set_a_field(event):
    event.data = {}


def set_a_new_field(event):
    event.note = "x"


@pytest.mark.parametrize(
    "function",
    [
        set_in_data,
        set_deep_in_data,
        sort_a_list,
        update_in_place,
        pop_from_metadata,
        change_what_another_learned,
        set_a_field,
        set_a_new_field,
    ],
)
def test_a_change_to_the_event_is_rejected_with_the_remedy(run, function):
    rejected = rejection_of(run, function)
    assert rejected.reason == "enricher_error"
    assert re.search(r"tried to change the event.*return what is to be added.*copy\.deepcopy", rejected.message)


@pytest.mark.parametrize("function", [set_in_data, set_deep_in_data, pop_from_metadata])
def test_a_change_that_is_tried_leaves_what_is_stored_as_it_was(run, function):
    (passed,) = run_enrich(
        run, "business_context", hp.Enricher("hostile", function, on_error="skip"), events=[order_event()]
    )["passed"]
    assert passed.data == DATA | {"n": 0}
    assert "tried to change the event" in passed.metadata["enrichers"]["hostile"]["error"]


def heapify(event):
    heapq.heapify(event.data["list"])


def append_unbound(event):
    list.append(event.data["list"], 4)


def set_unbound(event):
    dict.__setitem__(event.data, "amount", 3)


def set_deep_unbound(event):
    dict.__setitem__(event.data["lines"][0], "sku", "forged")


def clear_what_another_learned(event):
    dict.clear(event.metadata["business_context"])


def clear_the_metadata(event):
    dict.clear(event.metadata)


def force_a_field(event):
    object.__setattr__(event, "company_id", "forged")


def force_the_data(event):
    object.__setattr__(event, "data", {})


def force_the_source(event):
    object.__setattr__(event.source, "key", "forged")


class EqualToAll:
    def __eq__(self, other):
        sys.exit(3)

    __hash__ = None


def put_in_what_raises(event):
    dict.__setitem__(event.data, "amount", EqualToAll())


CHANGES_BY_C_CODE = [
    heapify,
    append_unbound,
    set_unbound,
    set_deep_unbound,
    clear_what_another_learned,
    clear_the_metadata,
    force_a_field,
    force_the_data,
    force_the_source,
    put_in_what_raises,
]
SOURCE = hp.Source("b", "k", "etag", 1)


def sourced_event():
    one = order_event()
    return attrs.evolve(one, source=SOURCE, metadata={"collected_at": "2026"}, data=one.data | {"list": [3, 2, 1]})


def returning(change):
    def function(event):
        change(event)
        return {}

    return function


def seen(event):
    """Everything that the next enricher sees."""
    return {"seen": repr((event.company_id, event.source, event.data, sorted(event.metadata)))}


@pytest.mark.parametrize("change", CHANGES_BY_C_CODE)
def test_a_change_by_c_code_rejects_the_event_and_names_the_enricher(run, change):
    hostile = hp.Enricher("hostile", returning(change), version="3")
    (rejected,) = run_enrich(run, "business_context", hostile, seen, events=[sourced_event()])["rejected"]
    assert rejected.reason == "enricher_error"
    assert rejected.message.startswith("the enricher hostile 3 tried to change the event")


@pytest.mark.parametrize("change", CHANGES_BY_C_CODE)
@pytest.mark.parametrize("raises", [False, True], ids=["returns", "raises"])
def test_a_change_by_c_code_is_neither_seen_later_nor_stored(run, change, raises):
    def function(event):
        change(event)
        return 1 / 0 if raises else {}

    hostile = hp.Enricher("hostile", function, on_error="skip")
    (passed,) = run_enrich(run, "business_context", hostile, seen, events=[sourced_event()])["passed"]
    expected = attrs.evolve(sourced_event(), metadata={"collected_at": "2026", "business_context": {}})
    assert passed.metadata["seen"] == seen(expected)
    assert passed.metadata["enrichers"]["hostile"]["status"] == "skipped"
    assert (passed.company_id, passed.source, passed.data) == ("c", SOURCE, sourced_event().data)
    assert type(passed.data) is dict


@pytest.mark.parametrize("extend", [False, True], ids=["alone", "beside_the_built_in"])
def test_a_quality_rule_that_changes_the_event_by_c_code_is_named(run, extend):
    rules = [
        hp.QualityRule("list.sorted", "validity", 1, heapify),
        hp.QualityRule("fine", "validity", 1, lambda event: None),
    ]
    quality = hp.Quality(rules[:1], extend=extend)
    (rejected,) = run_enrich(run, quality, seen, events=[sourced_event()])["rejected"]
    assert rejected.reason == "enricher_error"
    assert re.match(
        "the enricher quality .*tried to change the event.*; the quality rule list.sorted did", rejected.message
    )
    (rejected,) = run_enrich(run, hp.Quality(rules, extend=extend), seen, events=[sourced_event()])["rejected"]
    assert rejected.message.endswith("; one of these did: the quality rule list.sorted, the quality rule fine")


def test_a_change_after_the_timeout_is_not_seen():
    release = threading.Event()

    def late(event):
        with contextlib.suppress(SystemExit):  # which ends it
            release.wait(20)
        list.append(event.data["list"], 4)

    calls = EnricherCalls(hp.Enricher("late", late, timeout=0.1, on_error="skip"))
    draft = Draft(sourced_event())
    shown = draft.view
    calls.apply(draft)
    view = draft.view
    release.set()
    until = time.monotonic() + 20
    while shown.data["list"] == [3, 2, 1]:
        assert time.monotonic() < until
        time.sleep(0.001)
    assert view.data == sourced_event().data
    calls.close()


def test_a_batch_that_changes_one_event_rejects_only_that_one(run):
    class Changing:
        name = "changing"

        def enrich_batch(self, events):
            list.append(events[0].data["lines"], 1)
            return [{} for _ in events]

    ran = run_enrich(run, Changing(), events=[order_event(n) for n in range(3)])
    assert [each.event_id for each in ran["rejected"]] == ["e0"]
    assert sorted(each.id for each in ran["passed"]) == ["e1", "e2"]
    assert "the enricher changing tried to change the event" in ran["rejected"][0].message


def test_a_value_of_another_type_in_the_view_is_no_change(run):
    """The view has a list for a tuple, and a dict for another mapping; no enricher did that."""
    made = attrs.evolve(order_event(), data=MappingProxyType({"pair": (1, [2]), "nan": float("nan")}))
    draft = Draft(made)
    draft.view.data["pair"]
    assert not draft.was_changed
    hp.Enricher("quiet", lambda event: {})(made)


def test_a_batch_enricher_may_empty_the_list_it_gets(run):
    class Emptying:
        name = "emptying"

        def enrich_batch(self, events):
            ids = []
            while events:
                ids.append(events.pop(0).id)
            return [{"id": each} for each in ids]

    ran = run_enrich(run, Emptying(), events=[order_event(n) for n in range(3)])
    assert [passed.metadata["emptying"]["id"] == passed.id for passed in ran["passed"]] == [True] * 3
    assert ran["rejected"] == []
