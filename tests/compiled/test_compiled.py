"""The code in C gives what the code in Python gives, of any bytes; and everything works without it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import holded_pipeline as hp
from holded_pipeline.compiled import MODULES, compiled, is_compiled
from holded_pipeline.model.carried_text import (
    ReadObject,
    data_of,
    data_text,
    make_entry,
    metadata_value,
    occurred_text,
    with_entries,
)
from holded_pipeline.model.identity import PackageIds
from holded_pipeline.model.timestamps import parse_timestamp
from holded_pipeline.postgres.event_row import event_line
from holded_pipeline.reading.common_message import read_common_message
from holded_pipeline.reading.framed_records import Record
from holded_pipeline.reading.holded_envelope import TIMESTAMP, holded
from holded_pipeline.reading.records import RecordReader
from holded_pipeline.store.object_names import _origin_of
from holded_pipeline.transforms.write_minio import encode_event_line
from holded_pipeline.user_code.read_only import FrozenDict
from tests.support.event_factory import make_event
from tests.support.in_python import in_python

PYTHON_H = Path(sysconfig.get_paths()["include"]) / "Python.h"
FOLDER = Path(hp.__file__).parent / "compiled"
OBJECT = ReadObject("lake", "raw/a.jsonl", "e1")
IDS = PackageIds(OBJECT.bucket, OBJECT.key, OBJECT.etag)
SOURCE = hp.Source(OBJECT.bucket, OBJECT.key, OBJECT.etag, 3)
SAMPLES = [sample.line for sample in hp.testing.sample_events(60, seed=11, wrapped=0.5)]
in_c = pytest.mark.skipif(not is_compiled(), reason="the code in C was not built: no C compiler is installed")


def read(raw: bytes, timestamps: hp.Timestamps | None = None):
    more = () if timestamps is None else (timestamps,)
    return compiled("common_message").read_common_message(raw, (OBJECT, 3, None), IDS, 100, *more)


def careful(raw: bytes, timestamps: hp.Timestamps | None = None):
    reader = RecordReader(
        lambda document, source: holded(document, source, timestamps=timestamps or hp.Timestamps()),
        max_record_bytes=1 << 24,
        max_depth=100,
        timestamps=timestamps,
    )
    try:
        return reader.read(Record(raw, 3), SOURCE, OBJECT)
    except hp.RejectRecord as rejection:
        return rejection.reason


@pytest.mark.skipif(bool(os.environ.get("HOLDED_PIPELINE_PURE")), reason="HOLDED_PIPELINE_PURE is set")
@pytest.mark.skipif(
    shutil.which("cc") is None or not PYTHON_H.exists(), reason="no C compiler, or no headers of Python"
)
def test_where_a_compiler_is_the_code_in_c_is_used():
    """Else the tests below would be skipped without a word when the build breaks."""
    assert is_compiled(), "run: pip install --no-deps -e ."


def test_the_modules_are_those_of_the_folder():
    assert sorted(MODULES) == sorted(path.stem for path in FOLDER.glob("*.pyx"))


@in_c
def test_a_part_of_the_code_in_c_is_not_used(monkeypatch):
    monkeypatch.setattr("holded_pipeline.compiled.MODULES", (*MODULES, "no_such_module"))
    assert not is_compiled()
    assert compiled("common_message") is None


@in_c
@pytest.mark.parametrize(("value", "used"), [("", True), ("0", True), ("1", False), ("yes", False)])
def test_the_environment_may_do_without(monkeypatch, value, used):
    monkeypatch.setenv("HOLDED_PIPELINE_PURE", value)
    assert is_compiled() is used


@in_c
def test_what_is_built_is_what_the_sources_say():
    for source in FOLDER.glob("*.pyx"):
        (built,) = [*FOLDER.glob(f"{source.stem}.*.so"), *FOLDER.glob(f"{source.stem}.*.pyd")]
        assert built.stat().st_mtime >= source.stat().st_mtime, f"{source.name} changed: pip install --no-deps -e ."


@in_c
def test_a_module_of_other_sources_says_how_to_build_it_again():
    script = """
import os
import holded_pipeline.reading.common_message as beside
from holded_pipeline.compiled import compiled
del beside.valid_key
del os.environ["HOLDED_PIPELINE_PURE"]
compiled("common_message")
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "HOLDED_PIPELINE_PURE": "1"},
    )
    assert "ImportError: holded_pipeline.compiled.common_message was built from other sources" in done.stderr
    assert "pip install --no-deps -e ." in done.stderr


@in_c
def test_sample_events_are_read_in_c():
    assert [raw for raw in SAMPLES if read(raw) is None] == []


@in_c
@given(st.sampled_from(SAMPLES), st.data())
def test_of_changed_bytes_c_reads_only_what_is_read_alike(raw, data):
    changed = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed) - 1))
        how = data.draw(st.sampled_from(["replace", "insert", "remove", "cut", "repeat"]))
        bits = data.draw(st.sampled_from(list(b'"\\{}[]:,0-.eEu/ \t\n\x00\x1f\x7f\x80\xc3\xa9\xff\xed\xa0tn19')))
        if how == "replace":
            changed[at] = bits
        elif how == "insert":
            changed[at:at] = bytes([bits])
        elif how == "remove" and len(changed) > 1:
            del changed[at]
        elif how == "cut" and at:
            del changed[at:]
        else:
            end = data.draw(st.integers(at, min(len(changed), at + 60)))
            changed[at:at] = changed[at:end]
    event = read(bytes(changed))
    if event is not None:
        text = data_text(event)
        expected = careful(bytes(changed))
        assert event == expected
        assert json.loads(text) == json.loads(json.dumps(expected.data, default=float))


ISO = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)).flatmap(  # noqa: DTZ001  a text of it
    lambda moment: st.sampled_from(["", "Z", "+00:00", "-11:30", "+0100", "+23:59"]).map(
        lambda zone: moment.isoformat() + zone
    )
)
MOMENTS = ISO | st.integers(-(10**14), 10**15) | st.dates().map(str) | st.integers(0, 3 * 10**12)


@in_c
@given(MOMENTS, st.sampled_from([hp.Timestamps(), hp.Timestamps(unit="s"), hp.Timestamps(earliest=None)]))
def test_times_are_those_of_python(value, timestamps):
    raw = SAMPLES_WITHOUT_TIME.replace(b'"TIME"', json.dumps(value).encode())
    event = read(raw, timestamps)
    assert event is None or event == careful(raw, timestamps)


@in_c
def test_a_time_that_lies_too_far_ahead_is_left_to_python():
    now = datetime(2026, 3, 1, tzinfo=UTC)
    limited = hp.Timestamps(max_ahead=timedelta(days=1)).at(now)
    for value, accepted in (("2026-03-01T23:59:59Z", True), ("2026-03-02T00:00:01Z", False), (1772496000000, False)):
        raw = SAMPLES_WITHOUT_TIME.replace(b'"TIME"', json.dumps(value).encode())
        assert (read(raw, limited) is not None) == accepted
        assert not accepted or read(raw, limited).occurred_at == parse_timestamp(value)


def _without_time() -> bytes:
    document = json.loads(hp.testing.sample_events(1, seed=3)[0].line)
    document["headers"][TIMESTAMP] = "TIME"
    return json.dumps(document).encode()


SAMPLES_WITHOUT_TIME = _without_time()


@in_c
def test_names_that_occur_twice_are_never_read():
    many = ",".join(f'"n{number}":1' for number in range(63))
    for data in (
        '{"a":1,"a":1}',
        '{"x":{"a":1,"b":2,"a":3}}',
        '{"":1,"":1}',
        '{"a\\\\b":1,"a\\\\b":2}',
        '{"longer than eight bytes":1,"longer than eight bytes":2}',
        "{" + many + ',"n5":2}',
        '{"a":[{"b":1},{"c":1,"c":1}]}',
        '{"a":1,"\\u0061":2}',
        '{"/":1,"\\/":2}',
    ):
        assert read(message(data)) is None, data
    for data in (
        '{"a":1,"b":{"a":1}}',
        '{"longer than eight bytes":1,"longer than eight bites":2}',
        '{"":1,"a":[{"b":1},{"b":1}]}',
        "{" + many + "}",
    ):
        assert read(message(data)) == careful(message(data)), data


@in_c
def test_many_names_are_left_to_python():
    many = "{" + ",".join(f'"n{number}":1' for number in range(500)) + "}"
    deep = '{"a":' * 98 + "1" + "}" * 98
    assert read(message(many)) is None
    assert read_common_message(message(many), (OBJECT, 3, None), IDS, 100) == careful(message(many))
    assert read(message(deep)) == careful(message(deep))
    assert read(message('{"a":{"a":' + deep + "}}")) is None


def message(data: str) -> bytes:
    document = json.loads(hp.testing.sample_events(1, seed=3)[0].line)
    return b'{"data":%b,"headers":%b}' % (data.encode(), json.dumps(document["headers"]).encode())


@in_c
def test_numbers_are_exact_for_who_only_reads():
    for number in ("0.1", "1.000000000000000000001", "12345678901234567890.5", "1e22", "-123456789.123456789", "1E-7"):
        raw = message('{"n":%s}' % number)  # noqa: UP031  braces
        assert repr(data_of(read(raw))) == repr(careful(raw).data)


@in_c
@pytest.mark.parametrize("place", ['"other":"?"', '"?":1', '"other":{"a":["?"]}'])
def test_what_is_no_utf8_in_the_headers_is_never_read(place):
    for wrong in (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf"):
        raw = message("{}").replace(b'"type"', place.encode().replace(b"?", wrong) + b',"type"')
        assert (read(raw), careful(raw)) == (None, "invalid_utf8")
    raw = message("{}").replace(b'"type"', place.replace("?", "é").encode() + b',"type"')
    assert read(raw) == careful(raw)


@in_c
@pytest.mark.parametrize("at", range(17))
def test_each_byte_of_a_text_is_looked_at_wherever_it_stands(at):
    before, behind = message("{}").replace(b'"type"', b'"other":"' + b"a" * 17 + b'","type"').split(b"a" * 17)
    for byte in range(256):
        is_plain = byte in range(0x20, 0x80) and byte not in b'"\\'
        raw = before + b"a" * at + bytes([byte]) + b"a" * (16 - at) + behind
        assert (read(raw) is not None) == is_plain, raw


@in_c
@pytest.mark.parametrize("text", ['{"event":{"headers":%b},"data":{}}', '{"event":{"data":{}},"headers":%b}'])
def test_a_message_half_in_its_wrapper_is_left_to_python(text):
    headers = json.dumps(json.loads(message("{}"))["headers"]).encode()
    assert read(text.encode() % headers) is None


@in_c
def test_headers_are_decoded_when_somebody_looks():
    raw = SAMPLES[0]
    assert metadata_value(read(raw), "headers") == careful(raw).metadata["headers"]
    assert read(raw).metadata == careful(raw).metadata


@in_c
def test_data_that_somebody_changed_is_stored_as_it_is():
    event = read(message('{"a":1,"b":[1.50]}'))
    event.data["a"] = 2
    assert data_text(event) == b'{"a":2,"b":[1.5]}'
    assert event_line(event) is None
    assert b'"data":{"a":2,"b":[1.5]}' in encode_event_line(event)
    looked_at = read(message('{"a":1,"b":[1.50]}'))
    assert looked_at.data == {"a": 1, "b": [1.5]}
    assert data_text(looked_at) == b'{"a":1,"b":[1.50]}'


@in_c
def test_a_time_within_the_last_millisecond_is_left_to_python():
    now = datetime(2026, 3, 1, 0, 0, 0, 100, tzinfo=UTC)
    limited = hp.Timestamps(max_ahead=timedelta(days=1)).at(now)
    for ahead, accepted in ((-1, True), (0, True), (1, False), (899, False)):
        moment = now + timedelta(days=1, microseconds=ahead)
        raw = SAMPLES_WITHOUT_TIME.replace(b"TIME", moment.isoformat().encode())
        event = read(raw, limited)
        assert event is None or (accepted and event.occurred_at == moment)
        assert (careful(raw, limited) == "implausible_timestamp") is not accepted


def test_data_that_were_changed_in_another_branch_do_not_change_what_is_stored():
    """Events that are made of one event share what was decoded."""
    ways = [read_common_message, *([compiled("common_message").read_common_message] if is_compiled() else [])]
    for way in ways:
        event = way(message('{"a":1}'), (OBJECT, 3, None), IDS, 100)
        first, second = (with_entries(event, {name: make_entry(name, 1)}) for name in ("x", "y"))
        first.data["a"] = 2
        assert data_text(first) == b'{"a":2}'
        assert json.loads(data_text(second)) == second.data
        assert b'"data":%b,' % data_text(second) in encode_event_line(second)


@pytest.mark.parametrize("score", [-0.0, 0.0, 0.5, 1, None, "high", 2.0])
@pytest.mark.parametrize("kind", [dict, FrozenDict])
def test_unusual_results_of_an_enricher_are_loaded_as_python_loads_them(score, kind):
    event = careful(SAMPLES[0])
    for each in (0.0, score, -0.0):  # which are equal
        scored = with_entries(event, {"quality": make_entry("quality", kind({"score": each}))})
        line = event_line(scored)
        with in_python():
            assert event_line(scored) == line


@in_c
@pytest.mark.parametrize("kind", [bytearray, memoryview, type("Bytes", (bytes,), {})])
def test_a_record_of_another_type_is_left_to_python(kind):
    assert read(kind(SAMPLES[0])) is None


@pytest.mark.parametrize("raw", SAMPLES[:20])
def test_the_lines_are_those_of_python(raw):
    event = careful(raw)
    for added in ({}, {"quality": make_entry("quality", {"score": 0.25, "text": 'a\\"\n'})}):
        each = with_entries(event, added)
        lines = event_line(each), encode_event_line(each)
        with in_python():
            assert lines == (event_line(each), encode_event_line(each))


UNUSUAL_IDS = st.text(st.sampled_from("aZ09-_ '\"\\\t\x7f~"), max_size=9)
IDS_OF_EVENTS = st.text(st.characters(exclude_categories=()), max_size=40) | UNUSUAL_IDS


@given(st.sampled_from(SAMPLES), IDS_OF_EVENTS)
def test_where_an_event_was_read_is_written_as_python_writes_it(raw, identity):
    events = [careful(raw), make_event(id=identity, source=SOURCE), "no event"]
    events[0].__dict__["id"] = identity
    origins = [_origin_of(event) for event in events]
    with in_python():
        assert origins == [_origin_of(event) for event in events]
    assert repr(identity).encode("utf-8", "backslashreplace") in origins[0]


@given(st.sampled_from(SAMPLES), IDS_OF_EVENTS)
def test_an_unusual_id_is_written_as_python_writes_it(raw, identity):
    event = careful(raw)
    event.__dict__["id"] = identity
    lines = [line_or_error(event, make) for make in (event_line, encode_event_line)]
    with in_python():
        assert lines == [line_or_error(event, make) for make in (event_line, encode_event_line)]


def line_or_error(event, make):
    try:
        return make(event)
    except (TypeError, ValueError, hp.RejectRecord) as error:
        return type(error)


def test_an_id_of_a_type_of_its_own_is_left_to_python():
    event = careful(SAMPLES[0])
    event.__dict__["id"] = type("Id", (str,), {})("e1")
    lines = [line_or_error(event, make) for make in (event_line, encode_event_line)]
    with in_python():
        assert lines == [line_or_error(event, make) for make in (event_line, encode_event_line)]


OFFSETS = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)


@given(st.datetimes(timezones=st.none() | st.just(UTC) | OFFSETS))
def test_times_are_written_as_python_writes_them(moment):
    event = make_event()
    event.__dict__["occurred_at"] = moment  # not all of these are accepted
    assert occurred_text(event) == moment.isoformat()


def test_a_run_without_the_code_in_c_gives_the_same(tmp_path):
    """In a process of its own: whether C is used is decided when modules are imported."""
    script = tmp_path / "both.py"
    script.write_text(RUN, encoding="utf-8")
    found = {}
    for pure in ("", "1"):
        variables = {**os.environ, "HOLDED_PIPELINE_PURE": pure}
        command = [sys.executable, str(script)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=variables)
        said = json.loads(done.stdout.splitlines()[-1])
        assert said.pop("compiled") is (not pure and any(FOLDER.glob("*.so")))
        found[pure] = said
    assert found[""] == found["1"]
    assert found[""]["events"]


RUN = """
import hashlib, json
import apache_beam as beam
import holded_pipeline as hp
from holded_pipeline.compiled import is_compiled
from holded_pipeline.enriching.builtin_verdicts import builtin_verdicts
from holded_pipeline.model.carried_text import ReadObject
from holded_pipeline.model.identity import PackageIds
from holded_pipeline.postgres.event_row import event_line
from holded_pipeline.reading.common_records import read_common_record
from holded_pipeline.transforms.write_minio import encode_event_line

place, ids = ReadObject("b", "k", "e"), PackageIds("b", "k", "e")
found = []
for number, sample in enumerate(hp.testing.sample_events(300, seed=5, faults=0.2, wrapped=0.5), 1):
    event = read_common_record(sample.line, (place, number, None), ids, 100, hp.Timestamps())
    if event is not None:
        lines = [event_line(event), encode_event_line(event), repr(builtin_verdicts(event)).encode()]
        found.append(hashlib.sha256(b"".join(lines)).hexdigest())
print(json.dumps({"compiled": is_compiled(), "events": found}))
"""
