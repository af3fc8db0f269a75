"""Checking at the door, for those who want it: events against their schemas, before they are accepted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Literal, TypeVar

import attrs

from holded_pipeline.api.package import Message
from holded_pipeline.api.problems import not_now
from holded_pipeline.model.errors import HoldedPipelineError, RejectRecord, TransientError
from holded_pipeline.model.values import Event, Rejected, SchemaRef, Source
from holded_pipeline.reading.holded_envelope import holded
from holded_pipeline.rejected.rejections import reject
from holded_pipeline.schemas.event_check import EventCheck, require_valid
from holded_pipeline.schemas.references import LocalSchemas
from holded_pipeline.schemas.registry import SchemaRegistry
from holded_pipeline.schemas.schema_source import SchemaSource
from holded_pipeline.schemas.subjects import Subject, subject_of
from holded_pipeline.servers.retry import Retry

STAGE = "collect"
T = TypeVar("T")
Schemas = SchemaSource | Mapping[str, Any]

_logger = logging.getLogger("holded_pipeline.api")


class SchemaCheck:
    """Checks messages as the pipeline would: the envelope `holded` first, then the schema of its data.

    Args:
        schemas: where the schemas are.
        subject: see `ValidateSchema`.
        version: see `ValidateSchema`.
        patience: seconds that a registry is waited for.
        run_id: names this process in rejections.
        retry_after: seconds that clients wait when the registry is away.
    """

    def __init__(
        self,
        schemas: Schemas,
        *,
        subject: str | Subject,
        version: int | Literal["latest"],
        patience: float,
        run_id: str,
        retry_after: int,
    ) -> None:
        source: SchemaSource = LocalSchemas(dict(schemas)) if isinstance(schemas, Mapping) else schemas
        if isinstance(source, SchemaRegistry):
            source = attrs.evolve(source, timeout=min(source.timeout, patience), retry=Retry(patience))
        self._source = source
        self._subject = subject_of(subject)
        self._version = None if version == "latest" else version
        self._patience = patience
        self._run_id = run_id
        self._retry_after = retry_after

    def open(self) -> None:
        """Reads the directory, or makes ready to ask the registry.

        Raises:
            ConfigurationError: the directory cannot be read.
        """
        self._resolver = self._source.prepare().open()
        self._check = EventCheck(self._resolver, self._subject, self._version)
        # One thread: an open registry is not for sharing.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="holded-door")

    def close(self) -> None:
        """Gives the registry's connections back."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._resolver.close()

    async def ask(self, work: Callable[[], T]) -> T:
        """Runs work that checks events, in the door's thread.

        Raises:
            Problem: 503; the schemas cannot be asked for, so nothing is known of the events.
        """
        try:
            async with asyncio.timeout(2 * self._patience):
                return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (TransientError, TimeoutError) as error:
            _logger.warning("the schemas cannot be asked for: %s", error)
            raise not_now(
                "schemas_unavailable", "the events could not be checked in time", self._retry_after
            ) from error
        except HoldedPipelineError as error:
            _logger.error("the schemas cannot be used: %s", error)  # noqa: TRY400  it says all there is to say
            raise not_now("schemas_unusable", "the schemas of this server cannot be used", self._retry_after) from error

    def rejected(
        self, message: Message, line: bytes, event_id: str, at: datetime
    ) -> tuple[RejectRecord, Rejected] | None:
        """Why a message is refused, and the record of it; None if it is not.

        Args:
            message: the message.
            line: the form in which it would be stored; the envelope `holded` reads it again.
            event_id: the id it would be stored under.
            at: the time.
        """
        raw = line.removesuffix(b"\n")
        event: Event | None = None
        schema: SchemaRef | None = None
        try:
            event = holded({"event_id": event_id, "event": message.document}, Source("", "", "", 1))
            compiled = self._check.schema_of(event)
            schema = compiled.ref
            require_valid(compiled, event)
        except RejectRecord as fault:
            rejected = reject(fault, stage=STAGE, raw=raw, run_id=self._run_id, rejected_at=at, schema=schema)
            found = attrs.evolve(rejected, event_id=event_id, event_type=event.type if event else None)
            return fault, found
        return None
