"""Stored events, iterated without a pipeline."""

from __future__ import annotations

import gzip
import importlib.util
import json
import logging
from datetime import UTC, datetime

import apache_beam as beam
import pytest

import holded_pipeline as hp

LINES = hp.testing.sample_lines(hp.testing.sample_events(50))


def put(lake, **objects):
    lake.filesystem().pipe({f"{lake.bucket}/raw/{key}": body for key, body in objects.items()})


def flat(number, **more):
    return {"event_id": f"e{number}", "event_type": "t", "company_id": "c", "timestamp": 1_700_000_000_000, **more}


@pytest.fixture
def written(lake: hp.MinIO) -> hp.MinIO:
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", LINES)
    with beam.Pipeline(runner="FnApiRunner") as p:
        _ = (p | hp.ReadMinIO(lake, "raw/")).passed | hp.WriteMinIO(lake, "enriched/")
    return lake


def test_what_was_written_is_iterated_as_often_as_needed(written):
    found = hp.events(written, "enriched/")
    sent = {event.id: dict(event.data) for event in hp.events(written, "raw/", envelope="holded")}
    assert len(sent) == 50
    for _ in range(2):
        assert {event.id: dict(event.data) for event in found} == sent


def test_every_layout_and_compression_is_read(lake):
    put(
        lake,
        a=json.dumps([flat(0), flat(1)]).encode(),
        b=gzip.compress(json.dumps(flat(2)).encode()),
        c=json.dumps(flat(3), indent=2).encode(),
        d=b"",
        e=json.dumps(flat(4, long="x" * 5_000_000)).encode(),
    )
    found = list(hp.events(lake, "raw/", envelope="flat"))
    assert [event.id for event in found] == ["e0", "e1", "e2", "e3", "e4"]
    assert (found[1].source.key, found[1].source.item) == ("raw/a", 2)


def test_records_inside_documents_are_read_with_the_members_around_them(lake):
    def owned(document, source, outer):
        return hp.Event(document["id"], "t", outer["owner"], datetime.now(UTC), document, source=source)

    document = json.dumps({"a": {"items": [{"id": "1"}, {"id": "2"}]}, "owner": "me"}).encode()
    put(lake, **{"a.json": document, "b.json.gz": gzip.compress(document), "c.json": b"{}"})
    found = list(hp.events(lake, "raw/", records="/a/items/*", envelope=owned, on_invalid="skip"))
    assert [(event.id, event.company_id, event.source.item) for event in found] == [("1", "me", 1), ("2", "me", 2)] * 2
    with pytest.raises(hp.RejectRecord, match="c.json"):
        list(hp.events(lake, "raw/", records="/a/items/*", envelope=owned))
    with pytest.raises(ValueError, match="records must be a JSON Pointer"):
        hp.events(lake, "raw/", records="Records")


def test_a_known_layout_is_not_sniffed(lake):
    put(lake, a=b'{"event_id": "broken"\n' + json.dumps(flat(1)).encode())
    found = hp.events(lake, "raw/", envelope="flat", layout="lines", on_invalid="skip")
    assert [event.id for event in found] == ["e1"]
    with pytest.raises(ValueError, match="layout must be"):
        hp.events(lake, "raw/", layout="csv")


def test_a_glob_chooses_objects(lake):
    put(lake, **{"a.jsonl": json.dumps(flat(0)).encode(), "b.txt": json.dumps(flat(1)).encode()})
    assert [event.id for event in hp.events(lake, "raw/*.jsonl", envelope="flat")] == ["e0"]


@pytest.mark.parametrize(
    "body", [b'{"event_id": "e1"}', gzip.compress(b'{"a": 1}' * 1_000)[:-4]], ids=["incomplete", "cut"]
)
def test_a_record_that_is_no_event_raises_with_its_position(lake, body):
    put(lake, a=json.dumps(flat(0)).encode(), b=body, c=json.dumps(flat(2)).encode())
    found = iter(hp.events(lake, "raw/", envelope="flat"))
    assert next(found).id == "e0"
    with pytest.raises(hp.RejectRecord, match=f"{lake.bucket}/raw/b:1"):
        next(found)


def test_or_is_skipped_and_logged(lake, caplog):
    put(lake, a=json.dumps(flat(0)).encode(), b=b"{}\n[]\nx\n", c=json.dumps(flat(2)).encode())
    with caplog.at_level(logging.WARNING, "holded_pipeline"):
        assert [event.id for event in hp.events(lake, "raw/", envelope="flat", on_invalid="skip")] == ["e0", "e2"]
    assert "raw/b:3" in caplog.text
    assert "2 records under 'raw/' were skipped" in caplog.text


def test_nothing_is_read_at_first_and_wrong_arguments_are_refused_at_once(lake):
    nowhere = hp.MinIO("http://127.0.0.1:9", bucket="b", access_key="a", secret_key=lake.secret_key)
    assert hp.events(nowhere, "raw/") is not None
    for arguments in ({"envelope": "flatt"}, {"on_invalid": "ignore"}, {"max_depth": 0}):
        with pytest.raises(ValueError, match=r"flat|on_invalid|max_depth"):
            hp.events(lake, "raw/", **arguments)


def test_a_table_where_pandas_is_installed_and_a_plain_error_where_not(lake):
    early = flat(1, timestamp="0001-01-01T00:00:00Z", n=2)
    put(lake, a=json.dumps(flat(0, n=1)).encode(), b=json.dumps(early).encode())
    found = hp.events(lake, "raw/", envelope="flat", timestamps=hp.Timestamps(earliest=None))
    if importlib.util.find_spec("pandas") is None:
        with pytest.raises(ImportError, match="pip install 'pandas"):
            found.to_pandas()
        return
    frame = found.to_pandas()
    assert list(frame["id"]) == ["e0", "e1"]
    assert list(frame["data"]) == [{"n": 1}, {"n": 2}]
    assert list(frame["key"]) == ["raw/a", "raw/b"]
    assert list(hp.events(lake, "nothing/").to_pandas().columns) == list(frame.columns)
    assert frame["occurred_at"][1] == datetime(1, 1, 1, tzinfo=UTC)
