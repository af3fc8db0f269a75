"""Objects are stored while the pipeline goes on: how many at once, and what becomes of their errors."""

from __future__ import annotations

import threading
import time

import pytest

from holded_pipeline.model.errors import TransientError
from holded_pipeline.store.object_buffers import FinishedObject
from holded_pipeline.store.object_names import ObjectIdentity
from holded_pipeline.transforms.workers.pending_objects import PendingObjects

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


@pytest.mark.parametrize(
    ("size", "expected"), [(1, (4, 4)), (40, (2, 80)), (50, (2, 100)), (51, (1, 51)), (300, (1, 300))]
)
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


def test_an_object_that_cannot_be_stored_fails_whoever_waits_for_it():
    store = Store()
    store.may_go_on.set()
    pending = PendingObjects(store.write, 100)
    list(pending.add("o1", finished(b"")))
    with pytest.raises(TransientError, match="o1 was not stored"):
        list(pending.finish())
