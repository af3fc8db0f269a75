"""A timeout ends a call, an outage is retried and then fails the run, and what is opened is closed."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from event_factory import make_event
from pipeline_runs import run_enrich

import holded_pipeline as hp
from holded_pipeline.enriching.drafts import Draft
from holded_pipeline.transforms.workers.bounded_calls import MAX_HANGING, BoundedCalls
from holded_pipeline.transforms.workers.enricher_calls import EnricherCalls
from holded_pipeline.user_code.errors import EnricherFault

ROOT = Path(__file__).parent.parent.parent
SHORT = 0.2  # seconds for a call that will hang
LONG = 1.0  # seconds for calls of which most are to end in time, on a busy machine too
LONG_RETRY = hp.Retry(deadline=20, first_wait=0.01, longest_wait=0.02)
SHORT_RETRY = hp.Retry(deadline=0.2, first_wait=0.01, longest_wait=0.02)


def apply_once(enricher: hp.Enricher, number: int = 0) -> hp.Event:
    calls = EnricherCalls(enricher)
    try:
        draft = Draft(make_event(number))
        calls.apply(draft)
        return draft.event()
    finally:
        calls.close()


# --- timeouts


@pytest.fixture
def listening() -> Iterator[tuple[str, int]]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()


def sleeping(event):
    time.sleep(5)  # far longer than the timeout, and short enough to be over soon after the test
    return {}


def looping(event):
    while True:
        with contextlib.suppress(Exception):  # swallows what it can
            event.data["nothing"]


def hashing(event):
    return {"h": hashlib.pbkdf2_hmac("sha256", b"p", b"s", 8_000_000).hex()}  # seconds in C, without the GIL


@pytest.mark.parametrize("function", [sleeping, looping, hashing])
def test_a_call_that_hangs_rejects_its_event_and_delays_no_other(run, function):
    def some(event):
        return function(event) if event.data["n"] == 1 else {}

    begun = time.monotonic()
    ran = run_enrich(
        run, hp.Enricher("some", some, version="2", timeout=LONG), events=[make_event(n) for n in range(4)]
    )
    assert sorted(passed.id for passed in ran["passed"]) == ["e0", "e2", "e3"]
    (rejected,) = ran["rejected"]
    assert (rejected.event_id, rejected.reason) == ("e1", "enricher_timeout")
    assert rejected.message == "the enricher some 2 did not answer within 1 s"
    assert ran.counters["enrich.rejected.enricher_timeout"] == 1
    assert time.monotonic() - begun < 60  # it came back at all


def test_a_socket_that_never_answers_ends_with_the_timeout(listening):
    def asking(event):
        with socket.create_connection(listening) as connection:
            return {"answer": connection.recv(1).decode()}

    with pytest.raises(hp.RejectRecord, match="enricher_timeout: the enricher asking did not answer"):
        apply_once(hp.Enricher("asking", asking, timeout=SHORT))


def test_on_error_decides_what_a_timeout_does():
    skipped = apply_once(hp.Enricher("slow", looping, timeout=SHORT, on_error="skip"))
    assert skipped.metadata["enrichers"]["slow"]["error"] == "did not answer within 0.2 s"
    with pytest.raises(hp.TransientError, match="the enricher slow, called for event e0, did not answer within 0.2 s"):
        apply_once(hp.Enricher("slow", looping, timeout=SHORT, on_error="fail"))


def test_an_endless_loop_is_ended_after_the_timeout():
    apply_once(hp.Enricher("burning", looping, timeout=SHORT, on_error="skip"))
    until = time.monotonic() + 20
    while any(thread.name == "enricher burning" for thread in threading.enumerate()):
        assert time.monotonic() < until, "the loop burns on"
        time.sleep(0.01)


def test_many_calls_that_hang_at_once_fail_the_run_by_name():
    release = threading.Event()
    calls = BoundedCalls("stuck 1.0", 0.02)
    try:
        for _ in range(MAX_HANGING - 1):
            assert isinstance(calls.result_or_error(lambda _: release.wait(60), None), EnricherFault)
        with pytest.raises(hp.TransientError, match="10 calls of the enricher stuck 1.0 hang at the same time"):
            calls.result_or_error(lambda _: release.wait(60), None)
    finally:
        release.set()


def test_calls_that_returned_late_are_not_counted_as_hanging():
    calls = BoundedCalls("slow", 0.01)
    for _ in range(MAX_HANGING * 2):
        release = threading.Event()
        stuck = calls.result_or_error(lambda _, release=release: release.wait(60), None)
        assert isinstance(stuck, EnricherFault)
        release.set()
        until = time.monotonic() + 20
        while any(thread.name == "enricher slow" for thread in threading.enumerate()):
            assert time.monotonic() < until
            time.sleep(0.001)
    calls.close()


def test_a_call_in_time_returns_its_result_or_its_exception():
    calls = BoundedCalls("quick", 30)
    threads = {calls.result_or_error(lambda _: threading.get_ident(), None) for _ in range(5)}
    assert len(threads) == 1  # one thread for all calls, not one for each
    assert threads != {threading.get_ident()}
    assert isinstance(calls.result_or_error(lambda _: 1 / 0, None), ZeroDivisionError)
    calls.close()


def test_without_a_timeout_there_is_no_other_thread():
    enriched = apply_once(hp.Enricher("where", lambda event: {"thread": threading.get_ident()}))
    assert enriched.metadata["where"]["thread"] == threading.get_ident()


def test_a_hanging_call_does_not_keep_the_process_from_ending():
    script = textwrap.dedent(
        """
        import threading
        from holded_pipeline.transforms.workers.bounded_calls import BoundedCalls
        calls = BoundedCalls("stuck", 0.05)
        print(calls.result_or_error(lambda _: threading.Event().wait(600), None))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=150, check=False
    )
    assert (done.returncode, "did not answer within" in done.stdout) == (0, True), done.stderr


# --- outages


class AwayError(Exception):
    """What a client library of its own raises when its server is away."""


class Recovering:
    def __init__(self, error, times):
        self.error = error
        self.left = times

    def __call__(self, event):
        self.left -= 1
        if self.left >= 0:
            raise self.error
        return {"answer": 42}


@pytest.mark.parametrize("error", [AwayError("gone"), ConnectionResetError("gone"), TimeoutError("gone")])
def test_an_outage_is_retried(error):
    enricher = hp.Enricher("asking", Recovering(error, 3), transient=(AwayError,), retry=LONG_RETRY)
    assert apply_once(enricher).metadata["asking"] == {"answer": 42}


@pytest.mark.parametrize("kind", [hp.TransientError, hp.ConfigurationError, hp.EnricherError, hp.ObjectVanishedError])
def test_a_declared_error_of_this_library_is_retried(kind):
    """What the user declares takes precedence over the meaning of an error of this library."""
    enricher = hp.Enricher("asking", Recovering(kind("gone"), 3), transient=(kind,), retry=LONG_RETRY)
    assert apply_once(enricher).metadata["asking"] == {"answer": 42}


@pytest.mark.parametrize("retry", [None, SHORT_RETRY])
@pytest.mark.parametrize("kind", [hp.TransientError, hp.ConfigurationError, hp.EnricherError])
def test_a_declared_error_of_this_library_that_lasts_is_an_outage(kind, retry):
    enricher = hp.Enricher("asking", Recovering(kind("gone"), 10**6), transient=(kind,), retry=retry)
    with pytest.raises(hp.TransientError, match="the enricher asking, called for event e0,.*gone"):
        apply_once(enricher)


@pytest.mark.parametrize("transient", [(Exception,), (hp.HoldedPipelineError,)])
def test_a_rejection_is_never_an_outage_whatever_is_declared(transient):
    asking = Recovering(hp.RejectRecord("embargoed", "no"), 1)
    with pytest.raises(hp.RejectRecord, match="embargoed"):
        apply_once(hp.Enricher("asking", asking, transient=transient, retry=LONG_RETRY))
    assert asking.left == 0


def test_a_transient_error_that_is_not_declared_is_not_retried():
    asking = Recovering(hp.TransientError("gone"), 1)  # whoever raises it has retried already
    with pytest.raises(hp.TransientError, match="the enricher asking, called for event e0: gone"):
        apply_once(hp.Enricher("asking", asking, retry=LONG_RETRY))
    assert asking.left == 0


@pytest.mark.parametrize("retry", [None, SHORT_RETRY])
@pytest.mark.parametrize("on_error", ["reject", "skip", "fail"])
def test_an_outage_that_lasts_fails_the_run_by_name_whatever_on_error_says(retry, on_error):
    asking = Recovering(AwayError("gone"), 10**6)
    enricher = hp.Enricher("asking", asking, version="2", transient=(AwayError,), retry=retry, on_error=on_error)
    with pytest.raises(
        hp.TransientError, match=r"the enricher asking 2, called for event e7,.*AwayError: gone"
    ) as raised:
        apply_once(enricher, 7)
    assert isinstance(raised.value.__cause__, AwayError)


def test_an_error_that_is_not_declared_is_not_retried():
    asking = Recovering(AwayError("gone"), 1)
    with pytest.raises(hp.RejectRecord, match="AwayError: gone"):
        apply_once(hp.Enricher("asking", asking, retry=LONG_RETRY))
    assert asking.left == 0


def test_a_timeout_is_not_retried():
    asked = []

    def asking(event):
        asked.append(1)
        looping(event)

    with pytest.raises(hp.RejectRecord, match="enricher_timeout"):
        apply_once(hp.Enricher("asking", asking, timeout=SHORT, retry=LONG_RETRY, transient=(Exception,)))
    assert len(asked) == 1


@pytest.mark.parametrize(
    "error", [FileNotFoundError("vat.csv"), PermissionError("vat.csv"), IsADirectoryError("vat.csv")]
)
def test_a_missing_file_is_not_retried(error):
    with pytest.raises(hp.ConfigurationError, match="the enricher reading, called for event e0, raised .*vat.csv"):
        apply_once(hp.Enricher("reading", Recovering(error, 1), retry=LONG_RETRY, on_error="skip"))


@pytest.mark.parametrize("kind", [hp.TransientError, hp.ConfigurationError])
def test_an_error_of_this_library_keeps_its_class_and_names_the_enricher(kind):
    with pytest.raises(kind, match="the enricher looking, called for event e0: the table is gone"):
        apply_once(hp.Enricher("looking", Recovering(kind("the table is gone"), 1)))


# --- opening and closing


class Opened:
    """Logs to a file what happens to it, since it runs on a worker."""

    name = "opened"

    def __init__(self, log: Path):
        self.log = log

    def __enter__(self):
        self.log_call("enter")
        return self

    def __exit__(self, *error):
        self.log_call("exit")

    def __call__(self, event):
        self.log_call("call")
        return {}

    def log_call(self, what):
        with self.log.open("a") as file:
            file.write(f"{what}\n")


class Lazy(Mapping):
    """Does its work when it is read."""

    def __init__(self, done):
        self.done = done

    def __getitem__(self, name):
        self.done.wait(20)
        return 1

    def __iter__(self):
        return iter("a")

    def __len__(self):
        return 1


class LazyList(list):
    """Does its work when it is iterated."""

    def __iter__(self):
        (lazy,) = super().__iter__()
        lazy.done.wait(20)
        return iter([{}])


class Slow(dict):
    """Does its work when it is compared, as results are when they are checked for JSON."""

    def __init__(self, done):
        super().__init__(a=1)
        self.done = done

    def __eq__(self, other):
        self.done.wait(20)
        return True

    __ne__ = __eq__
    __hash__ = None


def inside(done):
    return {"in": Slow(done)}


@pytest.mark.parametrize(
    ("result", "in_batch"),
    [
        (Lazy, False),
        (lambda done: [Lazy(done)], True),
        (lambda done: (Lazy(done),), True),
        (lambda done: LazyList([Lazy(done)]), True),
        (inside, False),
        (lambda done: [inside(done)], True),
    ],
    ids=["mapping", "list", "tuple", "list_of_its_own", "inside", "inside_in_batch"],
)
def test_a_lazy_result_is_read_within_the_timeout(result, in_batch):
    done = threading.Event()
    results = result(done)
    calls = EnricherCalls(hp.Enricher("lazy", Asking(results) if in_batch else lambda _: results, timeout=SHORT))
    draft = Draft(make_event())

    def settle():
        if in_batch:
            calls.enricher.apply_outcome(draft, calls.outcomes([draft])[0])
        else:
            calls.apply(draft)

    with pytest.raises(hp.RejectRecord, match="the enricher lazy did not answer within"):
        settle()
    done.set()
    calls.close()


class Asking:
    def __init__(self, results):
        self.results = results

    def enrich_batch(self, events):
        return self.results


def test_a_batch_that_is_not_a_list_is_reported_with_a_timeout_too():
    calls = EnricherCalls(hp.Enricher("odd", Asking({"a": 1}), timeout=LONG))
    (outcome,) = calls.outcomes([Draft(make_event())])
    assert "returned a dict; enrich_batch must return a list" in outcome.text
    calls.close()


def test_it_is_opened_once_called_for_each_event_and_closed(run, tmp_path):
    log = tmp_path / "log"
    run_enrich(run, Opened(log), "quality", events=[make_event(n) for n in range(3)])
    assert log.read_text().split() == ["enter", "call", "call", "call", "exit"]


def test_what_enter_returns_is_called():
    class Client:
        def __enter__(self):
            return lambda event: {"n": event.data["n"]}

        def __exit__(self, *error):
            pass

    assert apply_once(hp.Enricher("client", Client()), 5).metadata["client"] == {"n": 5}


def test_what_was_opened_is_closed_when_another_cannot_be(run, tmp_path):
    class Broken(Opened):
        name = "broken"

        def __enter__(self):
            raise ZeroDivisionError("no")

    log = tmp_path / "log"
    with pytest.raises(
        hp.ConfigurationError, match="the enricher broken, while it was opened, raised ZeroDivisionError"
    ):
        run_enrich(run, Opened(log), Broken(log), events=[make_event()])
    assert log.read_text().split()[:2] == ["enter", "exit"]


@pytest.mark.parametrize(
    ("error", "kind"), [(ConnectionRefusedError("gone"), hp.TransientError), (SystemExit(1), hp.ConfigurationError)]
)
def test_what_opening_raises_fails_the_run_by_name(error, kind):
    class Broken(Opened):
        def __enter__(self):
            raise error

    with pytest.raises(kind, match="the enricher opened, while it was opened,"):
        EnricherCalls(hp.Enricher("opened", Broken(Path())))


def test_an_enter_that_returns_nothing_is_reported(tmp_path):
    class Forgetful(Opened):
        def __enter__(self):
            pass

    with pytest.raises(hp.ConfigurationError, match="its __enter__ returned None; let it return self"):
        EnricherCalls(hp.Enricher("opened", Forgetful(tmp_path / "log")))


def test_an_enter_that_returns_a_batch_enricher_needs_enrich_batch_outside_too():
    class Opening(Opened):
        __call__ = None

        def __enter__(self):
            return BatchesOnly()

    class BatchesOnly:
        def enrich_batch(self, events):
            return [{} for _ in events]

    with pytest.raises(hp.ConfigurationError, match="the enricher itself must have enrich_batch, too"):
        EnricherCalls(hp.Enricher("opening", Opening(Path())))


def test_an_exit_that_calls_sys_exit_does_not_end_the_process(caplog):
    class Leaving(Opened):
        def __enter__(self):
            return self

        def __exit__(self, *error):
            sys.exit(4)

    EnricherCalls(hp.Enricher("leaving", Leaving(Path()))).close()
    assert "the enricher leaving could not be closed" in caplog.text
    assert "SystemExit: 4" in caplog.text


def test_an_error_of_this_library_in_enter_names_the_enricher():
    class Unset(Opened):
        def __enter__(self):
            raise hp.ConfigurationError("RATING_URL is not set")

    with pytest.raises(hp.ConfigurationError, match="the enricher unset, while it was opened: RATING_URL is not set"):
        EnricherCalls(hp.Enricher("unset", Unset(Path())))


def test_an_enricher_that_cannot_be_unpickled_is_named_when_built(run):
    class Unreadable(Opened):
        def __setstate__(self, state):
            raise ValueError("made by another version")

    with pytest.raises(
        hp.ConfigurationError, match="the enricher unreadable cannot be pickled for the workers: ValueError"
    ):
        run_enrich(run, hp.Enricher("unreadable", Unreadable(Path())), events=[make_event()])


def test_an_exit_that_fails_is_logged_and_loses_nothing(run, caplog):
    class Clumsy:
        name = "clumsy"

        def __enter__(self):
            return self

        def __exit__(self, *error):
            raise ZeroDivisionError("late")

        def __call__(self, event):
            return {}

    assert len(run_enrich(run, Clumsy(), events=[make_event()])["passed"]) == 1
    assert "the enricher clumsy could not be closed" in caplog.text
