"""`POST /collect`: checks a package, stores its events, and returns when the store has confirmed them."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any

import attrs

from holded_pipeline.api.access.audit import Audit
from holded_pipeline.api.access.caller import Caller
from holded_pipeline.api.access.companies import FOREIGN_COMPANY, foreign_company
from holded_pipeline.api.collecting.group_commit import GroupCommit
from holded_pipeline.api.collecting.package_cost import PackageCost
from holded_pipeline.api.collecting.package_parsing import Layout, Message, RejectedMessage, parse_package, stored_line
from holded_pipeline.api.collecting.repeated_ids import RepeatedIds
from holded_pipeline.api.collecting.schema_check import STAGE, SchemaCheck
from holded_pipeline.api.received.archive import partition_of
from holded_pipeline.api.received.recent_events import RecentEvents
from holded_pipeline.api.settings import Limits
from holded_pipeline.api.watching.current_request import note_events
from holded_pipeline.api.watching.metrics import Metrics
from holded_pipeline.api.watching.request_spans import SummedSpan, child_span, is_traced
from holded_pipeline.model import json_codec
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.identity import time_ordered_id
from holded_pipeline.model.values import Rejected
from holded_pipeline.rejected.rejections import reject, to_document
from holded_pipeline.store.object_names import rejected_partition

# What is parsed on the event loop; more is parsed in a thread, so that other requests go on.
_LOOP_BYTES = 1 << 16
_LOOP_SEPARATORS = 2_000


def new_id() -> str:
    """A new id; later ids sort after earlier ones."""
    return time_ordered_id(time.time_ns(), secrets.randbits(62))


@attrs.define
class CheckedPackage:
    """The events of a package, accepted and rejected.

    Attributes:
        package_id: the correlation id of its events.
        received_at: the time its body was complete.
        accepted: index, event id and stored line of each accepted event; a duplicate has no line.
        duplicates: the index of each duplicate, with the index of the event that it repeats.
        rejected: the rejected events.
        dead_letters: those of them that go to the dead-letter store.
    """

    package_id: str
    received_at: datetime
    accepted: list[tuple[int, str, bytes]] = attrs.field(factory=list)
    duplicates: dict[int, int] = attrs.field(factory=dict)
    rejected: list[RejectedMessage] = attrs.field(factory=list)
    dead_letters: list[Rejected] = attrs.field(factory=list)


@attrs.frozen
class _Checking:
    """A package while its events are checked.

    Attributes:
        package: gets the events.
        caller: whose events they are.
        span: of the schema checks, if the request is traced.
        ids: the ids so far.
    """

    package: CheckedPackage
    caller: Caller
    span: SummedSpan | None
    ids: RepeatedIds = attrs.field(factory=RepeatedIds)


class Collector:
    """Checks and stores packages.

    Args:
        events: writes events.
        rejections: writes to the dead-letter store.
        recent: gets each stored event.
        metrics: counts bodies and events.
        limits: see `Limits`.
        schema_check: checks events against their schemas; None for no such check.
        audit: where events of companies that the key may not write for are logged.
        run_id: the run id of rejections: it names this process.
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
        audit: Audit,
        run_id: str,
    ) -> None:
        self._events = events
        self._rejections = rejections
        self._recent = recent
        self._metrics = metrics
        self._limits = limits
        self._schema_check = schema_check
        self._audit = audit
        self._run_id = run_id
        # Two: a large body needs several times its bytes while it is parsed.
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="holded-parse")

    def close(self) -> None:
        """Ends its threads."""
        self._threads.shutdown(wait=False)

    async def collect(self, body: bytes, layout: Layout, caller: Caller) -> CheckedPackage:
        """Stores the events of a package, and its rejections; returns them.

        Raises:
            Problem: the package as a whole is not accepted, or could not be stored.
        """
        self._metrics.count_body(caller.name, len(body))
        with child_span("parse", **{"holded_pipeline.bytes": len(body)}):
            package = await self._check_package(body, layout, caller)
        writes = []
        if package.accepted:
            lines = b"".join(line for _, _, line in package.accepted)
            writes.append(self._events.store(partition_of(package.received_at, package.received_at.hour), lines))
        if package.dead_letters:
            lines = b"".join(json_codec.encode(to_document(each)) + b"\n" for each in package.dead_letters)
            writes.append(self._rejections.store(rejected_partition(package.dead_letters[0]), lines))
        with child_span("store write"):
            await _all_done(writes)
        for _, event_id, line in package.accepted:
            if line:
                self._recent.add(event_id, line.removesuffix(b"\n"))
        self._count(package, caller)
        return package

    async def _check_package(self, body: bytes, layout: Layout, caller: Caller) -> CheckedPackage:
        package = CheckedPackage(new_id(), datetime.now(UTC))
        span = SummedSpan() if self._schema_check is not None and is_traced() else None
        checking = _Checking(package, caller, span)

        def check() -> CheckedPackage:
            cost = PackageCost(self._schema_check.cpu_seconds) if self._schema_check else PackageCost()
            for message in parse_package(body, layout, self._limits, cost):
                if isinstance(message, RejectedMessage):
                    package.rejected.append(message)
                elif not self._is_accepted(message, checking):
                    cost.require_time()  # to find out what is wrong with an event costs more than to accept it
            return package

        if self._schema_check is not None:
            checked = await self._schema_check.run(check, caller.name)
            if span is not None:
                span.end("schema check")
            return checked
        if _is_small(body):
            return check()
        return await asyncio.get_running_loop().run_in_executor(self._threads, check)

    def _is_accepted(self, message: Message, checking: _Checking) -> bool:
        """Checks an event, and adds it to what is accepted or rejected."""
        package, caller, ids = checking.package, checking.caller, checking.ids
        if caller.companies is not None and (fault := foreign_company(message.document, caller)):
            package.rejected.append(RejectedMessage(message.index, fault))
            return False
        event_id = message.event_id or new_id()
        line = stored_line(
            message,
            event_id=event_id,
            correlation_id=package.package_id,
            received_at=package.received_at.isoformat(),
            sender=caller.name,
        )
        try:
            first = ids.check(message)
        except RejectRecord as conflict:
            found = attrs.evolve(self._reject(conflict, line, package), event_id=event_id)
            _add_rejection(package, message.index, conflict, found)
            return False
        if first is not None:
            package.accepted.append((message.index, event_id, b""))
            package.duplicates[message.index] = first
            return True
        violation = None
        if self._schema_check is not None:
            check = self._schema_check.check
            if checking.span is not None:
                check = partial(checking.span.call, check)
            violation = check(message, line, event_id, package.received_at)
        if violation:
            _add_rejection(package, message.index, *violation)
        else:
            package.accepted.append((message.index, event_id, line))
            ids.add(message)
        return not violation

    def _reject(self, fault: RejectRecord, line: bytes, package: CheckedPackage) -> Rejected:
        raw = line.removesuffix(b"\n")
        return reject(fault, stage=STAGE, raw=raw, run_id=self._run_id, rejected_at=package.received_at)

    def _count(self, package: CheckedPackage, caller: Caller) -> None:
        note_events(len(package.accepted), len(package.rejected))
        self._metrics.count_accepted(caller.name, len(package.accepted) - len(package.duplicates))
        self._metrics.count_duplicates(caller.name, len(package.duplicates))
        for message in package.rejected:
            self._metrics.count_rejected(caller.name, message.fault.reason)
        foreign = sum(message.fault.reason == FOREIGN_COMPANY for message in package.rejected)
        if foreign:
            route = "POST /collect"
            self._audit.refuse(FOREIGN_COMPANY, route=route, address=caller.address, key=caller.name, events=foreign)


def _add_rejection(package: CheckedPackage, index: int, fault: RejectRecord, rejected: Rejected) -> None:
    package.rejected.append(RejectedMessage(index, fault, rejected.event_id))
    package.dead_letters.append(rejected)


def _is_small(body: bytes) -> bool:
    """Whether a body is parsed in no time. Bytes alone do not tell: 20,000 of them may be 10,000 broken events."""
    return len(body) <= _LOOP_BYTES and body.count(b",") + body.count(b"\n") <= _LOOP_SEPARATORS


async def _all_done(writes: list[Coroutine[Any, Any, None]]) -> None:
    """Waits for all writes, so that the response is true of each; raises the error of the first that failed."""
    if len(writes) == 1:
        await writes[0]
        return
    for outcome in await asyncio.gather(*writes, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
