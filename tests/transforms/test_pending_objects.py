"""Objects are stored while the pipeline goes on: how many at once, and what becomes of their errors."""

from __future__ import annotations

import os
import threading
import time

import apache_beam as beam
import attrs
import pytest

import holded_pipeline as hp
from holded_pipeline.local.ports import free_ports
from holded_pipeline.model.errors import TransientError
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.object_buffers import FinishedObject
from holded_pipeline.store.object_names import ObjectIdentity, partition_template
from holded_pipeline.transforms.workers.pending_objects import PendingObjects
from holded_pipeline.transforms.workers.write_objects import ObjectSettings, WriteObjects
from holded_pipeline.transforms.write_minio import encode_event_line
from tests.support.event_factory import make_event

SECONDS = 30


class Store:
    """Stores nothing before it is told to, and notes what is on its way at once."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.changed = threading.Condition()
        self.bodies: dict[str, bytes] = {}
        self.most: tuple[int, int] = (0, 0)

    def write(self, key: str, body: bytes) -> str:
        with self.changed:
            self.bodies[key] = body
            on_their_way = len(self.bodies), sum(map(len, self.bodies.values()))
            self.most = max(self.most[0], on_their_way[0]), max(self.most[1], on_their_way[1])
            self.changed.notify_all()
        assert self.may_go_on.wait(SECONDS)
        with self.changed:
            del self.bodies[key]
        if not body:
            raise TransientError(f"{key} was not stored")
        return f"etag of {key}"

    def wait_for(self, number: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.bodies) == number, SECONDS)


def finished(body: bytes) -> FinishedObject:
    return FinishedObject("p", body, 1, ObjectIdentity(), ())


def test_an_object_is_stored_while_others_are_made_and_is_output_in_its_turn():
    store = Store()
    pending = PendingObjects(store.write, 100)
    for number in range(4):
        assert list(pending.add(f"o{number}", finished(b"x"))) == []  # although none is stored yet
    store.wait_for(4)
    store.may_go_on.set()
    assert [(key, etag) for key, _, etag in pending.finish()] == [(f"o{n}", f"etag of o{n}") for n in range(4)]
    assert list(pending.finish()) == []


@pytest.mark.parametrize(("size", "expected"), [(1, (4, 4)), (40, (2, 80)), (50, (2, 100)), (51, (1, 51))])
def test_neither_too_many_objects_nor_too_many_bytes_are_on_their_way(size, expected):
    store = Store()
    pending = PendingObjects(store.write, 100)
    store.may_go_on.set()
    for number in range(5):  # whatever was stored before does not count
        list(pending.add(f"before{number}", finished(b"x" * size)))
    list(pending.finish())
    store.may_go_on.clear()
    store.most = (0, 0)
    stored = []

    def add_all() -> None:
        for number in range(9):
            stored.extend(pending.add(f"o{number}", finished(b"x" * size)))
        stored.extend(pending.finish())

    adding = threading.Thread(target=add_all)
    adding.start()
    store.wait_for(expected[0])
    time.sleep(0.05)  # in which a further one could begin
    store.may_go_on.set()
    adding.join(SECONDS)
    assert store.most == expected
    assert [key for key, _, _ in stored] == [f"o{number}" for number in range(9)]


def test_an_object_that_is_too_large_is_stored_before_others_are_filled():
    store = Store()
    pending = PendingObjects(store.write, 100)
    threading.Timer(0.2, store.may_go_on.set).start()
    assert [key for key, _, _ in pending.add("large", finished(b"x" * 101))] == ["large"]
    assert not store.bodies


def test_the_size_of_the_last_objects_does_not_matter():
    store = Store()
    pending = PendingObjects(store.write, 100)
    for number in range(4):
        assert list(pending.add(f"o{number}", finished(b"x" * 300), is_last=True)) == []
    store.wait_for(4)
    store.may_go_on.set()
    assert len(list(pending.finish())) == 4


def test_an_object_that_cannot_be_stored_fails_whoever_waits_for_it():
    store = Store()
    store.may_go_on.set()
    pending = PendingObjects(store.write, 100)
    list(pending.add("o1", finished(b"")))
    with pytest.raises(TransientError, match="o1 was not stored"):
        list(pending.finish())


def uploads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "write-minio"]


def encode_until_the_fourth(element) -> bytes:
    if element == 3:
        raise ValueError("the fourth")
    return os.urandom(3_000_000).hex().encode()


def test_nothing_is_stored_any_more_when_a_run_has_failed(lake):
    pipeline = beam.Pipeline(runner="FnApiRunner")
    numbers = pipeline | beam.Create([[0, 1, 2, 3]]) | beam.FlatMap(list)
    _ = numbers | hp.WriteMinIO(lake, "x/", encode=encode_until_the_fourth, compression=None, object_bytes=1)
    with pytest.raises(Exception, match="the fourth"):
        pipeline.run()
    assert uploads() == []
    store = ObjectStore(lake)
    stored = [each.key for each in store.objects("x/")]
    assert len(stored) == 3
    time.sleep(0.5)
    assert [each.key for each in store.objects("x/")] == stored


def write_objects(lake: hp.MinIO, *, partition: str = "", object_bytes: int = 1) -> WriteObjects:
    settings = ObjectSettings(
        prefix="x/",
        partition=partition_template(partition) if partition else None,
        compression=None,
        object_bytes=object_bytes,
        object_seconds=60,
        buffer_bytes=1 << 20,
    )
    write = WriteObjects(lake, encode_event_line, settings, run_id="run", step="step", stage="write_minio")
    write.setup()
    write.start_bundle()
    return write


def test_what_is_open_at_the_end_of_a_bundle_is_stored_at_once(lake, monkeypatch):
    """Also if it is more than may be on its way while others are being filled."""
    all_three = threading.Barrier(3)

    def store(key: str, body: bytes) -> str:
        all_three.wait(SECONDS)  # which fails those that come alone
        return f"{len(body)} bytes of {key}"

    write = write_objects(lake, partition="{company_id}", object_bytes=1 << 20)
    monkeypatch.setattr(write._pending, "_store", store)
    monkeypatch.setattr(write._pending, "_most_bytes", 1)
    for company in "abc":
        assert not list(write.process(make_event(company_id=company)))
    assert len(list(write.finish_bundle())) == 3
    write.teardown()


def test_the_next_attempt_at_a_bundle_waits_for_what_the_failed_one_left(lake):
    write = write_objects(lake)
    list(write.process(make_event(data={"text": "x" * 100_000})))
    assert uploads()
    write.start_bundle()
    assert not uploads()
    write.teardown()


def test_a_run_that_ends_does_not_wait_for_further_attempts():
    (port,) = free_ports(1)
    nowhere = hp.MinIO(f"http://127.0.0.1:{port}", bucket="b", access_key="me", secret_key="secret")
    write = write_objects(attrs.evolve(nowhere, retry=hp.Retry(deadline=300)))
    list(write.process(make_event()))
    assert uploads()
    began = time.monotonic()
    write.teardown()
    assert not uploads()
    assert time.monotonic() - began < 60  # a few seconds of waiting between attempts
