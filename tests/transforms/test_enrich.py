"""Enrich in a pipeline: built-in names, users' functions, and what their errors do."""

from __future__ import annotations

import socket
from datetime import datetime

import apache_beam as beam
import attrs
import pytest
from event_factory import make_event

import holded_pipeline as hp


def account_event(**data):
    return make_event(id="e", type=r"Holded\Wallet\Domain\Account\Events\AccountCreatedEvent", data=data, raw=b"{}")


def enriched(run, *enrichers, events=None, **options):
    def build(pipeline):
        return (pipeline | beam.Create(events or [account_event(amount=2)]) | hp.Enrich(*enrichers))._asdict()

    return run(build, **options)


def doubled(event):
    return {"amount": event.data["amount"] * 2}


def test_the_built_in_enrichers_add_their_entries(run):
    (passed,) = enriched(run, "processing", "business_context", "quality", run_id="run-7")["passed"]
    assert passed.metadata["processing"]["run_id"] == "run-7"
    assert datetime.fromisoformat(passed.metadata["processing"]["processed_at"]).tzinfo is not None
    assert passed.metadata["business_context"] == {"context": "account_management", "aggregate": "Account"}
    assert 0 <= passed.metadata["quality"]["score"] <= 1


def test_a_users_function_is_stored_under_its_name_and_sees_earlier_results(run):
    def tripled(event):
        return {"amount": event.metadata["doubled"]["amount"] * 1.5}

    (passed,) = enriched(run, doubled, tripled)["passed"]
    assert passed.metadata["doubled"] == {"amount": 4}
    assert passed.metadata["tripled"] == {"amount": 6.0}
    assert passed.data == {"amount": 2}


def test_an_error_rejects_the_event_alone_and_names_the_enricher(run):
    ran = enriched(
        run, hp.Enricher("doubled", doubled, version="1.2"), events=[account_event(amount=1), account_event()]
    )
    assert len(ran["passed"]) == 1
    (rejected,) = ran["rejected"]
    assert (rejected.stage, rejected.reason) == ("enrich", "enricher_error")
    assert "doubled 1.2 raised KeyError: 'amount'" in rejected.message


def test_an_enricher_may_reject_an_event_with_its_own_reason(run):
    def embargoed(event):
        raise hp.RejectRecord("embargoed", "its company is on the list")

    (rejected,) = enriched(run, embargoed)["rejected"]
    assert (rejected.reason, rejected.message) == (
        "embargoed",
        "its company is on the list (rejected by the enricher embargoed)",
    )


@pytest.mark.parametrize(
    "result", [None, [1], {"a": object()}, {1: "a"}, {"a": float("nan")}, {"a": "\0"}, {"a": "\ud800"}, {"a": {1, 2}}]
)
def test_a_result_that_is_no_json_rejects_the_event(run, result):
    (rejected,) = enriched(run, hp.Enricher("odd", lambda event: result))["rejected"]
    assert rejected.reason == "enricher_output"


def test_skip_passes_the_event_without_that_entry(run):
    (passed,) = enriched(run, hp.Enricher("doubled", doubled, on_error="skip"), "quality", events=[account_event()])[
        "passed"
    ]
    assert set(passed.metadata) == {"quality", "enrichers"}
    assert passed.metadata["enrichers"]["doubled"] == {
        "version": None,
        "status": "skipped",
        "error": "raised KeyError: 'amount'",
    }


def test_fail_ends_the_run(run):
    with pytest.raises(hp.EnricherError, match="the enricher doubled, called for event e, raised KeyError: 'amount'"):
        enriched(run, hp.Enricher("doubled", doubled, on_error="fail"), events=[account_event()])


@pytest.mark.parametrize("error", [ConnectionRefusedError, TimeoutError, OSError])
def test_an_outage_in_an_enricher_fails_the_run(run, error):
    def looking_up(event):
        raise error("the lookup service is down")

    with pytest.raises(hp.TransientError, match="the enricher looking_up.*event e.*lookup service"):
        enriched(run, looking_up)


@pytest.mark.parametrize(
    ("enrichers", "words"),
    [
        (["qualty"], "no enricher 'qualty'; known are: business_context, fingerprint, lateness, processing, quality"),
        ([], "at least one enricher"),
        (["quality", "quality"], "two enrichers have the name 'quality'"),
        ([lambda event: {}], "needs a name"),
    ],
)
def test_a_wrong_argument_fails_when_it_is_written(enrichers, words):
    with pytest.raises(ValueError, match=words):
        hp.Enrich(*enrichers)


def test_the_name_schema_is_reserved():
    with pytest.raises(ValueError, match="'schema' is taken"):
        hp.Enricher("schema", doubled)


class Caching:
    """Has take_counts(), as an enricher with a cache would."""

    name = "caching"

    def __enter__(self):
        self.hits = 0
        return self

    def __exit__(self, *error):
        pass

    def __call__(self, event):
        self.hits += 1
        return {}

    def take_counts(self):
        counts, self.hits = {"hits": self.hits}, 0
        return counts


def test_what_an_enricher_counts_is_counted(run):
    class Batched(Caching):
        name = "batched"

        def enrich_batch(self, events):
            return [self(event) for event in events]

    ran = enriched(run, Caching(), Batched(), events=[account_event(), account_event(), account_event()])
    assert (ran.counters["enrich.caching.hits"], ran.counters["enrich.batched.hits"]) == (3, 3)


@pytest.mark.parametrize("counts", [{"hits": "many"}, 5, {"hits": True}])
def test_wrong_counts_are_logged_and_affect_nothing(run, caplog, counts):
    class Odd(Caching):
        def take_counts(self):
            return counts

    assert len(enriched(run, Odd())["passed"]) == 1
    assert "take_counts of the enricher caching returned no whole numbers" in caplog.text


# --- who ran


def test_every_enricher_that_ran_is_stored_with_its_version(run):
    class Own:
        name, version = "own", "3.1"

        def __call__(self, event):
            return {}

    (passed,) = enriched(run, "business_context", Own(), hp.Enricher("other", doubled, version="2"))["passed"]
    version = hp.PluginRegistry().enricher("business_context").version
    assert version
    assert passed.metadata["enrichers"] == {
        "business_context": {"version": version, "status": "ok"},
        "own": {"version": "3.1", "status": "ok"},
        "other": {"version": "2", "status": "ok"},
    }


def test_enrichers_of_an_earlier_step_stay_listed(run):
    def build(pipeline):
        first = pipeline | beam.Create([account_event(amount=1)]) | "First" >> hp.Enrich("processing")
        second = first.passed | "Second" >> hp.Enrich(hp.Enricher("odd", lambda event: 1, on_error="skip"))
        return {"passed": second.passed}

    ran = run(build)
    assert {name: entry["status"] for name, entry in ran["passed"][0].metadata["enrichers"].items()} == {
        "processing": "ok",
        "odd": "skipped",
    }
    assert ran.counters["enrich.skipped.odd"] == 1


def test_an_entry_enrichers_that_a_producer_sent_is_replaced(run):
    forged = attrs.evolve(account_event(amount=1), metadata={"enrichers": "all of them"})
    (passed,) = enriched(run, "business_context", events=[forged])["passed"]
    assert set(passed.metadata["enrichers"]) == {"business_context"}


# --- what raises when it is written


class NoCall:
    pass


def yielding(event):
    yield {}


async def asynchronous(event):
    return {}


def two(event, other):
    return {}


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (Caching, "Caching is a class; make an object: Caching"),
        (asynchronous, "is asynchronous"),
        (yielding, "is a generator, since it has a yield; let it return"),
        (two, "called with one argument.*takes .event, other."),
        (NoCall(), "a function .event. -> mapping"),
        (5, "a function .event. -> mapping"),
    ],
)
def test_a_function_that_could_only_fail_raises(function, words):
    with pytest.raises(TypeError, match=words):
        hp.Enricher("x", function)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"timeout": 0}, "timeout is a number of seconds above 0"),
        ({"timeout": float("inf")}, "timeout"),
        ({"timeout": 1e12}, "up to 31,536,000"),
        ({"timeout": "5"}, "timeout"),
        ({"batch_seconds": -1}, "batch_seconds"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 1.5}, "batch_size"),
        ({"batch_size": True}, "a whole number of events, 1 or more, got True"),
        ({"on_error": "ignore"}, 'on_error is "reject", "skip" or "fail", got \'ignore\''),
        ({"transient": ConnectionError}, "a tuple of exception classes"),
        ({"transient": ("ConnectionError",)}, "a tuple of exception classes"),
        ({"retry": 5}, "is an hp.Retry"),
        ({"retry": hp.Retry}, "is an hp.Retry"),
        ({"version": 2}, 'a text such as "1.0", got 2'),
        (
            {"version": "1\ud800"},
            r"version is kept with events, and U\+0000 or a lone surrogate in '1\\ud800' cannot be",
        ),
        ({"version": "1\0"}, "lone surrogate in '1.x00' cannot be"),
    ],
)
def test_an_option_that_cannot_be_used_raises(options, words):
    with pytest.raises((TypeError, ValueError), match=words):
        hp.Enricher("x", doubled, **options)


@pytest.mark.parametrize("name", ["enrichers", "headers", "envelope"])
def test_reserved_names_raise(name):
    with pytest.raises(ValueError, match="is taken by the pipeline itself"):
        hp.Enricher(name, doubled)


def test_an_enricher_that_cannot_be_pickled_is_named_when_the_pipeline_is_built(run):
    opened = socket.socket()
    with pytest.raises(
        hp.ConfigurationError, match="the enricher connected cannot be pickled for the workers.*__enter__"
    ):
        enriched(run, hp.Enricher("connected", lambda event: {"at": opened.fileno()}))
    opened.close()


def test_a_version_that_is_a_number_becomes_a_text():
    class Numbered:
        version = 1.0

        def __call__(self, event):
            return {}

    assert hp.Enricher("numbered", Numbered()).version == "1.0"


def test_a_version_of_the_function_that_cannot_be_stored_raises():
    class Broken:
        version = "1\ud800"

        def __call__(self, event):
            return {}

    with pytest.raises(ValueError, match="a lone surrogate in"):
        hp.Enricher("broken", Broken())


def test_an_enricher_as_the_function_of_another_raises():
    with pytest.raises(TypeError, match=r"doubled 2 is an hp.Enricher already.*give the function and its options"):
        hp.Enricher("outer", hp.Enricher("doubled", doubled, version="2", on_error="skip"))


class Runs:
    """An enricher whose `for_run` returns or raises what it was given."""

    def __init__(self, answer):
        self.answer = answer

    def __call__(self, event):
        return {}

    def for_run(self, run_id):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (KeyError("region"), hp.ConfigurationError, "for_run of the enricher runs raised KeyError: 'region'; let it"),
        (SystemExit(3), hp.ConfigurationError, "for_run of the enricher runs raised SystemExit: 3"),
        (7, hp.ConfigurationError, "for_run of the enricher runs raised TypeError: an enricher is a function"),
        (hp.Enricher("x", doubled), hp.ConfigurationError, "for_run of the enricher runs .*is an hp.Enricher already"),
        (ConnectionError("away"), hp.TransientError, "for_run of the enricher runs raised ConnectionError: away"),
        (hp.ConfigurationError("no key"), hp.ConfigurationError, "^for_run of the enricher runs: no key$"),
    ],
    ids=["raises", "exits", "no enricher", "an Enricher", "an outage", "a setting"],
)
def test_a_for_run_that_fails_names_the_enricher(run, answer, kind, words):
    with pytest.raises(kind, match=words):
        enriched(run, hp.Enricher("runs", Runs(answer)))


@pytest.mark.parametrize("thing", [7, None, ["processing", "quality"]])
def test_a_thing_that_is_not_an_enricher_raises(thing):
    with pytest.raises(TypeError, match="an enricher is a function .event. -> mapping"):
        hp.Enrich(thing)


def test_determinism_is_declared_by_the_function():
    doubled_too = hp.Enricher("doubled", doubled)
    assert doubled_too.deterministic

    class Dice(Caching):
        deterministic = False

    assert not hp.Enricher("dice", Dice()).deterministic
