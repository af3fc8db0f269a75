"""A misspelt bucket, folder or subject, and a forgotten envelope, are answered with what there is."""

from __future__ import annotations

import json
import logging

import apache_beam as beam
import attrs
import pytest

import holded_pipeline as hp

FLAT = {"event_id": "e1", "event_type": "order", "company_id": "c", "timestamp": 1_767_225_600_000, "total": 1}


def lines(*documents):
    return b"".join(json.dumps(each).encode() + b"\n" for each in documents)


@pytest.fixture
def filled(lake):
    objects = {"raw/2026/a.jsonl": lines(FLAT), "rejected/x": b"{}", "enriched/y": b"{}"}
    lake.filesystem().pipe({f"{lake.bucket}/{key}": body for key, body in objects.items()})
    return lake


def warnings_of(caplog, lake, pattern, **settings):
    """What is logged while a pipeline reads the pattern, and nothing keeps what is rejected."""
    caplog.clear()
    with caplog.at_level(logging.WARNING, "holded_pipeline"), beam.Pipeline(runner="FnApiRunner") as p:
        raw = p | hp.ReadMinIO(lake, pattern, **settings)
        _ = raw.rejected | beam.Map(lambda _: None)
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("rww/", "the bucket has raw/, enriched/, rejected/; check"),
        ("raw/2025/", "raw/ has raw/2026/; check"),
        ("raw/2026/*.csv", "raw/2026/ has raw/2026/a.jsonl; check"),
        ("a/b/c/d", "the bucket has enriched/, raw/, rejected/; check"),
    ],
)
def test_a_misspelt_folder_is_answered_with_its_neighbours(caplog, filled, pattern, found):
    (warning,) = warnings_of(caplog, filled, pattern)
    assert f"no object of {filled.bucket} matches {pattern!r}, so nothing is read; {found}" in warning


def test_a_prefix_that_begins_with_the_bucket_is_answered_with_the_rest(caplog, filled):
    (warning,) = warnings_of(caplog, filled, f"{filled.bucket}/raw/")
    assert "begins with the bucket's name, which is no part of keys: write 'raw/'" in warning


def test_an_empty_bucket_is_named_so(caplog, lake):
    (warning,) = warnings_of(caplog, lake, "raw/")
    assert "the bucket is empty" in warning
    with caplog.at_level(logging.WARNING, "holded_pipeline"):
        assert list(hp.events(lake, "raw/")) == []
    assert caplog.messages[-1] == f"no object of {lake.bucket} matches 'raw/'; the bucket is empty"


def test_a_misspelt_bucket_is_answered_with_near_names(filled):
    wrong = attrs.evolve(filled, bucket=f"{filled.bucket}x")
    with pytest.raises(
        hp.ConfigurationError, match=rf"'{filled.bucket}x': NoSuchBucket; create the bucket, or .*: {filled.bucket}\b"
    ):
        list(hp.events(wrong, "raw/"))


def test_a_forgotten_envelope_is_named_once_for_a_run(caplog, filled):
    filled.filesystem().pipe(f"{filled.bucket}/raw/2026/b.jsonl", lines(FLAT, FLAT))
    (warning,) = warnings_of(caplog, filled, "raw/", unit_objects=1)
    assert warning.startswith("ReadMinIO: ")
    assert 'rejected by the envelope "holded"; the envelope "flat" reads them: pass envelope="flat"' in warning
    assert warnings_of(caplog, filled, "raw/", envelope="flat") == []
    with pytest.raises(hp.RejectRecord, match='; envelope="flat" reads it'):
        list(hp.events(filled, "raw/"))


def test_records_that_no_envelope_reads_need_a_function(caplog, lake):
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", lines({"a": 1}, {"a": 2}))
    (warning,) = warnings_of(caplog, lake, "raw/", envelope="flat")
    assert "all of the first 2 records were rejected" in warning
    assert "no built-in envelope reads them: pass a function" in warning


def test_timestamps_in_another_unit_are_named_and_not_the_envelope(caplog, lake):
    messages = hp.testing.sample_lines(hp.testing.sample_events(2, seed=1)).splitlines()
    documents = [  # "holded" reads them, too
        json.loads(message) | FLAT | {"timestamp": 1_767_225_600 + number} for number, message in enumerate(messages)
    ]
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", lines(*documents))
    (warning,) = warnings_of(caplog, lake, "raw/", envelope="flat")
    assert "all of the first 2 records were rejected" in warning
    assert "/timestamp cannot be true: 1970-01-21T10:53:45.600" in warning
    assert 'pass timestamps=hp.Timestamps(unit="s")' in warning
    assert "pass a function" not in warning


@pytest.mark.parametrize("first", [True, False])
def test_one_record_that_fits_says_that_the_envelope_is_right(caplog, lake, first):
    wrong = [{"a": number} for number in range(19)]
    documents = [FLAT, *wrong] if first else [*wrong, FLAT]
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", lines(*documents))
    assert warnings_of(caplog, lake, "raw/", envelope="flat") == []


def test_lines_that_are_not_json_say_nothing_about_the_envelope(caplog, lake):
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", b"{a}\n" * 30)
    assert warnings_of(caplog, lake, "raw/") == []


def rejection_of(subject, documents):
    resolver = hp.SchemaMapping(documents).open()
    with pytest.raises(hp.RejectRecord) as caught:
        resolver.resolve(subject, None)
    return caught.value.message


def test_a_misspelt_subject_is_answered_with_near_ones():
    documents = {"sales/order": {}, "sales/orders": {}, "hr/person": {}}
    assert rejection_of("Sales/Ordr", documents).endswith("There are subjects like it: sales/order, sales/orders")
    assert rejection_of("x", documents).endswith("add one")


def test_subjects_that_a_sender_makes_up_are_not_all_compared():
    resolver = hp.SchemaMapping({"order": {}}).open()
    messages = []
    for number in range(150):
        with pytest.raises(hp.RejectRecord) as caught:
            resolver.resolve(f"order{number}", None)
        messages.append(caught.value.message)
    assert sum("subjects like it" in message for message in messages) == 100
    with pytest.raises(hp.RejectRecord, match="subjects like it: order"):
        resolver.resolve("order7", None)


def test_a_missing_schema_directory_is_answered_with_its_neighbours(tmp_path):
    for name in ("schemas", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "schemas" / "a.json").write_text("{}")
    for wrong in ("schema", "schema/sub"):
        with pytest.raises(hp.ConfigurationError, match=f"does not exist; {tmp_path} has schemas/, other/$"):
            hp.SchemaDirectory(tmp_path / wrong).prepare()
    with pytest.raises(hp.ConfigurationError, match="is a file; give hp.SchemaDirectory the directory that it is in"):
        hp.SchemaDirectory(tmp_path / "schemas" / "a.json").prepare()
