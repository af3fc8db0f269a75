"""`POST /collect`: a package in, an answer when the store has confirmed it."""

from __future__ import annotations

import asyncio
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import attrs

from holded_pipeline.api import answers
from holded_pipeline.api.archive import partition_of
from holded_pipeline.api.group_commit import GroupCommit
from holded_pipeline.api.metrics import Metrics
from holded_pipeline.api.package import Layout, Message, Refusal, read_package, stored_line
from holded_pipeline.api.recent import RecentEvents
from holded_pipeline.api.schema_check import SchemaCheck
from holded_pipeline.api.settings import Limits
from holded_pipeline.model import json_codec
from holded_pipeline.model.identity import time_ordered_id
from holded_pipeline.model.values import Rejected
from holded_pipeline.rejected.rejections import to_document
from holded_pipeline.store.object_names import rejected_partition

# What is read on the event loop; more would hold others up.
_BYTES_AT_ONCE = 1 << 16
_PARTS_AT_ONCE = 2_000


def new_id() -> str:
    """An id for what has none; later ones sort after earlier ones."""
    return time_ordered_id(time.time_ns(), secrets.randbits(62))


@attrs.define
class _Sorted:
    """A package, event by event."""

    package_id: str
    at: datetime
    stored: list[tuple[int, str, bytes]] = attrs.field(factory=list)
    refused: list[Refusal] = attrs.field(factory=list)
    kept: list[Rejected] = attrs.field(factory=list)


class Collector:
    """Takes packages in.

    Args:
        events: where events are stored.
        rejections: where rejections are stored.
        recent: remembers what is stored.
        metrics: is told what happens.
        limits: see `Limits`.
        door: checks events, if it is given.
    """

    def __init__(
        self,
        events: GroupCommit,
        rejections: GroupCommit,
        *,
        recent: RecentEvents,
        metrics: Metrics,
        limits: Limits,
        door: SchemaCheck | None,
    ) -> None:
        self._events = events
        self._rejections = rejections
        self._recent = recent
        self._metrics = metrics
        self._limits = limits
        self._door = door
        # Two: what a large body takes apart is several times its bytes.
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="holded-read")

    def close(self) -> None:
        """Ends its threads."""
        self._threads.shutdown(wait=False)

    async def collect(self, body: bytes, layout: Layout, key: str) -> answers.Collected:
        """Stores a package's events, and its rejections, and tells what became of each.

        Raises:
            Problem: the package as a whole is not accepted, or could not be stored.
        """
        self._metrics.received(key, len(body))
        package = await self._sorted(body, layout)
        storing = []
        if package.stored:
            lines = b"".join(line for _, _, line in package.stored)
            storing.append(self._events.store(partition_of(package.at, package.at.hour), lines))
        if package.kept:
            lines = b"".join(json_codec.encode(to_document(each)) + b"\n" for each in package.kept)
            storing.append(self._rejections.store(rejected_partition(package.kept[0]), lines))
        # All of them are waited for, so that what is answered is true of both.
        for outcome in await asyncio.gather(*storing, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
        for _, event_id, line in package.stored:
            self._recent.add(event_id, line.removesuffix(b"\n"))
        self._count(package, key)
        return _answer(package)

    async def _sorted(self, body: bytes, layout: Layout) -> _Sorted:
        package = _Sorted(new_id(), datetime.now(UTC))

        def sort() -> _Sorted:
            for found in read_package(body, layout, self._limits):
                if isinstance(found, Refusal):
                    package.refused.append(found)
                else:
                    self._place(found, package)
            return package

        if self._door is not None:
            return await self._door.ask(sort)
        if _is_small(body):
            return sort()
        return await asyncio.get_running_loop().run_in_executor(self._threads, sort)

    def _place(self, message: Message, package: _Sorted) -> None:
        event_id = message.event_id or new_id()
        line = stored_line(
            message, event_id=event_id, correlation_id=package.package_id, received_at=package.at.isoformat()
        )
        refused = self._door and self._door.rejected(message, line, event_id, package.at)
        if refused:
            fault, rejected = refused
            package.refused.append(Refusal(message.index, fault, event_id))
            package.kept.append(rejected)
        else:
            package.stored.append((message.index, event_id, line))

    def _count(self, package: _Sorted, key: str) -> None:
        self._metrics.accepted(key, len(package.stored))
        for refusal in package.refused:
            self._metrics.refused(key, refusal.fault.reason)


def _is_small(body: bytes) -> bool:
    """Whether it is read in no time: ten thousand broken events may have twenty thousand bytes."""
    return len(body) <= _BYTES_AT_ONCE and body.count(b",") + body.count(b"\n") <= _PARTS_AT_ONCE


def _answer(package: _Sorted) -> answers.Collected:
    accepted = [answers.Accepted(index=index, event_id=event_id) for index, event_id, _ in package.stored]
    rejected = [
        answers.Refused(
            index=refusal.index,
            reason=refusal.fault.reason,
            message=refusal.fault.message,
            violations=[answers.Violation(**attrs.asdict(each)) for each in refusal.fault.violations],
            event_id=refusal.event_id,
        )
        for refusal in package.refused
    ]
    counts = answers.Counts(received=len(accepted) + len(rejected), accepted=len(accepted), rejected=len(rejected))
    return answers.Collected(
        package_id=package.package_id,
        received_at=package.at.isoformat(),
        counts=counts,
        accepted=accepted,
        rejected=rejected,
    )
