"""ReadMinIO on a real store: every record once, with its source, whatever the layout of the objects."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import random
import sqlite3
from datetime import UTC, datetime
from decimal import Decimal

import apache_beam as beam
import attrs
import pytest
import zstandard

import holded_pipeline as hp
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.read_ahead import ReadAhead

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def flat(number, **more):
    return {"event_id": f"e{number}", "event_type": "t", "company_id": "c", "timestamp": 1_700_000_000_000, **more}


def lines(*documents, end=b"\n"):
    return b"".join(json.dumps(document).encode() + end for document in documents)


def put(lake, objects):
    lake.filesystem().pipe({f"{lake.bucket}/{key}": body for key, body in objects.items()})


def read(run, lake, pattern="raw/", **settings):
    def build(pipeline):
        raw = pipeline | hp.ReadMinIO(lake, pattern, envelope=settings.pop("envelope", "flat"), **settings)
        return {"passed": raw.passed, "rejected": raw.rejected}

    return run(build)


def ids(ran):
    return sorted(event.id for event in ran["passed"])


def test_lines_arrays_and_documents_may_be_mixed_plain_or_compressed(run, lake):
    array = json.dumps([flat(10), flat(11)]).encode()
    put(
        lake,
        {
            "raw/a.jsonl": lines(flat(0), flat(1)),
            "raw/b.jsonl.gz": gzip.compress(lines(flat(2), flat(3))),
            "raw/c.zst": zstandard.compress(lines(flat(4))),
            "raw/d.json": array,
            "raw/e.json": json.dumps(flat(5), indent=2).encode(),
            "raw/bom.jsonl": b"\xef\xbb\xbf" + lines(flat(6), flat(7), end=b"\r\n"),
            "raw/gaps.jsonl": b"\n\r\n" + lines(flat(8)) + b"\n  \n" + json.dumps(flat(9)).encode(),
            "raw/empty": b"",
            "raw/blank": b"\n \n",
            "raw/array.json.gz": gzip.compress(json.dumps([flat(12)]).encode()),
            "raw/joined": b"\n\xef\xbb\xbf" + lines([flat(13)]) + b"\xef\xbb\xbf" + lines([flat(14)], flat(15)),
        },
    )
    ran = read(run, lake)
    assert ids(ran) == sorted(f"e{number}" for number in range(16))
    assert ran["rejected"] == []
    places = {event.id: (event.source.key, event.source.line, event.source.item) for event in ran["passed"]}
    assert places["e1"] == ("raw/a.jsonl", 2, None)
    assert places["e11"] == ("raw/d.json", 1, 2)
    assert places["e8"] == ("raw/gaps.jsonl", 3, None)
    assert places["e9"] == ("raw/gaps.jsonl", 6, None)


def test_a_broken_line_is_rejected_by_number_and_its_neighbours_pass(run, lake):
    body = lines(flat(0)) + b'{"event_id": "e1", \n' + lines(flat(2)) + b'{"a": "\xff"}\n' + lines(flat(4))
    put(lake, {"raw/a.jsonl": body})
    ran = read(run, lake)
    assert ids(ran) == ["e0", "e2", "e4"]
    by_line = {rejected.source.line: rejected for rejected in ran["rejected"]}
    assert {line: rejected.reason for line, rejected in by_line.items()} == {2: "invalid_json", 4: "invalid_utf8"}
    assert by_line[4].raw == b'{"a": "\xff"}'
    assert {rejected.source.key for rejected in ran["rejected"]} == {"raw/a.jsonl"}
    assert ran.counters["read.records"] == 5
    assert ran.counters["read.passed"] == 3
    assert ran.counters["read.rejected"] == 2


def test_a_document_over_several_lines_is_one_event_in_any_format(run, lake):
    long = "x" * 70_000
    rows = [{}, {"n": 1}, {"n": 2}]
    head = b'{"event_id":"e9","event_type":"t","company_id":"c","timestamp":"20240610",'
    within = head + b'"rows":[\n{},\n{"n":1},\n{"n":2}\n]}'
    printed = [json.dumps({"long": long, **flat(number, rows=rows)}, indent=2).encode() for number in range(4)]
    put(
        lake,
        {
            "raw/0.json": printed[0],
            "raw/1.json.gz": gzip.compress(printed[1]),
            "raw/2.json.zst": zstandard.compress(printed[2]),
            "raw/3": gzip.compress(b"\xef\xbb\xbf" + printed[3]),
            "raw/4": json.dumps(flat(4, rows=rows, long=long), indent=0).encode(),
            "raw/9": within,
        },
    )
    for unit_bytes in (16 << 20, 100):
        ran = read(run, lake, unit_bytes=unit_bytes)
        assert ran["rejected"] == []
        assert ids(ran) == ["e0", "e1", "e2", "e3", "e4", "e9"]
        assert {tuple(event.data["rows"]) == tuple(rows) for event in ran["passed"]} == {True}


def test_a_broken_first_line_of_any_length_is_rejected_alone(run, lake):
    long = b"x" * 100_000
    keys = set()
    for number, first in enumerate((b"{", b'{"a": 1', b'{"a": "', b'{"rows": [')):
        beginning = first if first.endswith(b'"') else first + b'"'
        bodies = {
            f"raw/{number}a.json": first + b"\n" + lines(flat(f"{number}a2", long=long.decode()), flat(f"{number}a3")),
            f"raw/{number}b.json": beginning + long + b"\n" + lines(flat(f"{number}b2"), flat(f"{number}b3")),
        }
        put(lake, bodies)
        keys |= set(bodies)
    names = [key[4:6] for key in keys]
    for unit_bytes in (16 << 20, 100):
        ran = read(run, lake, unit_bytes=unit_bytes)
        places = {event.id: event.source.line for event in ran["passed"]}
        assert places == {f"e{name}{line}": line for name in names for line in (2, 3)}
        assert len(ran["passed"]) == len(places)
        rejected = [(each.source.key, each.reason, each.source.line) for each in ran["rejected"]]
        assert sorted(rejected) == [(key, "invalid_json", 1) for key in sorted(keys)]


def test_zstd_that_begins_with_a_skippable_frame_as_pzstd_writes_it(run, lake):
    def skipped(number):
        return (0x184D2A50 + number).to_bytes(4, "little") + (4).to_bytes(4, "little") + b"\0\1\2\3"

    frames = [zstandard.compress(lines(flat(number))) for number in range(2)]
    put(lake, {"raw/a.jsonl.zst": skipped(0) + frames[0] + skipped(15) + frames[1] + skipped(14), "raw/b": skipped(7)})
    for unit_bytes in (16 << 20, 10):
        ran = read(run, lake, unit_bytes=unit_bytes)
        assert (ids(ran), ran["rejected"]) == (["e0", "e1"], [])


@pytest.mark.parametrize("unit_bytes", [100, 1_000, 7_777])
def test_a_large_file_read_in_slices_gives_each_line_once_under_its_number(run, lake, unit_bytes):
    samples = hp.testing.sample_events(120, seed=3, faults=0.1, kinds=["truncated", "invalid_utf8"])
    body = b"\n\n".join(sample.line for sample in samples)  # every second line is blank, the last has no end
    put(lake, {"raw/large.jsonl": body})
    ran = read(run, lake, envelope="holded", unit_bytes=unit_bytes)
    assert ran.counters["read.slices"] >= len(body) // (unit_bytes + 5_000)
    expected = {2 * place + 1: sample for place, sample in enumerate(samples)}
    assert {event.source.line: event.id for event in ran["passed"]} == {
        line: sample.event_id for line, sample in expected.items() if sample.fault is None
    }
    assert {rejected.source.line: rejected.raw for rejected in ran["rejected"]} == {
        line: sample.line for line, sample in expected.items() if sample.fault is not None
    }
    assert len(ran["passed"]) + len(ran["rejected"]) == len(samples)


def test_each_object_but_the_first_is_asked_for_while_another_is_worked_on(run, lake, monkeypatch):
    put(lake, {f"raw/{number}.jsonl": lines(flat(number)) for number in range(4)})
    begun = []
    begin = ReadAhead.begin
    monkeypatch.setattr(ReadAhead, "begin", lambda ahead, unit: begun.append(unit) or begin(ahead, unit))
    assert ids(read(run, lake, unit_objects=1)) == ["e0", "e1", "e2", "e3"]
    keys = [unit.slices[0].key for unit in begun if unit is not None]
    assert len(keys) == len(set(keys)) == 3


def test_more_objects_than_a_page_of_the_listing_holds(run, lake):
    put(lake, {f"raw/{number:05}.json": lines(flat(number)) for number in range(1_050)})
    ran = read(run, lake, unit_objects=100)
    assert ids(ran) == sorted(f"e{number}" for number in range(1_050))


def test_a_pattern_is_a_prefix_or_a_glob(run, lake):
    put(
        lake,
        {
            "raw/2026/a.jsonl": lines(flat(0)),
            "raw/2026/01/b.jsonl": lines(flat(1)),
            "raw/old/01/c.jsonl": lines(flat(2)),
            "rawest/d.jsonl": lines(flat(3)),
        },
    )
    expected = {
        "raw/": ["e0", "e1", "e2"],
        "/raw/2": ["e0", "e1"],
        "raw/*/*.jsonl": ["e0"],
        "raw/**/*.jsonl": ["e0", "e1", "e2"],
        "raw/2026/a.json?": ["e0"],
        "raw/[!2]*/**": ["e2"],
        "nothing/": [],
    }

    def build(pipeline):
        reads = {
            str(number): pipeline | f"Read{number}" >> hp.ReadMinIO(lake, pattern, envelope="flat")
            for number, pattern in enumerate(expected)
        }
        return {number: read.passed for number, read in reads.items()}

    ran = run(build)
    found = {pattern: sorted(event.id for event in ran[str(number)]) for number, pattern in enumerate(expected)}
    assert found == expected


def test_numbers_and_text_arrive_unaltered(run, lake):
    text = (
        b'{"event_id":"e","event_type":"t","company_id":"c","timestamp":1700000000000,'
        b'"big":123456789012345678901234567890,"long":0.1234567890123456789012345678901,"exp":1e400,'
        b'"neg":-0.0,"text":"\\u00f1 \\ud83d\\ude00 \\u007f","empty":{},"null":null}'
    )
    put(lake, {"raw/a.jsonl": text})
    (event,) = read(run, lake)["passed"]
    assert event.raw == text
    assert event.data == {
        "big": 123456789012345678901234567890,
        "long": Decimal("0.1234567890123456789012345678901"),
        "exp": Decimal("1e400"),
        "neg": -0.0,
        "text": "ñ 😀 \x7f",
        "empty": {},
        "null": None,
    }


def test_elements_carry_the_time_of_their_event(run, lake):
    put(lake, {"raw/a.jsonl": lines(flat(0, timestamp=1_700_000_000_123), flat(1, timestamp=-1_000))})

    def build(pipeline):
        raw = pipeline | hp.ReadMinIO(lake, "raw/", envelope="flat", timestamps=hp.Timestamps(earliest=None))
        return {"times": raw.passed | beam.Map(lambda e, t=beam.DoFn.TimestampParam: (e.id, t.micros))}

    assert sorted(run(build)["times"]) == [("e0", 1_700_000_000_123_000), ("e1", -1_000_000)]


def test_what_cannot_be_an_event_is_rejected_with_its_reason(run, lake):
    bodies = {
        "large": (lines(flat(0, text="x" * 2_000)), "record_too_large"),
        "deep": (lines(flat(0, tree=json.loads("[" * 30 + "]" * 30))), "too_deep"),
        "gzip cut": (gzip.compress(lines(flat(0)), mtime=0)[:-4], "corrupt_compression"),
        "zstd cut": (zstandard.compress(lines(flat(0)))[:-3], "corrupt_compression"),
        "gzip and more": (gzip.compress(lines(flat(0)), mtime=0) + b"rubbish", "corrupt_compression"),
        "array in a line": (lines([1, [2]]), "not_an_object"),
        "binary": (b"\x00\x01\x02", "invalid_json"),
    }
    put(lake, {f"raw/{name}": body for name, (body, _) in bodies.items()} | {"raw/z.jsonl": lines(flat(9))})
    ran = read(run, lake, max_record_bytes=1_000, max_depth=20)
    found = {(rejected.source.key.removeprefix("raw/"), rejected.reason) for rejected in ran["rejected"]}
    assert found == {(name, reason) for name, (_, reason) in bodies.items()}
    assert ids(ran) == ["e9"]


@pytest.fixture
def change_before_reading(monkeypatch, lake):
    """Changes the store when the first unit is about to be read: after the listing."""

    def prepare(change):
        original = ObjectStore.read_many
        done = []

        def read_many(self, slices):
            if not done:
                done.append(True)
                change(lake.filesystem())
            return original(self, slices)

        monkeypatch.setattr(ObjectStore, "read_many", read_many)

    return prepare


@pytest.mark.parametrize("what", ["deleted", "overwritten"])
def test_an_object_that_vanishes_fails_the_run_by_default(run, lake, change_before_reading, what):
    put(lake, {"raw/a.jsonl": lines(flat(0)), "raw/b.jsonl": lines(flat(1))})
    key = f"{lake.bucket}/raw/a.jsonl"
    change_before_reading(lambda fs: fs.rm(key) if what == "deleted" else fs.pipe(key, lines(flat(7), flat(8))))
    with pytest.raises(hp.ObjectVanishedError, match=r'/raw/a\.jsonl was listed, but.*on_vanished="reject"'):
        read(run, lake)


@pytest.mark.parametrize("what", ["deleted", "overwritten"])
def test_an_object_that_vanishes_is_one_rejection_by_option(run, lake, change_before_reading, what):
    put(lake, {"raw/a.jsonl": lines(flat(0)), "raw/b.jsonl": lines(flat(1))})
    key = f"{lake.bucket}/raw/a.jsonl"
    change_before_reading(lambda fs: fs.rm(key) if what == "deleted" else fs.pipe(key, lines(flat(7), flat(8))))
    ran = read(run, lake, on_vanished="reject")
    assert ids(ran) == ["e1"]
    (rejected,) = ran["rejected"]
    assert (rejected.reason, rejected.source.key) == ("object_vanished", "raw/a.jsonl")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"bucket": "no-such-bucket"}, "no-such-bucket.*NoSuchBucket; create the bucket"),
        ({"access_key": "nobody"}, "check access_key"),
        ({"secret_key": "hunter2hunter2"}, "check secret_key"),
    ],
)
def test_a_wrong_setting_fails_at_once_and_is_named(run, lake, wrong, words):
    with pytest.raises(hp.ConfigurationError, match=words) as error:
        read(run, attrs.evolve(lake, **wrong))
    assert "hunter2" not in str(error.value)


class UnpicklableEnvelope:
    """An envelope that cannot be pickled."""

    def __init__(self):
        self.connection = sqlite3.connect(":memory:")

    def __call__(self, document, source):
        raise hp.RejectRecord("odd", "it is odd")

    @hp.hookimpl
    def register_envelopes(self, register):
        register("held", self)


@pytest.mark.parametrize("reading", [hp.ReadMinIO, hp.ReadRejected])
def test_an_unpicklable_envelope_is_named_when_the_pipeline_is_built(lake, reading):
    registry = hp.PluginRegistry([UnpicklableEnvelope()])
    for envelope, name in (("held", "'held'"), (UnpicklableEnvelope(), "UnpicklableEnvelope")):
        with pytest.raises(
            hp.ConfigurationError, match=f"the envelope {name} cannot be pickled for the workers: TypeError"
        ):
            beam.Pipeline() | reading(lake, "raw/", envelope=envelope, registry=registry)


def test_a_user_envelope(run, lake):
    put(lake, {"raw/a.jsonl": b'{"n": 1}\n{"m": 2}\n'})

    def mine(document, source):
        return hp.Event(id=str(document["n"]), type="n", company_id="c", occurred_at=NOON, data=document)

    ran = read(run, lake, envelope=mine)
    assert ids(ran) == ["1"]
    (rejected,) = ran["rejected"]
    assert rejected.reason == "envelope_error"
    assert "KeyError: 'n'" in rejected.message


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"envelope": "holdet"}, "no envelope 'holdet'; known are: event, flat, holded"),
        ({"on_vanished": "ignore"}, 'on_vanished must be "fail" or "reject"'),
        ({"unit_bytes": 0}, "unit_bytes must be at least 1"),
    ],
)
def test_a_wrong_argument_raises_when_the_transform_is_made(lake, settings, words):
    with pytest.raises(ValueError, match=words):
        hp.ReadMinIO(lake, "raw/", **settings)


ODD_KEYS = (
    "a b+c%d.json", "ñ€/é?.json", "a#b&c=d;.json", "100%25.json", "..a/b..json", "it's\"q\".json", "[z]",
    "tab\there",
)  # fmt: skip


def test_keys_may_have_any_character(run, lake):
    store = ObjectStore(lake)
    for number, key in enumerate(ODD_KEYS):
        store.write(f"raw/{key}", json.dumps(flat(number)).encode())
    ran = read(run, lake)
    assert ids(ran) == sorted(f"e{number}" for number in range(len(ODD_KEYS)))
    assert {event.source.key for event in ran["passed"]} == {f"raw/{key}" for key in ODD_KEYS}


def test_a_folder_marker_is_not_listed(lake):
    """Consoles write these empty objects; one with content is an object, see the integration suite."""
    store = ObjectStore(lake)
    store.write("raw/folder/", b"")
    store.write("raw/folder/a.json", b"{}")
    assert [stored.key for stored in store.objects("raw/")] == ["raw/folder/a.json"]


def test_an_object_that_holds_no_record_gives_none(run, lake):
    put(lake, {"raw/empty": b"", "raw/blank": b"\n \n", "raw/array": b"[]"})
    ran = read(run, lake)
    assert (ran["passed"], ran["rejected"]) == ([], [])


def test_nothing_below_a_prefix_is_no_error_and_one_warning(run, lake, caplog):
    assert ids(read(run, lake, "nowhere/")) == []
    (warning,) = [each.getMessage() for each in caplog.records if each.name == "holded_pipeline"]
    assert "'nowhere/'" in warning


def test_a_line_that_is_not_utf8_is_rejected_with_a_hint(run, lake):
    put(lake, {"raw/a.jsonl": lines(flat(0)) + (json.dumps(flat(1)) + "\n").encode("utf-16")})
    assert "looks like UTF-16" in " ".join(rejected.message for rejected in read(run, lake)["rejected"])


@pytest.mark.parametrize("unit_bytes", [100, 16 << 20])
def test_an_object_of_another_format_is_one_rejection_that_names_it(run, lake, unit_bytes):
    text = lines(*map(flat, range(50)))
    put(
        lake,
        {
            "raw/UTF-16": text.decode().encode("utf-16"),
            "raw/Parquet": b"PAR1\x15\x04\x15" + random.Random(1).randbytes(5000),
            "raw/gzip inside.gz": gzip.compress(gzip.compress(text)),
            "raw/bzip2 inside.gz": gzip.compress(bz2.compress(text)),
            "raw/long window.zst": zstandard.ZstdCompressor(
                compression_params=zstandard.ZstdCompressionParameters(window_log=28, enable_ldm=True)
            )
            .compressobj()
            .compress(text * 1000)
            + bytes(3),
        },
    )
    ran = read(run, lake, unit_bytes=unit_bytes)
    assert ran["passed"] == []
    assert len(ran["rejected"]) == 5
    for rejected in ran["rejected"]:
        assert (rejected.reason, rejected.payload_kind) == ("unsupported_format", "object")
        assert rejected.source.key.removeprefix("raw/").split(".")[0] in rejected.message


@pytest.mark.parametrize("unit_bytes", [100, 16 << 20])
def test_bzip2_and_xz_are_read(run, lake, unit_bytes):
    for number, pack in enumerate((bz2.compress, lzma.compress)):
        first, second, third = (flat(3 * number + place) for place in range(3))
        put(lake, {f"raw/{number}.packed": pack(lines(first, second)) + pack(lines(third))})
    assert ids(read(run, lake, unit_bytes=unit_bytes)) == [f"e{number}" for number in range(6)]


def test_several_values_on_a_line_are_events_with_places_of_their_own(run, lake):
    def name_by_place(document, source):
        return hp.Event(id=str(source), type="t", company_id="c", occurred_at=NOON, data=document, source=source)

    bodies = {
        "a.jsonl": b'{"a":1}{"a":2}{"b":oops}\n{"a":3}\n',
        "b": b'{"a":1}\r{"a":2}\r',
        "c": b'[{"a":1}][{"a":2},,]',
    }
    put(lake, {f"raw/{name}": body for name, body in bodies.items()})
    ran = read(run, lake, envelope=name_by_place)
    assert len({event.id for event in ran["passed"]}) == len(ran["passed"]) == 7
    places = [str(rejected.source).rpartition("/")[2] for rejected in ran["rejected"]]
    assert sorted(places) == ["a.jsonl:1[3]", "c:1[3]", "c:1[4]"]


def test_a_set_of_a_pattern_in_the_wrong_order_is_named_at_once(lake):
    with pytest.raises(ValueError, match=r"\[z-a\].*wrong order"):
        hp.ReadMinIO(lake, "raw/[z-a].json")


def test_an_invalid_event_of_an_envelope_is_rejected(run, lake):
    cases = [
        ({"id": 1}, "id is int; it must be text"),
        ({"type": None}, "type is NoneType; it must be text"),
        ({"company_id": 7}, "company_id is int"),
        ({"user_id": 7}, "user_id is int"),
        ({"data": [1]}, "data is list; it must be a mapping"),
        ({"data": {"x": float("nan")}}, "data is not JSON: nan at /x"),
        ({"metadata": {"at": NOON}}, "metadata is not JSON: datetime at /at"),
    ]
    put(lake, {"raw/a.jsonl": lines(*({"case": number} for number in range(len(cases))))})

    def mine(document, source):
        changes, _ = cases[document["case"]]
        fields = {"id": "1", "type": "t", "company_id": "c", "occurred_at": NOON, "data": {}}
        return hp.Event(**(fields | changes), source=source)

    ran = read(run, lake, envelope=mine)
    assert ran["passed"] == []
    by_line = {rejected.source.line: rejected for rejected in ran["rejected"]}
    assert len(by_line) == len(cases)
    for line, (_, words) in enumerate(cases, 1):
        assert by_line[line].reason == "envelope_error"
        assert words in by_line[line].message


def test_a_number_that_is_not_a_time_rejects_the_record(run, lake):
    put(lake, {"raw/a.jsonl": b'{"unix": 1e17}\n{"unix": 1e300}\n{"unix": -1e12}\n'})

    def mine(document, source):
        at = datetime.fromtimestamp(float(document["unix"]), UTC)
        return hp.Event(id="1", type="t", company_id="c", occurred_at=at, data={})

    ran = read(run, lake, envelope=mine)
    assert ran["passed"] == []
    assert sorted((each.source.line, each.reason) for each in ran["rejected"]) == [
        (line, "envelope_error") for line in (1, 2, 3)
    ]


def test_the_earliest_and_the_latest_time(run, lake, db):
    moments = ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"]
    put(lake, {"raw/a": lines(*(flat(n, timestamp=moment) for n, moment in enumerate(moments)))})

    def build(pipeline):
        raw = pipeline | hp.ReadMinIO(lake, "raw/", envelope="flat", timestamps=hp.Timestamps(earliest=None))
        loaded = raw.passed | hp.WritePostgres(db)
        _ = raw.passed | hp.WriteMinIO(lake, "enriched/")
        return {"passed": raw.passed, "receipts": loaded.passed}

    ran = run(build)
    times = sorted(event.occurred_at for event in ran["passed"])
    assert times == [datetime.fromisoformat(moment) for moment in moments]
    assert [receipt.inserted for receipt in ran["receipts"]] == [3]


@pytest.mark.parametrize("unit_bytes", [100, 16 << 20])
def test_a_layout_that_is_given_is_not_guessed(run, lake, unit_bytes):
    printed = json.dumps(flat(0, text="x" * 200), indent=2).encode()
    put(lake, {"raw/a.jsonl": printed})
    assert ids(read(run, lake, layout="values", unit_bytes=unit_bytes)) == ["e0"]
    put(lake, {"raw/a.jsonl": b"", "raw/b.json": printed})
    rejected = read(run, lake, layout="lines", unit_bytes=unit_bytes)["rejected"]
    assert sorted(each.source.line for each in rejected) == list(range(1, printed.count(b"\n") + 2))


def test_a_wrong_layout_is_named_at_once(lake):
    with pytest.raises(ValueError, match="layout must be"):
        hp.ReadMinIO(lake, "raw/", layout="csv")


COUNT = 4_000  # of more bytes than are read to recognise a layout


def by_account(document, source, outer):
    return hp.Event(
        id=f"{source.line}-{source.item}",
        type=document["eventName"],
        company_id=outer.get("account", "unknown"),
        occurred_at=NOON,
        data=document,
        source=source,
    )


def test_records_inside_documents_have_the_members_around_them_and_are_parked(run, lake, caplog):
    def trail(count, **more):
        return json.dumps({"Records": [{"eventName": f"n{number}"} for number in range(count)], **more}).encode()

    large = trail(COUNT, account="a").replace(b'"n7"', b"oops")
    put(
        lake,
        {
            "trail/large.json.gz": gzip.compress(large),
            "trail/plain.json": large,
            "trail/lines.jsonl": trail(2, account="b") + b"\n{}\n" + trail(1, account="c"),
            "trail/broken.json": b'{"Records": [{"eventName": "n0"}], oops}',
        },
    )
    settings = {"envelope": by_account, "records": "/Records/*", "unit_bytes": 20_000}

    def build(pipeline):
        raw = pipeline | hp.ReadMinIO(lake, "trail/", **settings)
        _ = raw.rejected | hp.WriteRejected(lake, "rejected/")
        return {"passed": raw.passed, "rejected": raw.rejected}

    ran = run(build)
    accounts = [event.company_id for event in ran["passed"]]
    assert [accounts.count(account) for account in "abc"] == [2 * (COUNT - 1), 2, 1]
    rejected = sorted((rejected.source.key[6:], rejected.reason, rejected.raw) for rejected in ran["rejected"])
    assert rejected == [
        ("broken.json", "invalid_json", b'{"Records":[], oops}'),
        ("broken.json", "invalid_json", b'{"eventName": "n0"}'),
        ("large.json.gz", "invalid_json", b'{"eventName": oops}'),
        ("lines.jsonl", "missing_field", b"{}"),
        ("plain.json", "invalid_json", b'{"eventName": oops}'),
    ]
    places = [record.source for record in (*ran["passed"], *ran["rejected"])]
    assert len(set(places)) == len(places)

    def replay(pipeline):
        again = pipeline | hp.ReadRejected(lake, "rejected/", envelope=by_account)
        return {"passed": again.passed, "rejected": again.rejected, "parked": again.parked}

    replayed = run(replay)
    assert replayed["passed"] == replayed["rejected"] == []  # not an event of another company
    assert {each.id for each in replayed["parked"]} == {each.id for each in ran["rejected"]}
    assert "dead letters are parked: their envelope asks for what stood around them (outer)" in caplog.text


def test_the_built_in_envelopes_read_records_inside_documents(run, lake):
    put(lake, {"raw/a.json": json.dumps({"page": {"items": [flat(0), flat(1)]}, "next": None}, indent=1).encode()})
    ran = read(run, lake, records="/page/items/*")
    assert ids(ran) == ["e0", "e1"]
    assert ran["rejected"] == []
