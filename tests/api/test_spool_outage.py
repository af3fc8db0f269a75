"""An outage of a real store with a spool: every acknowledged event is in the store once when it is back."""

from __future__ import annotations

import collections
import contextlib
import json
import random
import time
from pathlib import Path

import attrs
import pytest
from api_load import Load
from forked_api import ForkedAPI
from stalling_proxy import Proxy
from starlette.testclient import TestClient
from store_contents import documents_below, objects_below

import holded_pipeline as hp
from holded_pipeline.api import Spool, Writing, create_app

SCHEMAS = hp.SchemaDirectory(Path(__file__).parent.parent.parent / "examples" / "schemas")
LINES = {"Content-Type": "application/x-ndjson"}


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def counts_of_ids(lake):
    filesystem = lake.filesystem()
    bodies = filesystem.cat(filesystem.find(f"{lake.bucket}/raw/"))  # all at once
    return collections.Counter(json.loads(line)["event_id"] for body in bodies.values() for line in body.splitlines())


def metric(client, name):
    lines = client.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"holded_api_{name} "))


def test_what_an_outage_acknowledged_is_stored_after_a_restart_without_a_store(own, tmp_path):
    (bad,) = hp.testing.sample_events(1, seed=5, faults=1.0, kinds=["several_at_once"])
    good = hp.testing.sample_events(30, seed=6)
    acknowledged = set()

    def started():
        return TestClient(
            create_app(own.minio, spool=Spool(tmp_path, after=1), schemas=SCHEMAS), client=("127.0.0.1", 1)
        )

    def send(client, samples):
        answer = client.post("/collect", content=hp.testing.sample_lines(samples), headers=LINES)
        assert answer.status_code == 202
        acknowledged.update(each["event_id"] for each in answer.json()["accepted"])

    with started() as client:
        until(lambda: client.get("/ready").json() == {"status": "ready"})
        send(client, good[:10])
        own.stop_minio("crash")
        send(client, [bad, *good[10:20]])
        until(lambda: client.get("/ready").json() == {"status": "spooling"})  # it is checked once a second
        assert client.get("/events").status_code == 503
        assert (metric(client, "spool_groups"), metric(client, "drained_groups_total")) == (2, 0)
        assert metric(client, "spool_oldest_seconds") > 0
        began = time.monotonic()
    assert time.monotonic() - began < 20  # it does not wait for the store
    with started() as client:
        assert client.get("/ready").json() == {"status": "spooling"}
        send(client, good[20:])
        own.start_minio()
        until(lambda: metric(client, "spool_groups") == 0)
        assert metric(client, "drained_groups_total") == 3
        until(lambda: client.get("/ready").json() == {"status": "ready"})
    counts = counts_of_ids(own.minio)
    assert {event_id: counts[event_id] for event_id in acknowledged} == dict.fromkeys(acknowledged, 1)
    assert len(acknowledged) == 30
    assert len(documents_below(own.minio, "rejected/")) == 1


def test_a_write_that_timed_out_and_was_spooled_makes_one_object(api, lake, tmp_path):
    proxy = Proxy(lake.endpoint)
    try:
        client = api(lake=attrs.evolve(lake, endpoint=proxy.endpoint), spool=Spool(tmp_path, after=0.5))
        assert client.post("/collect", json={"n": 0}).status_code == 202
        proxy.flow.clear()
        answer = client.post("/collect", json={"n": 1})
        assert answer.status_code == 202
        assert metric(client, "spool_groups") == 1
        proxy.flow.set()  # now the store gets both, the write that timed out and that of the spool
        until(lambda: metric(client, "spool_groups") == 0)
        assert counts_of_ids(lake)[answer.json()["accepted"][0]["event_id"]] == 1
        assert len(objects_below(lake, "raw/")) == 2
    finally:
        proxy.close()


def test_kills_while_events_are_spooled_and_drained_lose_and_double_none(own, tmp_path):
    lake, choose = own.new_bucket(), random.Random(20261127)

    def groups():
        found = 0
        for folder in tmp_path.iterdir():
            with contextlib.suppress(FileNotFoundError):  # an empty one is removed
                found += sum(path.suffix == ".group" for path in folder.iterdir())
        return found

    first, second = ForkedAPI(lake, tmp_path), ForkedAPI(lake, tmp_path)
    with Load(senders=3) as load:
        first.wait_until_ready()
        load.to(first.url)
        load.wait_for(50)
        own.stop_minio("crash")
        load.wait_for(choose.randint(100, 300))
        first.kill()  # while events are spooled
        load.to(second.url)
        load.wait_for(choose.randint(100, 300))
        load.to("http://127.0.0.1:1")
        waiting = groups()
        own.start_minio()
        until(lambda: groups() <= waiting - choose.randint(1, 20))
        second.kill()  # while they are drained
    third = ForkedAPI(lake, tmp_path)
    until(lambda: groups() == 0)
    third.stop()
    counts = counts_of_ids(lake)
    assert len(load.acknowledged) >= 250
    assert load.statuses == {202}
    assert {event_id: counts[event_id] for event_id in load.acknowledged} == dict.fromkeys(load.acknowledged, 1)
    assert list(tmp_path.iterdir()) == []


def test_a_spool_that_is_slower_than_the_503_is_a_wrong_setting(nowhere, tmp_path):
    with pytest.raises(ValueError, match=r"Spool\.after, 3 s, must be less than Writing\.store_seconds, 2;"):
        create_app(nowhere, spool=Spool(tmp_path, after=3), writing=Writing(store_seconds=2))
