"""ReadMinIO and timestamps that cannot be true."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

import holded_pipeline as hp

SECONDS = 1_718_031_415
MOMENT = datetime.fromtimestamp(SECONDS, UTC)
HEADER = "X-Message-Stamp-Holded\\Core\\Messaging\\Messenger\\Stamp\\TimestampStamp"


def flat(timestamp):
    return {"event_id": f"e-{timestamp}", "event_type": "t", "company_id": "c", "timestamp": timestamp}


def holded(timestamp):
    (message,) = hp.testing.sample_documents(1)
    message = json.loads(json.dumps(message))
    (message["headers"] if "headers" in message else message["attributes"])[HEADER] = {"dispatchedAt": timestamp}
    return message


def in_user_code(document, source):
    return hp.Event(
        id=document["event_id"],
        type="t",
        company_id="c",
        occurred_at=datetime.fromtimestamp(document["timestamp"] / 1000, UTC),
        data=document,
        source=source,
    )


def read(run, lake, documents, **settings):
    body = b"".join(json.dumps(document).encode() + b"\n" for document in documents)
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", body)
    ran = run(lambda p: (p | hp.ReadMinIO(lake, "raw/", **settings))._asdict())
    return [event.occurred_at for event in ran["passed"]], ran["rejected"]


@pytest.mark.parametrize(("envelope", "document"), [("flat", flat), ("holded", holded), (in_user_code, flat)])
def test_seconds_are_rejected_and_never_in_1970(run, lake, envelope, document):
    passed, rejected = read(run, lake, [document(SECONDS), document(SECONDS * 1000)], envelope=envelope)
    assert passed == [MOMENT]
    assert [each.reason for each in rejected] == ["implausible_timestamp"]
    assert "1970-01-20" in rejected[0].message


@pytest.mark.parametrize(("envelope", "document"), [("flat", flat), ("holded", holded)])
def test_with_the_unit_they_pass(run, lake, envelope, document):
    documents = [document(value) for value in (SECONDS, str(SECONDS), SECONDS + 0.5)]
    passed, rejected = read(run, lake, documents, envelope=envelope, timestamps=hp.Timestamps(unit="s"))
    assert sorted(passed) == [MOMENT, MOMENT, MOMENT + timedelta(seconds=0.5)]
    assert rejected == []


@pytest.mark.parametrize(("envelope", "document"), [("flat", flat), ("holded", holded)])
def test_a_time_too_far_ahead_is_rejected_by_option(run, lake, envelope, document):
    ahead = int((datetime.now(UTC) + timedelta(days=2)).timestamp()) * 1000
    rules = hp.Timestamps(max_ahead=timedelta(days=1))
    passed, rejected = read(run, lake, [document(ahead)], envelope=envelope, timestamps=rules)
    assert (passed, [each.reason for each in rejected]) == ([], ["implausible_timestamp"])


def test_what_was_rejected_for_its_unit_is_replayed_with_the_right_one(run, lake):
    body = json.dumps(flat(SECONDS)).encode()
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", body)
    run(
        lambda p: {
            "w": (p | hp.ReadMinIO(lake, "raw/", envelope="flat")).rejected | hp.WriteRejected(lake, "rejected/")
        }
    )
    rules = hp.Timestamps(unit="s")
    replay = hp.ReadRejected(lake, "rejected/", reason="implausible_timestamp", envelope="flat", timestamps=rules)
    assert [event.occurred_at for event in run(lambda p: (p | replay)._asdict())["passed"]] == [MOMENT]


def test_an_event_that_was_accepted_is_read_back_whatever_its_time(run, lake):
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", json.dumps(flat(0)).encode())
    read_any = hp.ReadMinIO(lake, "raw/", envelope="flat", timestamps=hp.Timestamps(earliest=None))
    assert run(lambda p: {"written": (p | read_any).passed | hp.WriteMinIO(lake, "enriched/")})["written"]
    ran = run(lambda p: (p | hp.ReadMinIO(lake, "enriched/", envelope="event"))._asdict())
    assert [event.occurred_at for event in ran["passed"]] == [datetime(1970, 1, 1, tzinfo=UTC)]


@pytest.mark.parametrize("name", ["Pacific/Kiritimati", "Etc/GMT+12", "Europe/Madrid"])
@pytest.mark.parametrize("timestamps", [None, hp.Timestamps(earliest=datetime.min.replace(tzinfo=UTC))])
def test_what_is_loaded_can_be_read_in_every_time_zone(run, lake, db, name, timestamps):
    ends = ("0001-01-01T16:00:00Z", "9999-12-31T07:59:59Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z")
    body = b"".join(json.dumps(flat(each)).encode() + b"\n" for each in (*ends, -62_135_596_800_000))
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", body)

    def build(p):
        raw = p | hp.ReadMinIO(lake, "raw/", envelope="flat", timestamps=timestamps)
        return {"rejected": raw.rejected, "loaded": (raw.passed | hp.WritePostgres(db)).passed}

    assert {each.reason for each in run(build)["rejected"]} == {"implausible_timestamp"}
    with psycopg.connect(db.url, options=f"-c timezone={name}") as connection:
        rows = connection.execute("SELECT occurred_at FROM business_events").fetchall()
    assert len(rows) == (1 if timestamps is None else 2)
