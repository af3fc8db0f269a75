"""Packages that arrive together are written as one object, and none is acknowledged before it is stored."""

from __future__ import annotations

import asyncio
import itertools
import threading

import pytest

from holded_pipeline.api.collecting.group_commit import GroupCommit
from holded_pipeline.api.problems import Problem
from holded_pipeline.api.settings import Writing
from holded_pipeline.model.errors import TransientError


class FailureList:
    """Metrics that keep the failures."""

    def __init__(self):
        self.failures = []

    def count_object(self, size, packages, seconds):
        pass

    def count_failure(self, error):
        self.failures.append(error)


class Disk:
    """A write function that stores into a dict, and waits until `writable` is set."""

    def __init__(self, *, writable=True, failing=False):
        self.objects = {}
        self.writable = threading.Event()
        self.started_writes = threading.Semaphore(0)
        self.failing = failing
        if writable:
            self.writable.set()

    def __call__(self, key, body):
        self.started_writes.release()
        assert self.writable.wait(20)
        if self.failing:
            raise TransientError("the store did not answer")
        self.objects[key] = body


def commit_to(disk, metrics=None, **settings):
    numbers = itertools.count()
    key = lambda partition: f"{partition}/{next(numbers)}"  # noqa: E731
    return GroupCommit(disk, key, Writing(**settings), metrics or FailureList())


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario(), 30))


async def until(condition):
    while not condition():  # noqa: ASYNC110  there is no event for it
        await asyncio.sleep(0.005)


def test_packages_that_arrive_together_make_one_object():
    disk = Disk()

    async def scenario():
        commit = commit_to(disk, max_wait=0.2)
        commit.start()
        await asyncio.gather(*(commit.store("h", b"%d\n" % number) for number in range(100)))
        await commit.close()

    run(scenario)
    assert disk.objects == {"h/0": b"".join(b"%d\n" % number for number in range(100))}


def test_two_partitions_do_not_share_an_object():
    disk = Disk()

    async def scenario():
        commit = commit_to(disk, max_wait=0.1)
        commit.start()
        await asyncio.gather(commit.store("h1", b"a\n"), commit.store("h2", b"b\n"))
        await commit.close()

    run(scenario)
    assert disk.objects == {"h1/0": b"a\n", "h2/1": b"b\n"}


def test_an_object_is_not_larger_than_group_bytes():
    disk = Disk()

    async def scenario():
        commit = commit_to(disk, max_wait=0.1, group_bytes=10)
        commit.start()
        await asyncio.gather(*(commit.store("h", b"123\n") for _ in range(6)))
        await commit.close()

    run(scenario)
    assert sorted(len(body) for body in disk.objects.values()) == [8, 8, 8]


def test_nothing_is_acknowledged_before_it_is_stored():
    disk = Disk(writable=False)

    async def scenario():
        commit = commit_to(disk, max_wait=0)
        commit.start()
        storing = asyncio.create_task(commit.store("h", b"a\n"))
        await asyncio.to_thread(disk.started_writes.acquire)
        assert not storing.done()
        disk.writable.set()
        await storing
        assert disk.objects
        await commit.close()

    run(scenario)


def test_a_failed_write_is_answered_with_503():
    metrics = FailureList()

    async def scenario():
        commit = commit_to(Disk(failing=True), metrics, max_wait=0.05)
        commit.start()
        answers = await asyncio.gather(*(commit.store("h", b"a\n") for _ in range(3)), return_exceptions=True)
        assert [answer.status for answer in answers] == [503] * 3
        await commit.close()

    run(scenario)
    assert len(metrics.failures) == 1


def test_a_package_beyond_the_queue_is_answered_with_503():
    disk = Disk(writable=False)

    async def scenario():
        commit = commit_to(disk, max_wait=0, writes=1, group_packages=1, queue_bytes=20)
        commit.start()
        first = asyncio.create_task(commit.store("h", b"0123456789\n"))
        await asyncio.to_thread(disk.started_writes.acquire)
        second = asyncio.create_task(commit.store("h", b"0123456789\n"))
        await until(lambda: commit.waiting_packages == 1)
        with pytest.raises(Problem) as raised:
            await commit.store("h", b"0123456789\n")
        assert (raised.value.status, raised.value.headers["Retry-After"]) == (503, "5")
        assert commit.waiting_bytes == 11
        disk.writable.set()
        await asyncio.gather(first, second)
        await commit.close()

    run(scenario)
    assert len(disk.objects) == 2


def test_a_package_that_waits_too_long_is_answered_and_withdrawn():
    disk = Disk(writable=False)

    async def scenario():
        commit = commit_to(disk, max_wait=0, writes=1, store_seconds=0.2)
        commit.start()
        first = asyncio.create_task(commit.store("h", b"first\n"))
        await asyncio.to_thread(disk.started_writes.acquire)
        with pytest.raises(Problem):
            await commit.store("h", b"second\n")
        with pytest.raises(Problem):
            await first
        assert (commit.waiting_packages, commit.waiting_bytes) == (0, 0)
        disk.writable.set()
        await commit.close()

    run(scenario)
    assert list(disk.objects.values()) == [b"first\n"]  # stored all the same, as its answer says it may be


def test_closing_stores_the_queue_and_rejects_new_packages():
    disk = Disk(writable=False)

    async def scenario():
        commit = commit_to(disk, max_wait=60)
        commit.start()
        storing = asyncio.create_task(commit.store("h", b"a\n"))
        await until(lambda: commit.waiting_packages == 1)
        closing = asyncio.create_task(commit.close())
        await asyncio.to_thread(disk.started_writes.acquire)
        with pytest.raises(Problem) as raised:
            await commit.store("h", b"b\n")
        assert raised.value.code == "stopping"
        disk.writable.set()
        await closing
        await storing

    run(scenario)
    assert list(disk.objects.values()) == [b"a\n"]
