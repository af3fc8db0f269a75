"""Group commit: packages that arrive together are written as one object, and each waits until the store confirms it."""

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

from holded_pipeline.api.collecting.spool import SPOOLED
from holded_pipeline.api.problems import Problem, unavailable
from holded_pipeline.api.settings import Writing
from holded_pipeline.model.errors import HoldedPipelineError

_logger = logging.getLogger("holded_pipeline.api")


class WriteMetrics(Protocol):
    """Counts what a group commit does."""

    def count_object(self, size: int, packages: int, seconds: float) -> None:
        """An object was stored."""
        ...

    def count_failure(self, error: Exception) -> None:
        """An object could not be stored."""
        ...


@attrs.define(eq=False)
class _Package:
    partition: str
    body: bytes
    done: asyncio.Future[None]
    is_being_written: bool = False


class GroupCommit:
    """A bounded queue before the store.

    Args:
        write: writes an object under a key, atomically; called in threads, `settings.writes` at a time. If it returns
            `SPOOLED`, the object is on the local disk and will be stored later.
        key: makes the key of a new object in a partition; called once for each object, so that a retry writes the
            same object again.
        settings: see `Writing`.
        metrics: counts what is written and what fails.
        may_grow: whether a group of so many packages may soon have another one; a group that may not is not kept
            waiting. None for yes.
    """

    def __init__(
        self,
        write: Callable[[str, bytes], object],
        key: Callable[[str], str],
        settings: Writing,
        metrics: WriteMetrics,
        *,
        may_grow: Callable[[int], bool] | None = None,
    ) -> None:
        self._may_grow = may_grow or (lambda _: True)
        self._write = write
        self._key = key
        self._settings = settings
        self._metrics = metrics
        self._waiting: deque[_Package] = deque()
        self._waiting_bytes = 0
        self._changed = asyncio.Event()
        self._free_writers = asyncio.Semaphore(settings.writes)
        self._threads = ThreadPoolExecutor(settings.writes, thread_name_prefix="holded-write")
        self._writing: set[asyncio.Task[None]] = set()
        self._closing = False
        self._loop: asyncio.Task[None] | None = None

    @property
    def waiting_packages(self) -> int:
        """The number of packages in the queue."""
        return len(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """The bytes of the packages in the queue."""
        return self._waiting_bytes

    def start(self) -> None:
        """Starts to write; call it inside a running event loop."""
        self._loop = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Rejects new packages, and returns when those in the queue are written or have failed."""
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
            partition: the partition of the lines; an object has lines of one partition only.
            body: whole lines.

        Raises:
            Problem: 503; the lines are not stored, or their write is not confirmed.
        """
        settings = self._settings
        if self._closing:
            raise unavailable("stopping", "this server is shutting down", settings.retry_after)
        full = self._waiting_bytes + len(body) > settings.queue_bytes or len(self._waiting) >= settings.queue_packages
        if full and self._waiting:
            raise unavailable("busy", "the store is slower than the incoming requests", settings.retry_after)
        package = _Package(partition, body, asyncio.get_running_loop().create_future())
        self._waiting.append(package)
        self._waiting_bytes += len(body)
        self._changed.set()
        try:
            async with asyncio.timeout(settings.store_seconds):
                await package.done
        except (TimeoutError, HoldedPipelineError) as error:
            raise _write_unconfirmed(settings) from error
        finally:
            self._withdraw(package)

    def _withdraw(self, package: _Package) -> None:
        """Removes a package from the queue when its request has ended, unless it is being written."""
        if not package.is_being_written:
            self._waiting.remove(package)
            self._waiting_bytes -= len(package.body)

    async def _run(self) -> None:
        while True:
            await self._wait_for(lambda: bool(self._waiting), None)
            if not self._waiting:
                return
            await self._wait_for(self._is_complete, self._settings.max_wait)
            await self._free_writers.acquire()
            group = self._next_group()
            if not group:  # every package was withdrawn while all writers were busy
                self._free_writers.release()
                continue
            task = asyncio.create_task(self._write_group(group))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def _wait_for(self, condition: Callable[[], bool], seconds: float | None) -> None:
        """Waits until the condition is true, the time is over, or the queue is closing."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not condition() and not self._closing:
                    self._changed.clear()
                    await self._changed.wait()

    def _is_complete(self) -> bool:
        """Whether the next group has as much as one object may have, or as it will get."""
        settings, packages = self._settings, len(self._waiting)
        is_full = self._waiting_bytes >= settings.group_bytes or packages >= settings.group_packages
        return is_full or not self._may_grow(packages)

    def _next_group(self) -> list[_Package]:
        """The next packages of one partition, at least one if any wait."""
        group: list[_Package] = []
        size = 0
        while self._waiting and len(group) < self._settings.group_packages:
            package = self._waiting[0]
            is_too_large = size + len(package.body) > self._settings.group_bytes
            if group and (is_too_large or package.partition != group[0].partition):
                break
            size += len(package.body)
            self._waiting_bytes -= len(package.body)
            package.is_being_written = True
            group.append(self._waiting.popleft())
        return group

    async def _write_group(self, group: list[_Package]) -> None:
        body = b"".join(package.body for package in group)
        key = self._key(group[0].partition)
        started = time.monotonic()
        failure: Exception | None = None
        written: object = None
        try:
            written = await asyncio.get_running_loop().run_in_executor(self._threads, self._write, key, body)
        except Exception as error:  # noqa: BLE001  whatever it is, the waiting requests must be answered
            failure = error
        finally:
            self._free_writers.release()
        if failure is None and written != SPOOLED:
            self._metrics.count_object(len(body), len(group), time.monotonic() - started)
        elif failure is not None:
            self._metrics.count_failure(failure)
            _logger.error("%d packages were not stored: %s: %s", len(group), type(failure).__name__, failure)
        for package in group:
            if package.done.done():
                continue
            if failure is None:
                package.done.set_result(None)
            else:
                package.done.set_exception(_pipeline_error(failure))


def _pipeline_error(failure: Exception) -> HoldedPipelineError:
    return failure if isinstance(failure, HoldedPipelineError) else HoldedPipelineError(str(failure))


def _write_unconfirmed(settings: Writing) -> Problem:
    return unavailable(
        "store_unavailable",
        "the store has not confirmed the events. Some may be stored; those with a message id keep their event id",
        settings.retry_after,
    )
