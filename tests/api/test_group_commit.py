"""Packages that arrive together are stored together, and none is acknowledged before it is stored."""

from __future__ import annotations

import asyncio
import itertools
import threading

import pytest

from holded_pipeline.api.group_commit import GroupCommit
from holded_pipeline.api.problems import Problem
from holded_pipeline.api.settings import Writing
from holded_pipeline.model.errors import TransientError


class Heard:
    """What a commit told."""

    def __init__(self):
        self.failures = []

    def stored(self, size, packages, seconds):
        pass

    def failed(self, error):
        self.failures.append(error)


class Disk:
    """A function that stores into a dict, when it is let."""

    def __init__(self, *, open_at_once=True, failing=False):
        self.objects = {}
        self.door = threading.Event()
        self.began = threading.Semaphore(0)
        self.failing = failing
        if open_at_once:
            self.door.set()

    def __call__(self, key, body):
        self.began.release()
        assert self.door.wait(20)
        if self.failing:
            raise TransientError("the store did not answer")
        self.objects[key] = body


def commit_to(disk, heard=None, **settings):
    numbers = itertools.count()
    key = lambda partition: f"{partition}/{next(numbers)}"  # noqa: E731
    return GroupCommit(disk, key, Writing(**settings), heard or Heard())


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


def test_hours_do_not_share_an_object():
    disk = Disk()

    async def scenario():
        commit = commit_to(disk, max_wait=0.1)
        commit.start()
        await asyncio.gather(commit.store("h1", b"a\n"), commit.store("h2", b"b\n"))
        await commit.close()

    run(scenario)
    assert disk.objects == {"h1/0": b"a\n", "h2/1": b"b\n"}


def test_an_object_is_not_larger_than_asked_for():
    disk = Disk()

    async def scenario():
        commit = commit_to(disk, max_wait=0.1, group_bytes=10)
        commit.start()
        await asyncio.gather(*(commit.store("h", b"123\n") for _ in range(6)))
        await commit.close()

    run(scenario)
    assert sorted(len(body) for body in disk.objects.values()) == [8, 8, 8]


def test_nothing_is_acknowledged_before_the_store_has_it():
    disk = Disk(open_at_once=False)

    async def scenario():
        commit = commit_to(disk, max_wait=0)
        commit.start()
        storing = asyncio.create_task(commit.store("h", b"a\n"))
        await asyncio.to_thread(disk.began.acquire)
        assert not storing.done()
        disk.door.set()
        await storing
        assert disk.objects
        await commit.close()

    run(scenario)


def test_a_failed_write_is_no_acknowledgement():
    heard = Heard()

    async def scenario():
        commit = commit_to(Disk(failing=True), heard, max_wait=0.05)
        commit.start()
        answers = await asyncio.gather(*(commit.store("h", b"a\n") for _ in range(3)), return_exceptions=True)
        assert [answer.status for answer in answers] == [503] * 3
        await commit.close()

    run(scenario)
    assert len(heard.failures) == 1


def test_what_does_not_fit_the_queue_is_told_to_come_again():
    disk = Disk(open_at_once=False)

    async def scenario():
        commit = commit_to(disk, max_wait=0, writes=1, group_packages=1, queue_bytes=20)
        commit.start()
        first = asyncio.create_task(commit.store("h", b"0123456789\n"))
        await asyncio.to_thread(disk.began.acquire)
        second = asyncio.create_task(commit.store("h", b"0123456789\n"))
        await until(lambda: commit.waiting_packages == 1)
        with pytest.raises(Problem) as raised:
            await commit.store("h", b"0123456789\n")
        assert (raised.value.status, raised.value.headers["Retry-After"]) == (503, "5")
        assert commit.waiting_bytes == 11
        disk.door.set()
        await asyncio.gather(first, second)
        await commit.close()

    run(scenario)
    assert len(disk.objects) == 2


def test_a_package_that_waited_too_long_is_answered_and_taken_back():
    disk = Disk(open_at_once=False)

    async def scenario():
        commit = commit_to(disk, max_wait=0, writes=1, store_seconds=0.2)
        commit.start()
        first = asyncio.create_task(commit.store("h", b"first\n"))
        await asyncio.to_thread(disk.began.acquire)
        with pytest.raises(Problem):
            await commit.store("h", b"second\n")
        with pytest.raises(Problem):
            await first
        assert (commit.waiting_packages, commit.waiting_bytes) == (0, 0)
        disk.door.set()
        await commit.close()

    run(scenario)
    assert list(disk.objects.values()) == [b"first\n"]  # stored all the same, as its answer says it may be


def test_closing_stores_what_was_taken_in_and_refuses_the_rest():
    disk = Disk(open_at_once=False)

    async def scenario():
        commit = commit_to(disk, max_wait=60)
        commit.start()
        storing = asyncio.create_task(commit.store("h", b"a\n"))
        await until(lambda: commit.waiting_packages == 1)
        closing = asyncio.create_task(commit.close())
        await asyncio.to_thread(disk.began.acquire)
        with pytest.raises(Problem) as raised:
            await commit.store("h", b"b\n")
        assert raised.value.code == "stopping"
        disk.door.set()
        await closing
        await storing

    run(scenario)
    assert list(disk.objects.values()) == [b"a\n"]
