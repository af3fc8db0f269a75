"""Packages that arrive together are stored together; each is acknowledged when the store has confirmed it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import attrs

from holded_pipeline.api.problems import Problem, not_now
from holded_pipeline.api.settings import Writing
from holded_pipeline.model.errors import HoldedPipelineError

_logger = logging.getLogger("holded_pipeline.api")


class Meter(Protocol):
    """What a group commit tells of itself."""

    def stored(self, size: int, packages: int, seconds: float) -> None:
        """An object was stored."""
        ...

    def failed(self, error: Exception) -> None:
        """An object could not be stored."""
        ...


@attrs.define(eq=False)
class _Package:
    partition: str
    body: bytes
    done: asyncio.Future[None]
    taken: bool = False


class GroupCommit:
    """A bounded queue before the store.

    Args:
        write: stores an object under a key, whole or not at all; called in threads, `settings.writes` at a time.
        key: the key of a new object of a partition; called once for each object, so that a write that is tried
            again writes the same object again.
        settings: see `Writing`.
        meter: is told what happens.
    """

    def __init__(
        self,
        write: Callable[[str, bytes], object],
        key: Callable[[str], str],
        settings: Writing,
        meter: Meter,
    ) -> None:
        self._write = write
        self._key = key
        self._settings = settings
        self._meter = meter
        self._waiting: deque[_Package] = deque()
        self._waiting_bytes = 0
        self._changed = asyncio.Event()
        self._free = asyncio.Semaphore(settings.writes)
        self._threads = ThreadPoolExecutor(settings.writes, thread_name_prefix="holded-write")
        self._writing: set[asyncio.Task[None]] = set()
        self._closing = False
        self._loop: asyncio.Task[None] | None = None

    @property
    def waiting_packages(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait."""
        return self._waiting_bytes

    def start(self) -> None:
        """Begins to write; inside a running event loop."""
        self._loop = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Refuses what is new and returns when all that was taken in is stored, or has failed to be."""
        self._closing = True
        self._changed.set()
        if self._loop is not None:
            await self._loop
        while self._writing:
            await asyncio.wait(self._writing)
        self._threads.shutdown(wait=False)

    async def store(self, partition: str, body: bytes) -> None:
        """Returns when the store has confirmed these lines.

        Args:
            partition: what is stored in one object belongs to one partition.
            body: whole lines.

        Raises:
            Problem: 503; the lines are not stored, or not known to be.
        """
        settings = self._settings
        if self._closing:
            raise not_now("stopping", "this server is being stopped", settings.retry_after)
        full = self._waiting_bytes + len(body) > settings.queue_bytes or len(self._waiting) >= settings.queue_packages
        if full and self._waiting:
            raise not_now("busy", "the store is slower than what comes in", settings.retry_after)
        package = _Package(partition, body, asyncio.get_running_loop().create_future())
        self._waiting.append(package)
        self._waiting_bytes += len(body)
        self._changed.set()
        try:
            async with asyncio.timeout(settings.store_seconds):
                await package.done
        except (TimeoutError, HoldedPipelineError) as error:
            raise _not_stored(settings) from error
        finally:
            self._forget(package)

    def _forget(self, package: _Package) -> None:
        """Takes a package back that nobody waits for any more, if it is not being written already."""
        if not package.taken:
            self._waiting.remove(package)
            self._waiting_bytes -= len(package.body)

    async def _run(self) -> None:
        while True:
            await self._until(lambda: bool(self._waiting), None)
            if not self._waiting:
                return
            await self._until(self._is_full, self._settings.max_wait)
            await self._free.acquire()
            group = self._group()
            if not group:  # all of them were taken back while every writer was busy
                self._free.release()
                continue
            task = asyncio.create_task(self._stored(group))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def _until(self, condition: Callable[[], bool], seconds: float | None) -> None:
        """Waits for the condition, for the time, or for the end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not condition() and not self._closing:
                    self._changed.clear()
                    await self._changed.wait()

    def _is_full(self) -> bool:
        settings = self._settings
        return self._waiting_bytes >= settings.group_bytes or len(self._waiting) >= settings.group_packages

    def _group(self) -> list[_Package]:
        """The next packages of one partition, at least one if any wait."""
        group: list[_Package] = []
        size = 0
        while self._waiting and len(group) < self._settings.group_packages:
            package = self._waiting[0]
            too_much = size + len(package.body) > self._settings.group_bytes
            if group and (too_much or package.partition != group[0].partition):
                break
            size += len(package.body)
            self._waiting_bytes -= len(package.body)
            package.taken = True
            group.append(self._waiting.popleft())
        return group

    async def _stored(self, group: list[_Package]) -> None:
        body = b"".join(package.body for package in group)
        key = self._key(group[0].partition)
        began = time.monotonic()
        failure: Exception | None = None
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._write, key, body)
        except Exception as error:  # noqa: BLE001  whatever it is, those who wait must hear that nothing is stored
            failure = error
        finally:
            self._free.release()
        if failure is None:
            self._meter.stored(len(body), len(group), time.monotonic() - began)
        else:
            self._meter.failed(failure)
            _logger.error("%d packages were not stored: %s: %s", len(group), type(failure).__name__, failure)
        for package in group:
            if package.done.done():
                continue
            if failure is None:
                package.done.set_result(None)
            else:
                package.done.set_exception(_as_ours(failure))


def _as_ours(failure: Exception) -> HoldedPipelineError:
    return failure if isinstance(failure, HoldedPipelineError) else HoldedPipelineError(str(failure))


def _not_stored(settings: Writing) -> Problem:
    return not_now(
        "store_unavailable",
        "the store has not confirmed the events; some may be stored, which their message ids make good",
        settings.retry_after,
    )
