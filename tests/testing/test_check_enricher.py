"""check_enricher: each rule finds the enricher that breaks it and says what to do; good enrichers pass."""

from __future__ import annotations

import copy
import datetime as dt
import itertools
import os
import socket
import sys
import threading
import time
import uuid
from types import MappingProxyType

import pytest

import holded_pipeline as hp
from holded_pipeline.testing import ENRICHER_RULES, EVENT_TYPES, ContractError, check_enricher, contract_events

FEW = contract_events()[:2]
SOCKET = socket.socket()


def broken_by(enricher, events=FEW, **settings):
    """The rules that an enricher breaks, by name."""
    with pytest.raises(ContractError) as caught:
        check_enricher(enricher, events, **{"elsewhere": False, **settings})
    return {broken.rule: broken for broken in caught.value.broken}


def count_fields(event):
    return {"fields": len(event.data)}


class Opened:
    """A context manager with a file and a thread that calls need."""

    name = "opened"

    def __init__(self):
        self.file = None

    def __enter__(self):
        self.file = open(os.devnull)  # noqa: PTH123  closed in __exit__
        self.thread = threading.Thread(target=(stop := threading.Event()).wait)
        self.stop = stop
        self.thread.start()
        return self

    def __call__(self, event):
        return {"closed": self.file.closed}

    def __exit__(self, *_):
        self.file.close()
        self.stop.set()


class Batches:
    name = "batches"

    def enrich_batch(self, events):
        return [
            count_fields(event) if event.data else hp.RejectRecord("no_content", "an event says something")
            for event in events
        ]


def test_good_enrichers_pass_and_are_reported():
    report = check_enricher(hp.Enricher("good", count_fields, version="1.0"), elsewhere=False)
    assert (report.name, report.version, report.events) == ("good", "1.0", len(contract_events()))
    assert (report.rejected, report.deterministic) == (0, True)


def test_a_context_manager_and_a_batch_enricher_pass():
    check_enricher(Opened(), elsewhere=False)
    assert check_enricher(Batches(), elsewhere=False).rejected == 1


@pytest.mark.parametrize("name", ["processing", "business_context", "quality", "lateness", "fingerprint"])
def test_the_built_in_enrichers_keep_their_own_contract(name):
    check_enricher(name, elsewhere=False)


def test_a_mask_keeps_the_contract():
    check_enricher(hp.Mask(["/email", "/lines/*", "/contact"], key=hp.Secret("k" * 16)), elsewhere=False)


def test_a_lookup_keeps_the_contract(lake):
    lake.filesystem().pipe(f"{lake.bucket}/types.json", b'{"odd: empty data": {"n": 1}}')
    check_enricher(hp.Lookup.object(lake, "types.json", of="id", ttl=60), elsewhere=False, budget_seconds=30)


class HalfOpen:
    """Has only one method of a context manager."""

    name = "half_open"

    def __call__(self, event):
        return count_fields(event)

    def __enter__(self):
        return self


class NotEntered(Opened):
    def __enter__(self):
        super().__enter__()
        self.__exit__()


class CannotOpen(Opened):
    def __enter__(self):
        raise RuntimeError("no licence")


class SuppressesErrors(NotEntered):
    def __exit__(self, *_):
        self.stop.set()
        self.file.close()
        return True


class ExitsWhenOpened(Opened):
    def __enter__(self):
        sys.exit(3)


class ExitsWhenPickled(Opened):
    def __getstate__(self):
        sys.exit(3)


class LeavesFile(Opened):
    def __exit__(self, *_):
        self.stop.set()


class LeavesThread(Opened):
    def __enter__(self):
        self.file = open(os.devnull)  # noqa: PTH123  as above
        threading.Thread(target=time.sleep, args=(5,), name="forgotten", daemon=True).start()
        return self

    def __exit__(self, *_):
        self.file.close()


class LeavesSocket:
    name = "leaves_socket"

    def __init__(self):
        self.sockets = []

    def __call__(self, event):
        self.sockets.append(socket.socket())
        return {}


class CannotClose(Opened):
    def __exit__(self, *_):
        super().__exit__()
        raise RuntimeError("stuck")


def mutating(event):
    event.data["seen"] = True
    return {}


def mutating_past_the_read_only_view(event):
    dict.__setitem__(event.data, "seen", True)
    return {}


def mutating_metadata(event):
    event.metadata.update(seen=True)
    return {}


def mutating_the_event(event):
    event.type = "mine"
    return {}


def needing_a_field(event):
    return {"answer": event.data["answer"]}


def asking_a_server_that_is_down(event):
    raise ConnectionRefusedError("nobody listens")


def rejecting_without_a_code(event):
    raise hp.RejectRecord("Not A Code", "because")


class Counting:
    name = "counting"

    def __init__(self):
        self.calls = itertools.count()

    def __call__(self, event):
        return {"call": next(self.calls)}


CREATED_HERE = itertools.count()


def remembering_earlier_calls(event):
    return {"call": next(CREATED_HERE)}


def hanging(event):
    time.sleep(1.5)
    return {}


def breaks(rule, enricher, seen, advice, **settings):
    return pytest.param(rule, enricher, seen, advice, settings, id=f"{rule}: {seen}")


class BatchOf:
    """A batch enricher that returns what it is made with."""

    name = "batch_of"

    def __init__(self, function):
        self.function = function

    def enrich_batch(self, events):
        return self.function(events)

    def __repr__(self):
        return self.function.__name__


class FailsForRun:
    name = "fails_for_run"

    def __call__(self, event):
        return {}

    def for_run(self, run_id):
        return {}["region"]


class NothingToCall:
    name = "nothing_to_call"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def enrich(self, event):
        return {}


def too_few(events):
    return [{} for _ in events[1:]]


def no_list(events):
    return {event.id: {} for event in events}


def sorted_by_id(events):
    return [{"id": event.id} for event in sorted(events, key=lambda event: event.id)]


def one_for_an_empty_batch(events):
    return [{"first": (events[0].id == event.id and 1) or 1} for event in events] + ([] if events else [{}])


def all_or_nothing(events):
    if len(events) > 1 and any(event.id.startswith("odd") for event in events):
        raise ValueError("there is an odd one among them")
    return [{} for _ in events]


@pytest.mark.parametrize(
    ("rule", "enricher", "seen", "advice", "settings"),
    [
        breaks("shape", Opened, "Opened is a class", "write a function"),
        breaks("shape", lambda event: {}, "needs a name", "give it a name"),
        breaks("shape", "no_such_one", "there is no enricher 'no_such_one'", "write a function"),
        breaks(
            "shape",
            FailsForRun(),
            "for_run of the enricher fails_for_run raised KeyError: 'region'",
            "let for_run(run_id)",
        ),
        breaks("picklable", hp.Enricher("socket", lambda event, held=SOCKET: {}), "cannot be pickled", "in __enter__"),
        breaks("opens", CannotOpen(), "__enter__ raised RuntimeError: no licence", "let __enter__ return"),
        breaks("opens", NotEntered(), "its __enter__ returned None", "usually self"),
        breaks("opens", SuppressesErrors(), "its __enter__ returned None", "usually self"),
        breaks("opens", NothingToCall(), "type NothingToCall; give it a __call__(self, event)", "usually self, with a"),
        breaks("opens", ExitsWhenOpened(), "__enter__ raised SystemExit: 3", "let __enter__ return"),
        breaks("picklable", ExitsWhenPickled(), "SystemExit: 3", "in __enter__"),
        breaks("survives", needing_a_field, "raised KeyError: 'answer'", "raise hp.RejectRecord"),
        breaks("survives", asking_a_server_that_is_down, "a run would fail", "start the servers that it asks"),
        breaks("survives", rejecting_without_a_code, "not a snake_case code", "hp.RejectRecord(reason, message)"),
        breaks("read_only", mutating, "tried to change the event", "copy.deepcopy(event.data)"),
        breaks("read_only", mutating_past_the_read_only_view, "was another", "copy.deepcopy(event.data)"),
        breaks("read_only", mutating_metadata, "tried to change the event", "copy.deepcopy(event.data)"),
        breaks("read_only", mutating_the_event, "tried to change the event", "copy.deepcopy(event.data)"),
        breaks("json", hp.Enricher("none", print), "returned None, as a function", "return a mapping"),
        breaks("json", hp.Enricher("date", lambda _: {"at": dt.date(2026, 1, 1)}), "date", "texts of dates"),
        breaks("json", hp.Enricher("set", lambda _: {"set": {1}}), "set", "sorted lists of sets"),
        breaks("json", hp.Enricher("nan", lambda _: {"n": float("nan")}), "nan", "return a mapping"),
        breaks(
            "same_again", hp.Enricher("random", lambda _: {"id": str(uuid.uuid4())}), "called again", "no random values"
        ),
        breaks("same_again", Counting(), "called again", "no earlier events"),
        breaks("same_again", remembering_earlier_calls, "called again", "deterministic = False"),
        breaks("in_time", hanging, "did not answer within 0.05 s", "do less", budget_seconds=0.05),
        breaks("batch", BatchOf(too_few), "with one event it returned a list of 0", "one item for each event"),
        breaks("batch", BatchOf(no_list), "returned a dict", "let enrich_batch return a list"),
        breaks("batch", BatchOf(sorted_by_id), "among others and", "in their order", events=FEW[::-1]),
        breaks("batch", BatchOf(one_for_an_empty_batch), "with 0 events it returned a list of 1", "[] for none"),
        breaks("batch", BatchOf(all_or_nothing), "there is an odd one", "its exception", events=None),
        breaks("closes", HalfOpen(), "has __enter__ and no __exit__", "write __exit__ too"),
        breaks("closes", LeavesFile(), "/dev/null", "close in __exit__"),
        breaks("closes", LeavesThread(), "the thread 'forgotten' was left behind", "close in __exit__"),
        breaks("closes", LeavesSocket(), "a socket", "close in a call what the call opens"),
        breaks("closes", CannotClose(), "__exit__ raised RuntimeError: stuck", "close in __exit__"),
    ],
)
def test_a_broken_rule_is_named_with_what_was_seen_and_what_to_do(rule, enricher, seen, advice, settings):
    broken = broken_by(enricher, **settings)
    assert rule in broken, broken
    assert seen in broken[rule].seen
    assert advice in broken[rule].advice


def test_every_rule_has_a_bad_enricher_above():
    marks = test_a_broken_rule_is_named_with_what_was_seen_and_what_to_do.pytestmark
    assert {case.values[0] for case in marks[0].args[1]} == set(ENRICHER_RULES)


@pytest.mark.parametrize("enricher", [count_fields, mutating_past_the_read_only_view, needing_a_field])
def test_only_the_rule_that_is_broken_is_reported(enricher):
    expected = {"mutating_past_the_read_only_view": {"read_only"}, "needing_a_field": {"survives"}}.get(
        enricher.__name__
    )
    if expected is None:
        check_enricher(enricher, FEW, elsewhere=False)
    else:
        assert set(broken_by(enricher)) == expected


def test_the_message_lists_every_broken_rule():
    def bad(event):
        if event.id == FEW[0].id:
            return {"at": dt.date(2026, 1, 1)}
        raise KeyError("answer")

    with pytest.raises(AssertionError) as caught:
        check_enricher(hp.Enricher("bad", bad, version="2.1"), FEW, elsewhere=False)
    assert str(caught.value).startswith(
        "the enricher bad 2.1 breaks 2 rules of the contract\n- survives: for the event"
    )
    assert "\n- json: for the event" in str(caught.value)
    assert str(caught.value).count("What to do: ") == 2


def test_one_rule_can_be_checked_alone():
    check_enricher(needing_a_field, FEW, rules=["json", "closes"], elsewhere=False)
    assert set(broken_by(needing_a_field, rules=["survives"])) == {"survives"}


def test_an_enricher_that_is_declared_not_deterministic_may_differ():
    counting = Counting()
    counting.deterministic = False
    assert check_enricher(counting, FEW, elsewhere=False).deterministic is False


def unordered(event):
    return {"names": list({"a", "b", "c", "d", "e", "f", "g", "h"})}


def test_another_process_shows_results_that_depend_on_the_order_of_a_set():
    broken = broken_by(unordered, elsewhere=True)
    assert "in another process" in broken["same_again"].seen
    assert "not the order of a set" in broken["same_again"].advice


def test_results_and_errors_in_another_process_need_not_be_picklable():
    class Answer(dict):
        """A class that no other process can import."""

    class UnknownCountryError(hp.RejectRecord):
        def __init__(self, country):
            super().__init__("unknown_country", f"{country} is no country")

    def answering(event):
        if event.id == FEW[0].id:
            raise UnknownCountryError("Atlantis")
        return MappingProxyType(Answer(id=event.id))

    assert check_enricher(answering, FEW).rejected == 1


class OnlyHere:
    """Can be unpickled in this process only."""

    name = "only_here"

    def __init__(self):
        self.process = os.getpid()

    def __setstate__(self, state):
        if state["process"] != os.getpid():
            raise FileNotFoundError("model.bin")

    def __call__(self, event):
        return {}


def test_another_process_shows_an_enricher_that_works_only_here():
    broken = broken_by(OnlyHere(), elsewhere=True)
    assert "in another process it raised FileNotFoundError: model.bin" in broken["picklable"].seen
    assert "installed there" in broken["picklable"].advice


def test_the_events_are_of_every_type_and_of_all_shapes():
    events = contract_events()
    assert {event.type for event in events} >= set(EVENT_TYPES)
    assert len({event.id for event in events}) == len(events) > 30
    assert copy.deepcopy(events) == events == contract_events()


@pytest.mark.parametrize(
    "settings", [{"rules": ["speed"]}, {"rules": []}, {"rules": "json"}, {"budget_seconds": 0}, {"events": []}]
)
def test_a_wrong_argument_raises(settings):
    with pytest.raises(ValueError, match="rules is a list of some of shape|budget_seconds|events is empty"):
        check_enricher(count_fields, **settings)
