"""The components of one app, opened and closed together."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from secrets import token_hex
from typing import Literal, TypeVar

import attrs
from starlette.requests import Request

from holded_pipeline.api.access.audit import Audit
from holded_pipeline.api.access.authentication import Authenticator
from holded_pipeline.api.access.key_source import Keys
from holded_pipeline.api.collecting.collect import Collector, new_id
from holded_pipeline.api.collecting.group_commit import GroupCommit
from holded_pipeline.api.collecting.request_budget import MemoryBudget
from holded_pipeline.api.collecting.schema_check import SchemaCheck, Schemas
from holded_pipeline.api.collecting.senders import Senders
from holded_pipeline.api.collecting.spool import Spool, SpoolingStore, add_spool_gauges
from holded_pipeline.api.problems import EXAMPLES, Problem, unavailable
from holded_pipeline.api.received.archive import Archive
from holded_pipeline.api.received.recent_events import RecentEvents
from holded_pipeline.api.settings import Limits, Writing
from holded_pipeline.api.this_worker import limits_of_process, this_worker
from holded_pipeline.api.watching.health import Word, dependency_words, registry_check
from holded_pipeline.api.watching.metrics import Metrics
from holded_pipeline.api.watching.other_workers import OtherWorkers
from holded_pipeline.api.watching.readiness import Readiness
from holded_pipeline.model.errors import ConfigurationError, TransientError
from holded_pipeline.schemas.subjects import Subject
from holded_pipeline.servers.retry import Retry
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.object_names import join_key, validate_prefix

T = TypeVar("T")
_logger = logging.getLogger("holded_pipeline.api")


class Service:
    """The components of one app; see `create_app` for the arguments."""

    def __init__(
        self,
        lake: MinIO,
        *,
        prefix: str,
        rejected_prefix: str,
        keys: Keys,
        schemas: Schemas | None,
        subject: str | Subject,
        version: int | Literal["latest"],
        limits: Limits,
        writing: Writing,
        spool: Spool | None,
    ) -> None:
        if spool is not None and spool.after >= writing.store_seconds:
            raise ValueError(
                f"Spool.after, {spool.after:g} s, must be less than Writing.store_seconds, {writing.store_seconds:g}; "
                "then a package that is not stored is answered with 503"
            )
        # Retrying longer than a client waits for its response is of no use.
        retry = Retry(writing.store_seconds, first_wait=0.1, longest_wait=1.0)
        self._lake = attrs.evolve(lake, retry=retry, timeout=min(lake.timeout, writing.store_seconds))
        limits = limits_of_process(limits)
        self.limits = limits
        self.writing = writing
        self.metrics = Metrics()
        self._audit = Audit(self.metrics.count_refusal)
        self.authenticator = Authenticator(keys, limits, self._audit)
        self.memory = MemoryBudget(limits, writing.retry_after)
        self.recent = RecentEvents(limits.recent_bytes)
        self.senders = Senders(writing.max_wait)
        self._prefix = validate_prefix(prefix)
        self._rejected_prefix = validate_prefix(rejected_prefix, name="rejected_prefix")
        self._spool = spool
        self._spooling: SpoolingStore | None = None
        self._spool_lake = lake
        self._others: OtherWorkers | None = None
        if (worker := this_worker()) is not None:
            self._others = OtherWorkers(worker, self.recent.get, self.metrics.gauge_values)
            if worker.is_replacement:
                self.metrics.count_replaced_worker()
        self._queues: list[GroupCommit] = []
        self._is_open = False
        self._run_id = f"collect-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{token_hex(4)}"
        self._schema_check = None
        self._registry_check = registry_check(schemas, writing.store_seconds)
        if schemas is not None:
            self._schema_check = SchemaCheck(
                schemas,
                subject=subject,
                version=version,
                registry_seconds=writing.store_seconds,
                run_id=self._run_id,
                retry_after=writing.retry_after,
                workers=limits.schema_checks,
            )
        self._add_gauges()

    async def open(self) -> None:
        """Starts threads and opens connections; call it inside a running event loop."""
        self._store = store = ObjectStore(self._lake)
        if self._schema_check is not None:
            await asyncio.to_thread(self._schema_check.open)
        await asyncio.to_thread(self.authenticator.open)
        write: Callable[[str, bytes], object] = store.write
        if self._spool is not None:
            self._spooling = spooling = SpoolingStore.of_store(self._spool, self._spool_lake, self.metrics)
            await asyncio.to_thread(spooling.open)
            write = spooling.write
        may_grow = self.senders.may_send
        events = GroupCommit(write, self._event_key, self.writing, self.metrics, may_grow=may_grow)
        compressed = _with_gzip(write)
        rejections = GroupCommit(compressed, self._rejected_key, self.writing, self.metrics, may_grow=may_grow)
        self._queues = [events, rejections]
        for queue in self._queues:
            queue.start()
        self.collector = Collector(
            events,
            rejections,
            recent=self.recent,
            metrics=self.metrics,
            limits=self.limits,
            schema_check=self._schema_check,
            audit=self._audit,
            run_id=self._run_id,
        )
        self.archive = Archive(store, self._prefix, self.limits)
        self.readiness = Readiness(store.check)
        self._dependencies: dict[str, Readiness | None] = {"store": self.readiness}
        if self._schema_check is not None:
            self._dependencies["schemas"] = Readiness(self._registry_check) if self._registry_check else None
        self._search_threads = ThreadPoolExecutor(self.limits.scans, thread_name_prefix="holded-search")
        self._searches = 0
        if self._others is not None:
            await self._others.open()
        self._is_open = True

    def require_open(self) -> None:
        """Returns if the service is open.

        Raises:
            ConfigurationError: it was never opened, or is closed.
        """
        if not self._is_open:
            raise ConfigurationError(
                "the lifespan of the ingestion API does not run, so it has no store. An application that mounts it has "
                "to run it in its own: FastAPI(lifespan=…) with `async with app.router.lifespan_context(app): yield`, "
                "where app is what create_app returned; see docs/how-to/api.md"
            )

    async def close(self) -> None:
        """Returns when every accepted package is stored, or in the spool, or answered with 503."""
        await asyncio.gather(*(queue.close() for queue in self._queues))
        if self._spooling is not None:
            await asyncio.to_thread(self._spooling.close)
        self._is_open = False
        if self._others is not None:
            await self._others.close()
        self.collector.close()
        for dependency in self._dependencies.values():
            if dependency is not None:
                dependency.close()
        self._search_threads.shutdown(wait=False, cancel_futures=True)
        if self._schema_check is not None:
            self._schema_check.close()
        await asyncio.to_thread(self.authenticator.close)
        await asyncio.to_thread(self._store.close)  # s3fs closes its session in its own event loop, not in this one

    async def find_recent(self, event_id: str) -> bytes | None:
        """The line of an event that this process, or another worker of `serve`, accepted lately; None for others."""
        line = self.recent.get(event_id)
        if line is None and self._others is not None:
            line = await self._others.find_event(event_id)
        return line

    async def metrics_text(self) -> bytes:
        """The metrics in the Prometheus text format, those of all workers added up."""
        return self.metrics.text(() if self._others is None else await self._others.gauges())

    async def search(self, work: Callable[[], T]) -> T:
        """Runs a function that searches the store, in a thread.

        Raises:
            Problem: 503; `Limits.scans` searches are running, or the store cannot be read.
        """
        if self._searches >= self.limits.scans:
            raise unavailable("busy", "too many searches of stored events are running", self.writing.retry_after)
        self._searches += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._search_threads, work)
        except (TransientError, ConfigurationError) as error:
            _logger.error("stored events cannot be read: %s", error)  # noqa: TRY400  the message says it all
            raise unavailable("store_unavailable", "the store cannot be read", self.writing.retry_after) from error
        finally:
            self._searches -= 1

    async def health(self) -> dict[str, Word]:
        """A word for the store and for the schemas, if events are checked; also when the service is not open."""
        return await dependency_words(self._dependencies) if self._is_open else {"store": "unavailable"}

    async def check_ready(self) -> str:
        """Returns `ready` if the store can be reached, or `spooling` if it cannot and the spool can take events.

        Raises:
            Exception: neither is so; the error of the store client.
        """
        if self._spooling is None or self._spool is None:
            await self.readiness.check()
            return "ready"
        try:
            self._spooling.require_store()
            async with asyncio.timeout(self._spool.after):
                await self.readiness.check()
        except ConfigurationError:
            raise
        except Exception:
            if not await asyncio.to_thread(self._spooling.has_room):
                raise
            return "spooling"
        return "ready"

    def log_not_ready(self, error: Exception) -> None:
        """Logs why the server is not ready; the response does not say it."""
        _logger.warning("not ready: %s: %s", type(error).__name__, error)

    def _event_key(self, partition: str) -> str:
        return join_key(self._prefix, partition, f"{new_id()}.jsonl")

    def _rejected_key(self, partition: str) -> str:
        return join_key(self._rejected_prefix, partition, f"{new_id()}.jsonl.gz")

    def _add_gauges(self) -> None:
        add_gauge = self.metrics.add_gauge
        add_gauge(
            "queue_packages", "Packages waiting for the store", lambda: sum(q.waiting_packages for q in self._queues)
        )
        add_gauge("queue_bytes", "Bytes waiting for the store", lambda: sum(q.waiting_bytes for q in self._queues))
        add_spool_gauges(add_gauge, lambda: self._spooling)
        add_gauge("body_bytes", "Bytes of bodies and pages in memory", lambda: self.memory.held)
        add_gauge("requests_in_progress", "Requests that send or read events", lambda: self.memory.requests)
        add_gauge("recent_bytes", "Bytes of recent events in memory", lambda: self.recent.bytes)


def service_of(request: Request) -> Service:
    """The service of the app that a request is for.

    Raises:
        Problem: 500; the app's lifespan does not run.
    """
    service: Service = request.app.state.service
    try:
        service.require_open()
    except ConfigurationError as error:
        _logger.error("%s %s: %s", request.method, request.url.path, error)  # noqa: TRY400  the message says it all
        raise Problem(500, "not_started", EXAMPLES["not_started"][1]) from error
    return service


def _with_gzip(write: Callable[[str, bytes], object]) -> Callable[[str, bytes], object]:
    """A write function that compresses, as `WriteRejected` does."""
    return lambda key, body: write(key, gzip.compress(body, 6, mtime=0))
