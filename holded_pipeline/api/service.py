"""All that one app is made of, opened and closed together."""

from __future__ import annotations

import asyncio
import gzip
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from secrets import token_hex
from typing import Literal, TypeVar

import attrs

from holded_pipeline.api.archive import Archive
from holded_pipeline.api.authentication import Authenticator
from holded_pipeline.api.body import Memory
from holded_pipeline.api.collect import Collector, new_id
from holded_pipeline.api.group_commit import GroupCommit
from holded_pipeline.api.metrics import Metrics
from holded_pipeline.api.problems import not_now
from holded_pipeline.api.recent import RecentEvents
from holded_pipeline.api.schema_check import SchemaCheck, Schemas
from holded_pipeline.api.settings import Limits, Writing
from holded_pipeline.model.errors import ConfigurationError, TransientError
from holded_pipeline.schemas.subjects import Subject
from holded_pipeline.servers.retry import Retry
from holded_pipeline.servers.secret import Secret
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.object_names import join_key, validate_prefix

T = TypeVar("T")
_ASK_AGAIN = 1.0
_logger = logging.getLogger("holded_pipeline.api")


class Readiness:
    """Whether the store answers; asked at most once a second, however many ask."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="holded-ready")
        self._asked: asyncio.Future[None] | None = None
        self._at = float("-inf")

    async def check(self) -> None:
        """Returns if it does.

        Raises:
            Exception: it does not, in the store's words.
        """
        fresh = time.monotonic() - self._at < _ASK_AGAIN
        if self._asked is None or (self._asked.done() and not fresh):
            self._at = time.monotonic()
            self._asked = asyncio.get_running_loop().run_in_executor(self._thread, self._check)
            self._asked.add_done_callback(_heard)
        await asyncio.shield(self._asked)

    def close(self) -> None:
        """Ends its thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _heard(asked: asyncio.Future[None]) -> None:
    """Keeps asyncio from logging a failure for which nobody waited to the end: it is no fault."""
    if not asked.cancelled():
        asked.exception()


class Service:
    """The parts of one app; see `create_app` for the arguments."""

    def __init__(
        self,
        lake: MinIO,
        *,
        prefix: str,
        rejected_prefix: str,
        keys: Mapping[str, Secret | str],
        schemas: Schemas | None,
        subject: str | Subject,
        version: int | Literal["latest"],
        limits: Limits,
        writing: Writing,
    ) -> None:
        # What takes longer than a client waits for is of no use to it.
        patience = Retry(writing.store_seconds, first_wait=0.1, longest_wait=1.0)
        self._lake = attrs.evolve(lake, retry=patience, timeout=min(lake.timeout, writing.store_seconds))
        self.limits = limits
        self.writing = writing
        self.gate = Authenticator(keys, limits)
        self.metrics = Metrics()
        self.memory = Memory(limits.memory_bytes, writing.retry_after)
        self.recent = RecentEvents(limits.recent_bytes)
        self._prefix = validate_prefix(prefix)
        self._rejected_prefix = validate_prefix(rejected_prefix, name="rejected_prefix")
        self._queues: list[GroupCommit] = []
        self._is_open = False
        self._door = None
        if schemas is not None:
            self._door = SchemaCheck(
                schemas,
                subject=subject,
                version=version,
                patience=writing.store_seconds,
                run_id=f"collect-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{token_hex(4)}",
                retry_after=writing.retry_after,
            )
        self._watch()

    async def open(self) -> None:
        """Opens what holds threads and connections; inside a running event loop."""
        self._store = store = ObjectStore(self._lake)
        if self._door is not None:
            await asyncio.to_thread(self._door.open)
        events = GroupCommit(store.write, self._event_key, self.writing, self.metrics)
        rejections = GroupCommit(_compressed(store.write), self._rejected_key, self.writing, self.metrics)
        self._queues = [events, rejections]
        for queue in self._queues:
            queue.start()
        self.collector = Collector(
            events,
            rejections,
            recent=self.recent,
            metrics=self.metrics,
            limits=self.limits,
            door=self._door,
        )
        self.archive = Archive(store, self._prefix, self.limits)
        self.readiness = Readiness(store.check)
        self._looks = ThreadPoolExecutor(self.limits.scans, thread_name_prefix="holded-look")
        self._looking = 0
        self._is_open = True

    def require_open(self) -> None:
        """Returns if it is open.

        Raises:
            ConfigurationError: nobody opened it, or it was closed.
        """
        if not self._is_open:
            raise ConfigurationError(
                "the lifespan of the ingestion API does not run, so it has no store. An application that mounts it "
                "runs it in its own: FastAPI(lifespan=…) with `async with app.router.lifespan_context(app): yield`, "
                "where app is what create_app made; see docs/api.md"
            )

    async def close(self) -> None:
        """Returns when all that was taken in is stored, or was answered as not stored."""
        await asyncio.gather(*(queue.close() for queue in self._queues))
        self._is_open = False
        self.collector.close()
        self.readiness.close()
        self._looks.shutdown(wait=False, cancel_futures=True)
        if self._door is not None:
            self._door.close()
        await asyncio.to_thread(self._store.close)  # on this thread s3fs would close its session in the wrong loop

    async def look(self, work: Callable[[], T]) -> T:
        """Runs work that looks through the store, a few at a time.

        Raises:
            Problem: 503; as many are at it as may be, or the store does not answer.
        """
        if self._looking >= self.limits.scans:
            raise not_now("busy", "as many look through stored events as may at one time", self.writing.retry_after)
        self._looking += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._looks, work)
        except (TransientError, ConfigurationError) as error:
            _logger.error("stored events cannot be read: %s", error)  # noqa: TRY400  it says all there is to say
            raise not_now("store_unavailable", "the store cannot be read", self.writing.retry_after) from error
        finally:
            self._looking -= 1

    def log_not_ready(self, error: Exception) -> None:
        """For whoever runs the server; the answer does not tell it."""
        _logger.warning("not ready: %s: %s", type(error).__name__, error)

    def _event_key(self, partition: str) -> str:
        return join_key(self._prefix, partition, f"{new_id()}.jsonl")

    def _rejected_key(self, partition: str) -> str:
        return join_key(self._rejected_prefix, partition, f"{new_id()}.jsonl.gz")

    def _watch(self) -> None:
        watch = self.metrics.watch
        watch("queue_packages", "Packages waiting for the store", lambda: sum(q.waiting_packages for q in self._queues))
        watch("queue_bytes", "Bytes waiting for the store", lambda: sum(q.waiting_bytes for q in self._queues))
        watch("body_bytes", "Bytes of bodies held", lambda: self.memory.held)
        watch("recent_bytes", "Bytes of recent events held", lambda: self.recent.bytes)


def _compressed(write: Callable[[str, bytes], object]) -> Callable[[str, bytes], object]:
    """Stores gzip, as `WriteRejected` does."""
    return lambda key, body: write(key, gzip.compress(body, 6, mtime=0))
