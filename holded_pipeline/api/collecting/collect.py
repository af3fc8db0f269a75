"""`POST /collect`: checks a package, stores its events, and returns when the store has confirmed them."""

from __future__ import annotations

import asyncio
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import attrs

from holded_pipeline.api import response_models
from holded_pipeline.api.collecting.group_commit import GroupCommit
from holded_pipeline.api.collecting.package_parsing import Layout, Message, RejectedMessage, parse_package, stored_line
from holded_pipeline.api.collecting.schema_check import SchemaCheck
from holded_pipeline.api.received.archive import partition_of
from holded_pipeline.api.received.recent_events import RecentEvents
from holded_pipeline.api.settings import Limits
from holded_pipeline.api.watching.current_request import note_events
from holded_pipeline.api.watching.metrics import Metrics
from holded_pipeline.api.watching.request_spans import SummedSpan, child_span, is_traced
from holded_pipeline.model import json_codec
from holded_pipeline.model.identity import time_ordered_id
from holded_pipeline.model.values import Rejected
from holded_pipeline.rejected.rejections import to_document
from holded_pipeline.store.object_names import rejected_partition

# What is parsed on the event loop; more is parsed in a thread, so that other requests go on.
_LOOP_BYTES = 1 << 16
_LOOP_SEPARATORS = 2_000


def new_id() -> str:
    """A new id; later ids sort after earlier ones."""
    return time_ordered_id(time.time_ns(), secrets.randbits(62))


@attrs.define
class _CheckedPackage:
    """The events of a package, accepted and rejected.

    Attributes:
        accepted: index, event id and stored line of each accepted event.
        rejected: the rejected events.
        dead_letters: those of them that go to the dead-letter store.
    """

    package_id: str
    received_at: datetime
    accepted: list[tuple[int, str, bytes]] = attrs.field(factory=list)
    rejected: list[RejectedMessage] = attrs.field(factory=list)
    dead_letters: list[Rejected] = attrs.field(factory=list)


class Collector:
    """Checks and stores packages.

    Args:
        events: writes events.
        rejections: writes to the dead-letter store.
        recent: gets each stored event.
        metrics: counts bodies and events.
        limits: see `Limits`.
        schema_check: checks events against their schemas; None for no such check.
    """

    def __init__(
        self,
        events: GroupCommit,
        rejections: GroupCommit,
        *,
        recent: RecentEvents,
        metrics: Metrics,
        limits: Limits,
        schema_check: SchemaCheck | None,
    ) -> None:
        self._events = events
        self._rejections = rejections
        self._recent = recent
        self._metrics = metrics
        self._limits = limits
        self._schema_check = schema_check
        # Two: a large body needs several times its bytes while it is parsed.
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="holded-parse")

    def close(self) -> None:
        """Ends its threads."""
        self._threads.shutdown(wait=False)

    async def collect(self, body: bytes, layout: Layout, key: str) -> response_models.CollectResponse:
        """Stores the events of a package, and its rejections; returns the result for each event.

        Raises:
            Problem: the package as a whole is not accepted, or could not be stored.
        """
        self._metrics.count_body(key, len(body))
        with child_span("parse", **{"holded_pipeline.bytes": len(body)}):
            package = await self._check_package(body, layout)
        writes = []
        if package.accepted:
            lines = b"".join(line for _, _, line in package.accepted)
            writes.append(self._events.store(partition_of(package.received_at, package.received_at.hour), lines))
        if package.dead_letters:
            lines = b"".join(json_codec.encode(to_document(each)) + b"\n" for each in package.dead_letters)
            writes.append(self._rejections.store(rejected_partition(package.dead_letters[0]), lines))
        # Wait for both writes, so that the response is true of both.
        with child_span("store write"):
            for outcome in await asyncio.gather(*writes, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome
        for _, event_id, line in package.accepted:
            self._recent.add(event_id, line.removesuffix(b"\n"))
        self._count(package, key)
        return _response(package)

    async def _check_package(self, body: bytes, layout: Layout) -> _CheckedPackage:
        package = _CheckedPackage(new_id(), datetime.now(UTC))
        check_span = SummedSpan() if self._schema_check is not None and is_traced() else None

        def check() -> _CheckedPackage:
            for message in parse_package(body, layout, self._limits):
                if isinstance(message, RejectedMessage):
                    package.rejected.append(message)
                elif check_span is None:
                    self._check_message(message, package)
                else:
                    check_span.call(self._check_message, message, package)
            return package

        if self._schema_check is not None:
            checked = await self._schema_check.run(check)
            if check_span is not None:
                check_span.end("schema check")
            return checked
        if _is_small(body):
            return check()
        return await asyncio.get_running_loop().run_in_executor(self._threads, check)

    def _check_message(self, message: Message, package: _CheckedPackage) -> None:
        event_id = message.event_id or new_id()
        line = stored_line(
            message, event_id=event_id, correlation_id=package.package_id, received_at=package.received_at.isoformat()
        )
        violation = self._schema_check and self._schema_check.check(message, line, event_id, package.received_at)
        if violation:
            fault, rejected = violation
            package.rejected.append(RejectedMessage(message.index, fault, event_id))
            package.dead_letters.append(rejected)
        else:
            package.accepted.append((message.index, event_id, line))

    def _count(self, package: _CheckedPackage, key: str) -> None:
        note_events(len(package.accepted), len(package.rejected))
        self._metrics.count_accepted(key, len(package.accepted))
        for message in package.rejected:
            self._metrics.count_rejected(key, message.fault.reason)


def _is_small(body: bytes) -> bool:
    """Whether a body is parsed in no time. Bytes alone do not tell: 20,000 of them may be 10,000 broken events."""
    return len(body) <= _LOOP_BYTES and body.count(b",") + body.count(b"\n") <= _LOOP_SEPARATORS


def _response(package: _CheckedPackage) -> response_models.CollectResponse:
    accepted = [
        response_models.AcceptedEvent(index=index, event_id=event_id) for index, event_id, _ in package.accepted
    ]
    rejected = [
        response_models.RejectedEvent(
            index=message.index,
            reason=message.fault.reason,
            message=message.fault.message,
            violations=[response_models.SchemaViolation(**attrs.asdict(each)) for each in message.fault.violations],
            event_id=message.event_id,
        )
        for message in package.rejected
    ]
    counts = response_models.Counts(
        received=len(accepted) + len(rejected), accepted=len(accepted), rejected=len(rejected)
    )
    return response_models.CollectResponse(
        package_id=package.package_id,
        received_at=package.received_at.isoformat(),
        counts=counts,
        accepted=accepted,
        rejected=rejected,
    )
