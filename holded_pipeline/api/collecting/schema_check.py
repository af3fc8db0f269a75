"""The optional schema check on collect: events that break their schema are rejected before they are stored."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Literal, TypeVar

import attrs

from holded_pipeline.api.collecting.fair_turns import FairTurns
from holded_pipeline.api.collecting.package_parsing import Message
from holded_pipeline.api.problems import unavailable
from holded_pipeline.model.errors import HoldedPipelineError, RejectRecord, TransientError
from holded_pipeline.model.values import Event, Rejected, SchemaRef, Source
from holded_pipeline.reading.holded_envelope import holded
from holded_pipeline.rejected.rejections import reject
from holded_pipeline.schemas.event_check import EventCheck
from holded_pipeline.schemas.references import LocalSchemas
from holded_pipeline.schemas.registry import SchemaRegistry
from holded_pipeline.schemas.schema_source import SchemaSource
from holded_pipeline.schemas.subjects import Subject, subject_of
from holded_pipeline.servers.retry import Retry

STAGE = "collect"
_WORK_SECONDS = 300.0  # wide, on a busy machine: what a package may cost is limited in CPU time
T = TypeVar("T")
Schemas = SchemaSource | Mapping[str, Any]

_logger = logging.getLogger("holded_pipeline.api")


class SchemaCheck:
    """Checks messages as the pipeline does: the envelope `holded` first, then the schema of the data.

    Args:
        schemas: the source of the schemas.
        subject: see `ValidateSchema`.
        version: see `ValidateSchema`.
        registry_seconds: seconds after which a request to the registry is given up.
        run_id: the run id of rejections: it names this process.
        retry_after: seconds that a 503 tells clients to wait.
        workers: how many packages are checked at one time.
    """

    def __init__(
        self,
        schemas: Schemas,
        *,
        subject: str | Subject,
        version: int | Literal["latest"],
        registry_seconds: float,
        run_id: str,
        retry_after: int,
        workers: int,
    ) -> None:
        source: SchemaSource = LocalSchemas(dict(schemas)) if isinstance(schemas, Mapping) else schemas
        if isinstance(source, SchemaRegistry):
            source = attrs.evolve(source, timeout=min(source.timeout, registry_seconds), retry=Retry(registry_seconds))
        self._source = source
        self._subject = subject_of(subject)
        self._version = None if version == "latest" else version
        self._registry_seconds = registry_seconds
        self._run_id = run_id
        self._retry_after = retry_after
        self._workers = workers
        self._turns = FairTurns(workers)

    def open(self) -> None:
        """Reads the schema directory, or opens the registry client.

        Raises:
            ConfigurationError: the directory cannot be read.
        """
        source = self._source.prepare()
        # One resolver for each thread: a registry client is not thread-safe, and one that waits holds up no other.
        self._resolvers = [source.open() for _ in range(self._workers)]
        self._checks = [EventCheck(resolver, self._subject, self._version) for resolver in self._resolvers]
        unused = iter(self._checks)
        self._local = threading.local()
        self._threads = ThreadPoolExecutor(
            self._workers, "holded-schema-check", initializer=lambda: setattr(self._local, "check", next(unused))
        )

    def close(self) -> None:
        """Closes the registry clients, and ends the threads and their processes."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for check, resolver in zip(self._checks, self._resolvers, strict=True):
            check.close()
            resolver.close()

    async def run(self, work: Callable[[], T], key: str) -> T:
        """Runs a function that calls `check` for the events of a package, in a thread of the schema check.

        Args:
            work: the function. What it costs is limited by what it calls (see `PackageCost`).
            key: whose package it is: one key's packages never take all threads, if there are several.

        Raises:
            Problem: 503; no schemas could be read, so the events are neither accepted nor rejected.
        """
        try:
            async with self._turns.turn(key, 2 * self._registry_seconds):
                async with asyncio.timeout(2 * self._registry_seconds + _WORK_SECONDS):
                    return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except (TransientError, TimeoutError) as error:
            _logger.warning("schemas could not be read: %s", error)
            raise unavailable(
                "schemas_unavailable", "the events could not be checked in time", self._retry_after
            ) from error
        except HoldedPipelineError as error:
            _logger.error("schemas cannot be used: %s", error)  # noqa: TRY400  the message says it all
            raise unavailable(
                "schemas_unusable", "the schemas of this server cannot be used", self._retry_after
            ) from error

    def cpu_seconds(self) -> float:
        """The CPU time that this thread, and the process in which it has costly events checked, took so far."""
        return time.thread_time() + float(self._local.check.isolated_seconds)

    def check(
        self, message: Message, line: bytes, event_id: str, received_at: datetime
    ) -> tuple[RejectRecord, Rejected] | None:
        """Checks one message; returns None, or why it is rejected and the record for the dead-letter store.

        Args:
            message: the message.
            line: its stored form, which a replay reads with the envelope `holded`.
            event_id: its event id.
            received_at: the time the package was received.
        """
        raw = line.removesuffix(b"\n")
        event: Event | None = None
        schema: SchemaRef | None = None
        try:
            event = holded({"event_id": event_id, "event": message.document}, Source("", "", "", 1))
            compiled = self._local.check.schema_of(event)
            schema = compiled.ref
            self._local.check.require_valid(compiled, event, len(line))
        except RejectRecord as fault:
            rejected = reject(fault, stage=STAGE, raw=raw, run_id=self._run_id, rejected_at=received_at, schema=schema)
            rejected = attrs.evolve(rejected, event_id=event_id, event_type=event.type if event else None)
            return fault, rejected
        return None
