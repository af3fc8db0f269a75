"""Enrichers that take several events at once: how batches are filled, and how one bad event affects the others."""

from __future__ import annotations

import re

import apache_beam as beam
import attrs
import pytest
from apache_beam.transforms.window import FixedWindows, TimestampedValue
from event_factory import make_event
from pipeline_runs import run_enrich

import holded_pipeline as hp
from holded_pipeline.enriching.drafts import Draft
from holded_pipeline.transforms.workers.enricher_calls import EnricherCalls

LONG_RETRY = hp.Retry(deadline=20, first_wait=0.01, longest_wait=0.02)


class Together:
    """Answers with the size of the batch."""

    name = "together"

    def enrich_batch(self, events):
        return [{"of": len(events), "n": event.data["n"]} for event in events]


def outcomes(enricher, count=5):
    calls = EnricherCalls(enricher)
    try:
        return calls.outcomes([Draft(make_event(n)) for n in range(count)])
    finally:
        calls.close()


# --- filling


def sizes(ran):
    return sorted(passed.metadata["together"]["of"] for passed in ran["passed"])


def test_each_event_gets_the_result_at_its_position(run):
    ran = run_enrich(run, Together(), events=[make_event(n) for n in range(10)])
    assert {passed.id for passed in ran["passed"]} == {f"e{n}" for n in range(10)}
    assert all(passed.metadata["together"]["n"] == passed.data["n"] for passed in ran["passed"])
    assert ran.counters["enrich.passed"] == 10


def test_a_batch_is_called_when_it_is_full_and_the_rest_at_the_end(run):
    ran = run_enrich(run, hp.Enricher("together", Together(), batch_size=4), events=[make_event(n) for n in range(10)])
    assert sizes(ran) == [2] * 2 + [4] * 8


def test_a_batch_is_called_after_batch_seconds(run):
    enricher = hp.Enricher("together", Together(), batch_seconds=1e-9)
    assert sizes(run_enrich(run, enricher, events=[make_event(n) for n in range(3)])) == [1, 1, 1]


def test_a_batch_is_called_when_its_records_have_many_bytes(run):
    ran = run_enrich(run, Together(), events=[make_event(n, raw=bytes(3_000_000)) for n in range(4)])
    assert sizes(ran) == [1, 3, 3, 3]


def test_timestamps_and_windows_stay_with_their_events(run):
    class Half(Together):
        def enrich_batch(self, events):
            return [{} if event.data["n"] % 2 else hp.RejectRecord("even", "it is even") for event in events]

    class Stamp(beam.DoFn):
        def process(self, element, stamp=beam.DoFn.TimestampParam, window=beam.DoFn.WindowParam):
            name = element.id if isinstance(element, hp.Event) else element.event_id
            yield name, float(stamp), float(window.start)

    def build(pipeline):
        events = pipeline | beam.Create([make_event(n) for n in range(8)])
        stamped = events | beam.Map(lambda each: TimestampedValue(each, each.data["n"] * 10))
        windowed = stamped | beam.WindowInto(FixedWindows(20))
        enriched = windowed | hp.Enrich(hp.Enricher("half", Half(), batch_size=3))
        return {
            "passed": enriched.passed | "P" >> beam.ParDo(Stamp()),
            "rejected": enriched.rejected | "R" >> beam.ParDo(Stamp()),
        }

    ran = run(build)
    seen = sorted(ran["passed"] + ran["rejected"])
    assert seen == [(f"e{n}", n * 10.0, float(n * 10 // 20 * 20)) for n in range(8)]
    assert {name for name, *_ in ran["rejected"]} == {"e0", "e2", "e4", "e6"}


def test_batches_and_single_events_alternate_and_see_earlier_results(run):
    def first(event):
        return {"n": event.data["n"]}

    class Second:
        name = "second"

        def enrich_batch(self, events):
            return [{"n": event.metadata["first"]["n"] + 1} for event in events]

    def third(event):
        return {"n": event.metadata["second"]["n"] + 1}

    class Fourth:
        name = "fourth"

        def enrich_batch(self, events):
            return [{"n": event.metadata["third"]["n"] + 1} for event in events]

    ran = run_enrich(run, first, Second(), third, Fourth(), events=[make_event(n) for n in range(3)])
    assert sorted(passed.metadata["fourth"]["n"] for passed in ran["passed"]) == [3, 4, 5]
    assert ran.counters["enrich.passed"] == 3
    (one, *_) = ran["passed"]
    assert set(one.metadata["enrichers"]) == {"first", "second", "third", "fourth"}


def test_an_event_that_any_step_rejects_is_rejected_once(run):
    class Odd(Together):
        def enrich_batch(self, events):
            return [ValueError("odd") if event.data["n"] == 1 else {} for event in events]

    def last(event):
        return {"n": 1 / (event.data["n"] - 2)}

    ran = run_enrich(run, "processing", Odd(), last, events=[make_event(n) for n in range(4)])
    assert sorted(passed.id for passed in ran["passed"]) == ["e0", "e3"]
    assert sorted((r.event_id, r.reason) for r in ran["rejected"]) == [
        ("e1", "enricher_error"),
        ("e2", "enricher_error"),
    ]
    assert ran.counters["enrich.rejected"] == 2


# --- failing


class Poisoned:
    """Fails as a whole when it meets a certain event."""

    name = "poisoned"

    def __init__(self, fail):
        self.fail = fail
        self.batches = []

    def enrich_batch(self, events):
        self.batches.append(len(events))
        if any(event.data["n"] == 2 for event in events):
            return self.fail(events)
        return [{"ok": True} for _ in events]


def raises(error):
    def fail(events):
        raise error

    return fail


@pytest.mark.parametrize(
    ("fail", "kind", "words"),
    [
        (raises(ZeroDivisionError("poison")), "enricher_error", "ZeroDivisionError: poison"),
        (raises(hp.RejectRecord("embargoed", "no")), "embargoed", "no"),
        (raises(SystemExit(1)), "enricher_error", "sys.exit"),
        (lambda events: [{}] * (len(events) + 1), "enricher_output", "returned a list of 2.*one item for each event"),
        (lambda events: None, "enricher_output", "returned a NoneType"),
        (lambda events: ({} for _ in events), "enricher_output", "returned a generator"),
        (lambda events: {"n": 1}, "enricher_output", "returned a dict"),
    ],
)
def test_an_event_that_fails_its_batch_affects_only_itself(run, fail, kind, words):
    ran = run_enrich(run, Poisoned(fail), events=[make_event(n) for n in range(5)])
    assert sorted(passed.id for passed in ran["passed"]) == ["e0", "e1", "e3", "e4"]
    (rejected,) = ran["rejected"]
    assert (rejected.event_id, rejected.reason) == ("e2", kind)
    assert "enricher poisoned" in rejected.message
    assert re.search(words, rejected.message)


def test_a_batch_that_fails_is_repeated_event_by_event_once():
    poisoned = Poisoned(raises(ZeroDivisionError()))
    outcomes(hp.Enricher("poisoned", poisoned))
    assert poisoned.batches == [5, 1, 1, 1, 1, 1]


def test_single_results_that_are_not_mappings_reject_only_their_events(run):
    class Mixed(Together):
        def enrich_batch(self, events):
            return [{"ok": 1}, None, ValueError("mine"), {"bad": object()}, ValueError, hp.RejectRecord("no", "no")]

    ran = run_enrich(run, Mixed(), events=[make_event(n) for n in range(6)])
    assert [passed.id for passed in ran["passed"]] == ["e0"]
    assert sorted((rejected.event_id, rejected.reason) for rejected in ran["rejected"]) == [
        ("e1", "enricher_output"),
        ("e2", "enricher_error"),
        ("e3", "enricher_output"),
        ("e4", "enricher_output"),
        ("e5", "no"),
    ]


def test_a_batch_that_hangs_on_one_event_loses_only_that_one(run):
    def hang(events):
        while True:
            pass

    ran = run_enrich(
        run, hp.Enricher("poisoned", Poisoned(hang), timeout=0.5), events=[make_event(n) for n in range(4)]
    )
    assert sorted(passed.id for passed in ran["passed"]) == ["e0", "e1", "e3"]
    assert [(rejected.event_id, rejected.reason) for rejected in ran["rejected"]] == [("e2", "enricher_timeout")]


class Away:
    """Its server is away for some calls; `how` says whether it raises that or returns it for one event."""

    name = "away"

    def __init__(self, times, how):
        self.left = times
        self.how = how
        self.batches = []

    def enrich_batch(self, events):
        self.batches.append(len(events))
        self.left -= 1
        if self.left < 0:
            return [{} for _ in events]
        if self.how == "raise":
            raise ConnectionResetError("gone")
        return [{}, ConnectionResetError("gone"), *({} for _ in events[2:])]


@pytest.mark.parametrize("how", ["raise", "return"])
def test_an_outage_is_retried_for_the_whole_batch(how):
    away = Away(2, how)
    assert outcomes(hp.Enricher("away", away, retry=LONG_RETRY)) == [{}] * 5
    assert away.batches == [5, 5, 5]


@pytest.mark.parametrize("how", ["raise", "return"])
def test_an_outage_fails_the_run_and_rejects_nothing(run, how):
    with pytest.raises(
        hp.TransientError, match="the enricher away, called for event e[01], raised ConnectionResetError"
    ):
        run_enrich(run, Away(10**6, how), events=[make_event(n) for n in range(3)])


def test_a_batch_enricher_without_retry_is_called_once_in_an_outage():
    away = Away(10**6, "raise")
    outcomes(hp.Enricher("away", away))
    assert away.batches == [5]


def test_the_events_of_a_batch_cannot_be_changed(run):
    class Changing(Together):
        def enrich_batch(self, events):
            events[0].data["n"] = 7
            return [{} for _ in events]

    ran = run_enrich(run, Changing(), events=[make_event(n) for n in range(2)])
    assert ran["passed"] == []
    assert all("tried to change the event" in rejected.message for rejected in ran["rejected"])


def test_a_batch_enricher_can_be_called_alone():
    enriched = hp.Enricher("together", Together())(make_event(3))
    assert enriched.metadata["together"] == {"of": 1, "n": 3}
    with pytest.raises(hp.RejectRecord, match="returned a NoneType"):
        hp.Enricher("poisoned", Poisoned(lambda events: None))(make_event(2))


def test_a_batch_enricher_may_be_made_for_the_run(run):
    @attrs.frozen
    class Aware:
        name = "aware"
        run_id: str | None = None

        def for_run(self, run_id):
            return attrs.evolve(self, run_id=run_id)

        def enrich_batch(self, events):
            return [{"run": self.run_id} for _ in events]

    def build(pipeline):
        return {"passed": (pipeline | beam.Create([make_event()]) | hp.Enrich(Aware())).passed}

    (passed,) = run(build, run_id="run-9")["passed"]
    assert passed.metadata["aware"] == {"run": "run-9"}
