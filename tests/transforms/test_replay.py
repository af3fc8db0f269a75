"""Rejected records are replayed: the same events, attempts counted, nothing twice, nothing dropped."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta

import apache_beam as beam
import pytest
import sqlalchemy as sa
from apache_beam.transforms.error_handling import ErrorHandler
from apache_beam.transforms.window import FixedWindows, GlobalWindows, Sessions
from store_contents import documents_below, put_object

import holded_pipeline as hp
from holded_pipeline.reading.envelopes import flat
from holded_pipeline.rejected.rejections import from_document, reject, to_line

DAY = datetime(2026, 3, 1, tzinfo=UTC)
SOURCE = hp.Source("b", "raw/a.jsonl", "e1", 7, 2)


def flat_line(number, **more):
    fields = {"event_id": f"e{number}", "event_type": "t", "company_id": "c", "timestamp": 1_700_000_000_000}
    return json.dumps(fields | more).encode()


def rejection(number, raw=b"", **more):
    fields = {
        "id": f"{number:032x}", "stage": "validate", "reason": "schema_violation", "message": "m",
        "raw": raw or flat_line(number), "rejected_at": DAY, "run_id": "r", "source": SOURCE,
    }  # fmt: skip
    return hp.Rejected(**(fields | more))


def store(lake, *rejections, name="a", folder="stage=validate/date=2026-03-01"):
    body = gzip.compress(b"".join(b"".join(to_line(each)) + b"\n" for each in rejections))
    put_object(lake, f"rejected/{folder}/{name}.jsonl.gz", body)


def rejections_by_id(lake):
    documents = [document for document in documents_below(lake, "rejected/") if "settled_at" not in document]
    return {document["id"]: from_document(document) for document in documents}


@pytest.fixture
def read(run, lake):
    def read(**settings):
        def build(pipeline):
            return (pipeline | hp.ReadRejected(lake, "rejected/", **({"envelope": "flat"} | settings)))._asdict()

        return run(build)

    return read


def ids(ran, output="passed"):
    return sorted(each.replay_of if output == "passed" else each.id for each in ran[output])


def test_the_original_event_is_replayed_with_its_source_and_its_attempts(read, lake):
    sent = rejection(1, attempts=2)
    store(lake, sent)
    (event,) = read()["passed"]
    assert event == hp.Event(
        id="e1", type="t", company_id="c", occurred_at=datetime.fromtimestamp(1_700_000_000, UTC), data={},
        metadata=event.metadata, source=SOURCE, raw=sent.raw, attempts=3, replay_of=sent.id,
    )  # fmt: skip


def test_the_id_of_a_second_rejection_depends_only_on_what_it_replays(read, lake):
    store(lake, rejection(1, raw=b"\xff broken"))
    first, second = (read()["rejected"] for _ in range(2))
    assert [(r.stage, r.reason, r.attempts, r.replay_of, r.raw) for r in first] == [
        ("read", "invalid_utf8", 2, rejection(1).id, b"\xff broken")
    ]
    assert first[0].id == second[0].id != rejection(1).id
    event = hp.Event(
        id="e", type="t", company_id="c", occurred_at=DAY, data={}, raw=b"{}", attempts=2, replay_of=rejection(1).id
    )
    later = reject(hp.RejectRecord("other", "m"), stage="write", raw=b"", run_id="x", rejected_at=DAY, event=event)
    assert (later.id, later.attempts, later.replay_of) == (first[0].id, 2, rejection(1).id)


def test_a_selection_is_made_across_objects_and_days(read, lake):
    store(lake, rejection(1, stage="read"), rejection(2, schema=hp.SchemaRef("invoices", 1)), rejection(3))
    store(lake, rejection(5, rejected_at=DAY - timedelta(days=9)), folder="stage=validate/date=2026-02-20")
    assert ids(read(stage="validate", since=DAY)) == [rejection(2).id, rejection(3).id]


def test_a_date_in_the_prefix_is_not_the_day_of_a_rejection(run, lake):
    prefix = "rejected/date=2026-01-01/"
    run(lambda p: {"w": p | beam.Create([rejection(1)]) | hp.WriteRejected(lake, prefix)})
    assert hp.forecast(lake, prefix, [], envelope="flat", since=DAY).passes == 1
    assert hp.forecast(lake, prefix, [], envelope="flat", since=DAY + timedelta(days=1)).matching == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_attempts": 0}, "max_attempts must be at least 1"),
        ({"since": datetime(2026, 1, 1)}, "with a time zone"),  # noqa: DTZ001  that is the fault
        ({"since": DAY, "until": DAY}, "since must be before until"),
        ({"reason": []}, "a text or a collection of texts"),
        ({"reason": 5}, "a text or a collection of texts"),
        ({"envelope": "flaat"}, "flat"),
    ],
)
def test_a_wrong_argument_raises_when_the_transform_is_made(lake, settings, words):
    with pytest.raises(ValueError, match=words):
        hp.ReadRejected(lake, "rejected/", **settings)


def test_partial_records_and_those_tried_too_often_are_parked_unchanged(read, lake):
    parked = [
        rejection(n, payload_kind=payload_kind) for n, payload_kind in enumerate(["part", "object", "nothing"], 1)
    ]
    parked.append(rejection(4, attempts=3))
    store(lake, *parked, rejection(5, attempts=2))
    ran = read(max_attempts=3)
    assert sorted(ran["parked"], key=lambda each: each.id) == parked
    assert ids(ran) == [rejection(5).id]


def test_only_the_newest_open_rejection_of_each_id_is_replayed(read, lake):
    newer = rejection(1, reason="newer", rejected_at=DAY + timedelta(seconds=1))
    store(lake, rejection(1), rejection(2), rejection(3), rejection(4, replay_of=rejection(2).id, attempts=2))
    store(lake, newer, newer, name="b")
    settled = {"id": rejection(3).id, "run_id": "r", "settled_at": DAY.isoformat()}
    put_object(lake, "rejected/_settled/x.jsonl.gz", gzip.compress(json.dumps(settled).encode()))
    ran = read()
    assert ids(ran) == [rejection(1).id, rejection(4).id]
    assert read(reason="newer").counters["replay.records"] == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"\n{}\n", "line 2, is not what WriteRejected"),
        (gzip.compress(b"".join(to_line(rejection(1))), mtime=0)[:-9], "is damaged after line"),
    ],
    ids=["shape", "gzip"],
)
def test_a_damaged_object_fails_the_run_and_the_error_names_the_line(read, lake, body, words):
    put_object(lake, "rejected/stage=read/date=2026-03-01/odd.jsonl", body)
    with pytest.raises(hp.ConfigurationError, match=f"{lake.bucket}/rejected/stage=read/.*odd.jsonl.*{words}"):
        read()


@pytest.mark.parametrize("first_name", [b'"holds":', b'"payload_kind":null,"holds":'])
def test_a_rejection_written_when_payload_kind_was_called_holds_is_replayed(read, lake, first_name):
    line = b"".join(to_line(rejection(1))).replace(b'"payload_kind":', first_name)
    put_object(lake, "rejected/stage=read/date=2026-03-01/old.jsonl", line + b"\n")
    assert ids(read()) == [rejection(1).id]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"record": {"encoding": "utf-8", "content": ""}}, "payload_kind"),
        ({"record": {"payload_kind": "record", "encoding": "base64", "content": "%%%"}}, "base64"),
        ({"record": {"payload_kind": "record", "encoding": "rot13", "content": ""}}, "rot13"),
        ({"record": {"payload_kind": "all", "encoding": "utf-8", "content": ""}}, "all"),
        ({"source": {"bucket": "b", "key": "k", "etag": 1, "line": 1, "item": None}}, "etag"),
        ({"id": "mine"}, "id"),
        ({"attempts": 0}, "attempts"),
        ({"violations": [{"pointer": "/a"}]}, "keyword"),
        ({"violations": ["a"]}, "mapping"),
        ({"stage": 5}, "stage"),
    ],
)
def test_a_rejection_that_breaks_its_schema_stays_and_others_are_replayed(read, lake, caplog, change, words):
    """It is not replayed as something else."""
    altered = json.dumps(json.loads(b"".join(to_line(rejection(1)))) | change).encode()
    body = b"".join(to_line(rejection(2))) + b"\n" + altered + b"\n"
    put_object(lake, "rejected/stage=read/date=2026-03-01/odd.jsonl", body)
    ran = read()
    assert (ids(ran), ran["rejected"], ran["parked"]) == ([rejection(2).id], [], [])
    assert ran.counters["replay.broken"] == 1
    found = hp.forecast(lake, "rejected/", [], envelope="flat")
    assert (found.matching, found.passes, found.broken) == (1, 1, 1)
    assert (
        str(found).splitlines()[-1] == "1 of 1 would pass; 1 more break their schema and stay in the store, see the log"
    )
    (named, *_) = [each.getMessage() for each in caplog.records if each.name == "holded_pipeline"]
    assert f"{lake.bucket}/rejected/stage=read/date=2026-03-01/odd.jsonl, line 2, is a rejection that breaks" in named
    assert words in named
    assert lake.filesystem().cat(f"{lake.bucket}/rejected/stage=read/date=2026-03-01/odd.jsonl") == body


def test_an_event_that_was_never_read_is_replayed_whatever_the_envelope(run, read, lake):
    made = flat(json.loads(flat_line(1, amount=5)), SOURCE)
    lone = hp.Event(id="x", type="t", company_id="c", occurred_at=DAY, data={"n": 10**30}, metadata={"m": 1})

    def build(pipeline):
        checked = pipeline | beam.Create([made, lone]).with_output_types(hp.Event) | hp.ValidateSchema({}, subject="s")
        return {"w": checked.rejected | hp.WriteRejected(lake, "rejected/")}

    run(build)
    again = {event.id: event for event in read(envelope="holded")["passed"]}
    assert {each.payload_kind for each in rejections_by_id(lake).values()} == {"event"}
    for sent in (made, lone):
        event = again[sent.id]
        assert (event.data, event.metadata, event.source, event.raw, event.attempts) == (
            sent.data, sent.metadata, sent.source, b"", 2,
        )  # fmt: skip


def test_other_elements_need_a_user_envelope_or_are_rejected_again(run, read, lake, db):
    table = sa.Table("readings", sa.MetaData(), sa.Column("id", sa.Text, primary_key=True), sa.Column("n", sa.Integer))
    table.create(db.engine())

    def build(pipeline):
        loaded = pipeline | beam.Create([{"id": "a", "n": 2**40}]) | hp.WritePostgres(db, table=table, row=dict)
        return {"w": loaded.rejected | hp.WriteRejected(lake, "rejected/")}

    def own(document, source):
        return hp.Event(id=document["id"], type="t", company_id="c", occurred_at=DAY, data=document, source=source)

    run(build)
    ((rejection_id, rejection),) = rejections_by_id(lake).items()
    assert rejection.payload_kind == "element"
    assert read(envelope=own)["passed"][0].data == {"id": "a", "n": 2**40}
    (again,) = read(envelope="holded")["rejected"]
    assert (again.reason, again.payload_kind, again.replay_of) == ("missing_field", "element", rejection_id)


def replay(pipeline, lake, schemas, db=None, *, settle=True):
    back = pipeline | hp.ReadRejected(lake, "rejected/", envelope="flat")
    checked = back.passed | hp.ValidateSchema(schemas, subject="{type}")
    loaded = checked.passed | hp.WritePostgres(db)
    again = (back.rejected, checked.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
    if settle:
        _ = back.passed | hp.SettleRejected(lake, "rejected/", after=(loaded, again))
    return {"receipts": loaded.passed, "parked": back.parked}


WINDOWS = pytest.mark.parametrize(
    "windows", [GlobalWindows(), FixedWindows(60), Sessions(30)], ids=["global", "fixed", "sessions"]
)


@WINDOWS
def test_nothing_is_settled_before_after_is_complete(run, lake, windows):
    store(lake, rejection(1))

    def fails(_):
        raise RuntimeError("the sink broke")

    def build(pipeline):
        back = pipeline | hp.ReadRejected(lake, "rejected/", envelope="flat")
        # Behind three shuffles, so that the ids would be written long before it breaks if they did not wait.
        late = back.passed | "Once" >> beam.Reshuffle() | "Twice" >> beam.Reshuffle() | "Thrice" >> beam.Reshuffle()
        stored = late | beam.WindowInto(windows) | "Sink" >> beam.Map(fails)
        complete = pipeline | "Complete" >> beam.Create([1])
        return {"s": back.passed | hp.SettleRejected(lake, "rejected/", after=(complete, stored))}

    with pytest.raises(RuntimeError, match="the sink broke"):
        run(build)
    assert not lake.filesystem().exists(f"{lake.bucket}/rejected/_settled")


@WINDOWS
def test_ids_of_any_window_are_settled_after_collections_that_may_be_empty(run, lake, windows):
    store(lake, rejection(1), rejection(2, raw=flat_line(2, timestamp=1_800_000_000_000)))

    def build(pipeline):
        back = pipeline | hp.ReadRejected(lake, "rejected/", envelope="flat")
        events = back.passed | "Events" >> beam.WindowInto(windows)
        loaded = events | "Sink" >> beam.Map(lambda event: event.id)
        empty = events | "Empty" >> beam.FlatMap(lambda _: ())
        nothing = pipeline | "Nothing" >> beam.Create([])
        return {"settled": events | hp.SettleRejected(lake, "rejected/", after=(loaded, empty, nothing))}

    (written,) = run(build)["settled"]
    assert written.records == 2
    assert hp.forecast(lake, "rejected/", [], envelope="flat").matching == 0


def test_settling_without_anything_to_wait_for_raises(lake):
    with pytest.raises(ValueError, match="after takes the PCollections"):
        hp.SettleRejected(lake, "rejected/", after=())


def test_settling_takes_an_outcome_for_what_passed_of_it(lake):
    read = beam.Pipeline(runner="FnApiRunner") | hp.ReadMinIO(lake, "raw/")
    assert hp.SettleRejected(lake, "rejected/", after=read)._after == (read.passed,)
    assert hp.SettleRejected(lake, "rejected/", after=[read])._after == (read.passed,)


def test_with_an_error_handler_only_what_passed_is_returned_and_settled(run, read, lake):
    store(lake, rejection(1), rejection(2, raw=b"broken"))

    def build(pipeline):
        with ErrorHandler(hp.WriteRejected(lake, "rejected/")) as handler:
            events = pipeline | hp.ReadRejected(lake, "rejected/", envelope="flat").with_error_handler(handler)
        settled = events | hp.SettleRejected(lake, "rejected/", after=handler.output())
        return {"events": events, "settled": settled}

    ran = run(build)
    assert [event.id for event in ran["events"]] == ["e1"]
    assert [(written.key.split("/")[1], written.records) for written in ran["settled"]] == [("_settled", 1)]
    left = read()
    assert left["passed"] == []
    assert [(each.replay_of, each.attempts) for each in rejections_by_id(lake).values() if each.attempts > 1] == [
        (rejection(2).id, 2)
    ]


def test_a_forecast_counts_by_reason_and_writes_nothing(lake):
    store(
        lake,
        rejection(1, event_type="t"),
        rejection(2, raw=flat_line(2, event_type="other")),
        rejection(3, raw=b"broken"),
        rejection(4, stage="write", reason="odd", payload_kind="part"),
        rejection(5, raw=flat_line(5, event_id="drop")),
    )
    before = lake.filesystem().find(f"{lake.bucket}/")

    def only_some(events):
        kept = events | "KeepSome" >> beam.Filter(lambda event: event.id != "drop")
        return kept | "Again" >> hp.Enrich("processing")

    steps = [hp.ValidateSchema({"t": True}, subject="{type}"), hp.Enrich("processing"), only_some]
    found = hp.forecast(lake, "rejected/", steps, envelope="flat")
    assert found.by_reason == {
        ("validate", "schema_violation"): {
            "passes": 1, "dropped": 1, ("validate", "unknown_subject"): 1, ("read", "invalid_json"): 1,
        },
        ("write", "odd"): {"parked": 1},
    }  # fmt: skip
    assert (found.matching, found.passes, found.parked) == (5, 1, 1)
    assert str(found).splitlines()[1].split() == ["validate:", "schema_violation", "pass", "1"]
    assert str(found).splitlines()[-1] == "1 of 5 would pass"
    assert lake.filesystem().find(f"{lake.bucket}/") == before
    assert hp.forecast(lake, "rejected/", steps, envelope="flat", reason="none such").matching == 0


@pytest.mark.parametrize("nested", [True, False])
def test_a_forecast_raises_for_steps_that_write(lake, db, nested):
    write = hp.WritePostgres(db)
    with pytest.raises(ValueError, match="WritePostgres writes, and a forecast must not"):
        hp.forecast(lake, "rejected/", [(lambda events: events | write) if nested else write])


def test_a_forecast_raises_for_a_step_that_gives_no_outcome(lake):
    with pytest.raises(ValueError, match="step 1, .* gives PCollection; a step takes events and gives an Outcome"):
        hp.forecast(lake, "rejected/", [beam.Map(lambda event: event)])


def test_a_replay_loads_what_a_fixed_schema_accepts_and_leaves_nothing_open(run, lake, db):
    store(lake, *(rejection(number) for number in range(1, 21)), rejection(21, raw=flat_line(21, event_type="u")))
    for _ in range(2):  # the second is like one that failed before it settled: nothing changes
        run(lambda p: replay(p, lake, {"t": True}, db, settle=False))
    ran = run(lambda p: replay(p, lake, {"t": True}, db))
    assert sum(receipt.duplicates for receipt in ran["receipts"]) == 20
    with db.engine().connect() as connection:
        stored = connection.execute(sa.text("SELECT event_id FROM business_events")).scalars()
        assert sorted(stored) == sorted(f"e{number}" for number in range(1, 21))
    last = run(lambda p: replay(p, lake, {"u": True}, db))
    assert sum(receipt.inserted for receipt in last["receipts"]) == 1
    empty = hp.forecast(lake, "rejected/", [], envelope="flat")
    assert empty.matching == 0
