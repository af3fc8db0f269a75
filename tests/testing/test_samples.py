"""Sample events: exactly as requested, and the same every time."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from holded_pipeline.enriching.builtin import Quality
from holded_pipeline.model import json_codec
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.values import Source
from holded_pipeline.reading.envelopes import holded
from holded_pipeline.testing import EVENT_TYPES, FAULTS, START, Sample, sample_documents, sample_events, sample_lines

SOURCE = Source("lake", "raw/a.jsonl", "e1", 1)
STAMP = "X-Message-Stamp-Holded\\"


def event_of(sample: Sample):
    return holded(json_codec.decode(sample.line), SOURCE)


def headers(document: dict) -> dict:
    return document.get("headers") or document["attributes"]


def stamp(document: dict, name: str):
    return next(value for key, value in headers(document).items() if key.endswith(name))


@pytest.mark.parametrize("n", [0, 1, 7, 1_000])
def test_there_are_exactly_n_samples(n):
    assert len(sample_events(n, faults=0.1, duplicates=0.1 if n > 1 else 0.0)) == n


def test_the_same_seed_gives_the_same_bytes_in_every_process_and_release():
    script = (
        "from holded_pipeline.testing import sample_events, sample_lines; import hashlib; "
        "s = sample_events(500, seed=7, faults=0.1, duplicates=0.1, wrapped=0.5); "
        "print(hashlib.sha256(sample_lines(s)).hexdigest())"
    )
    here = sample_lines(sample_events(500, seed=7, faults=0.1, duplicates=0.1, wrapped=0.5))
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == hashlib.sha256(here).hexdigest()


def test_other_seeds_give_other_events():
    assert {s.event_id for s in sample_events(200, seed=1)}.isdisjoint(s.event_id for s in sample_events(200, seed=2))


def test_more_events_begin_with_the_same_ones():
    assert sample_events(500, seed=3)[:100] == sample_events(100, seed=3)


def test_good_samples_become_events_with_their_event_id():
    samples = sample_events(2_000, seed=5, wrapped=0.3, duplicates=0.05)
    assert [event_of(sample).id for sample in samples] == [sample.event_id for sample in samples]


def test_all_types_and_fifty_companies_of_very_different_size_occur():
    events = [event_of(sample) for sample in sample_events(5_000)]
    assert {event.type for event in events} == set(EVENT_TYPES)
    sizes = [count for _, count in Counter(event.company_id for event in events).most_common()]
    assert 40 <= len(sizes) <= 50
    assert sizes[0] > 20 * sizes[-1]


def test_all_variants_of_headers_occur():
    documents = sample_documents(2_000)
    assert {tuple(sorted(set(document) - {"data"})) for document in documents} == {("headers",), ("attributes",)}
    moments = [stamp(document, "TimestampStamp") for document in documents]
    assert {type(moment) for moment in moments} == {dict, int, str}
    assert {type(moment["dispatchedAt"]) for moment in moments if isinstance(moment, dict)} == {int, str}
    assert {type(stamp(document, "MessageIdStamp")) for document in documents} == {dict, str}
    assert {type(stamp(document, "NewContextStamp")["accountId"]) for document in documents} == {int, str}


def test_sizes_are_those_of_real_messages():
    sizes = [len(sample.line) for sample in sample_events(3_000)]
    assert min(sizes) >= 512
    assert max(sizes) <= 2_048


def test_several_currencies_and_alphabets_occur():
    documents = sample_documents(2_000)
    assert len({document["data"].get("currency") for document in documents} - {None}) >= 5
    text = json.dumps(documents, ensure_ascii=False)
    assert all(letter in text for letter in ("ñ", "Ł", "θ", "И", "株", "🐟", "ß"))


def test_non_ascii_letters_are_escaped_in_some_lines_only():
    lines = [sample.line for sample in sample_events(300)]
    assert any(b"\\u00" in line for line in lines)
    assert any(not line.isascii() for line in lines)


def test_events_occur_within_the_requested_days():
    times = [event_of(sample).occurred_at for sample in sample_events(2_000)]
    assert START <= min(times) < START + timedelta(hours=1)
    assert START + timedelta(days=6, hours=23) < max(times) < START + timedelta(days=7)
    start = datetime(2031, 5, 1, 12, tzinfo=UTC)
    later = [event_of(sample).occurred_at for sample in sample_events(200, start=start, days=0.5)]
    assert start <= min(later) <= max(later) < start + timedelta(hours=12)


def test_documents_are_the_good_samples_as_dictionaries():
    samples = sample_events(50, seed=4)
    assert sample_documents(50, seed=4) == [json.loads(sample.line) for sample in samples]


def test_scores_of_the_samples_vary_and_some_wrapped_ones_are_late():
    results = [Quality()(event_of(sample)) for sample in sample_events(2_000, wrapped=1.0)]
    assert len({result["score"] for result in results}) >= 10
    failed = {failure["rule"] for result in results for failure in result["failed"]}
    assert {"user.known", "collected.in_time", "collected.not_before", "company.same", "totals.add_up"} <= failed
    late = sum(any(f["rule"] == "collected.in_time" for f in result["failed"]) for result in results)
    assert 0.02 < late / len(results) < 0.1


def test_wrapped_samples_of_one_package_have_one_correlation_id():
    documents = sample_documents(500, wrapped=1.0)
    packages = Counter(document["correlation_id"] for document in documents)
    assert 1 < max(packages.values()) <= 20
    assert {event_of(sample).metadata["correlation_id"] for sample in sample_events(500, wrapped=1.0)} == set(packages)


# --- faults and duplicates


def test_the_share_of_faulty_records_is_exact_and_has_every_kind():
    faulty = [sample for sample in sample_events(2_600, faults=0.02) if sample.fault]
    assert len(faulty) == 52
    assert Counter(sample.fault.name for sample in faulty) == {fault.name: 2 for fault in FAULTS}


def test_faults_can_be_chosen_by_name():
    samples = sample_events(30, faults=0.5, kinds=["truncated", "not_a_number"])
    assert Counter(sample.fault.name for sample in samples if sample.fault) in (
        {"truncated": 8, "not_a_number": 7},
        {"truncated": 7, "not_a_number": 8},
    )


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.stage == "read"], ids=lambda fault: fault.name)
def test_faults_of_reading_are_rejected_with_their_reason(fault):
    for sample in sample_events(60, seed=21, faults=1.0, kinds=[fault.name]):
        with pytest.raises(RejectRecord) as rejection:
            event_of(sample)
        assert rejection.value.reason == fault.reason
        assert sample.event_id is None


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.stage != "read"], ids=lambda fault: fault.name)
def test_faults_of_later_stages_can_be_read(fault):
    for sample in sample_events(60, seed=22, faults=1.0, kinds=[fault.name]):
        assert event_of(sample).id == sample.event_id


def test_no_line_has_a_line_break_in_it():
    samples = sample_events(2_000, faults=0.3, wrapped=0.5)
    assert sample_lines(samples).split(b"\n") == [*(sample.line for sample in samples), b""]


def test_a_resent_message_is_the_same_event():
    samples = sample_events(1_000, duplicates=0.1, faults=0.05, wrapped=0.5)
    again = [sample for sample in samples if sample.resent]
    first = {sample.event_id: sample for sample in samples if not (sample.resent or sample.fault)}
    assert len(again) == 100
    assert len(first) == 850
    for sample in again:
        before, after = event_of(first[sample.event_id]), event_of(sample)
        assert (before.id, before.occurred_at, before.data) == (after.id, after.occurred_at, after.data)
        assert samples.index(first[sample.event_id]) < samples.index(sample)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ({"n": -1}, "0 or more"),
        ({"n": 10, "faults": 1.5}, "faults is a share"),
        ({"n": 10, "duplicates": float("nan")}, "duplicates is a share"),
        ({"n": 10, "duplicates": 1.0}, "no good record"),
        ({"n": 10, "faults": 0.5, "kinds": ["mispelt"]}, "truncated.*unknown: mispelt"),
        ({"n": 10, "kinds": []}, "must name some"),
        ({"n": 10, "start": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001  the mistake that is meant
    ],
)
def test_invalid_arguments_raise(arguments, hint):
    with pytest.raises(ValueError, match=hint):
        sample_events(**arguments)
