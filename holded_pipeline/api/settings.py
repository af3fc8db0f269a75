"""Settings of the API: what it accepts and how it writes. The defaults suit a process with half a gigabyte."""

from __future__ import annotations

import math
from typing import Any

import attrs
from limits import parse_many

from holded_pipeline.reading.framed_records import KEEP_BYTES

_at_least_one: Any = attrs.validators.ge(1)
_positive: Any = attrs.validators.gt(0)
_not_negative: Any = attrs.validators.ge(0)
_MAX_RECORD_BYTES = (16 << 20) - 1024  # what ReadMinIO reads by default, less the wrapping of a stored event
_MAX_DEPTH = 99  # the pipeline reads 100 levels, and the wrapping of a stored event is one of them


def _validate_rate(_: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
    if value is None:
        return
    try:
        parse_many(value)
    except ValueError as error:
        raise ValueError(
            f"Limits.{attribute.name} must be like 1000/second, or like 1000/second;20000/minute, not {value!r}"
        ) from error


def _validate_rate_storage(_: object, __: object, value: str | None) -> None:
    if value is not None and not value.startswith("async+"):
        raise ValueError(
            "Limits.rate_storage must be a URI of an asynchronous storage of the library limits, such as"
            " async+redis://localhost:6379 or async+memcached://localhost:11211"
        )


def _divide_rate(rates: str | None, processes: int) -> str | None:
    if rates is None:
        return None
    parsed = parse_many(rates)
    return ";".join(
        f"{math.ceil(each.amount / processes)} per {each.multiples} {each.GRANULARITY.name}" for each in parsed
    )


# What all requests of a process share.
_DIVIDED = (
    *("memory_bytes", "requests_in_progress", "connections", "address_connections"),
    *("scans", "recent_bytes"),
)


@attrs.frozen(kw_only=True)
class Limits:
    """What is accepted. A request beyond a limit is rejected; the response names the limit.

    Attributes:
        body_bytes: bytes of a body as it is sent, compressed or not.
        inflated_bytes: bytes of a gzip body once it is decompressed; decompression stops there.
        events: events in one package.
        event_bytes: bytes of one event; at most the bytes that the pipeline reads as one record.
        depth: levels of nesting of one event; at most 99, so that the pipeline can read it.
        body_seconds: seconds that a client may take to send its body.
        stall_seconds: in each period of this many seconds a client has to send, or take of its response, what
            `bytes_per_second` says. One that does not is answered with 408, or its connection is closed.
        bytes_per_second: the slowest rate of a client while it sends a body or takes a response.
        memory_bytes: bytes of bodies and pages held at one time, all requests together. Beyond them the answer is
            503. One key may hold as much as is free, so half of it when it is alone, and one address three times as
            much; beyond that the answer is 429.
        requests_in_progress: requests that send or read events at one time; shared among keys and addresses as
            `memory_bytes` is.
        connections: connections of `serve` at one time. Beyond them a new one replaces one that is idle or slow.
        address_connections: how many of them one address may have. The proxy of `serve(proxy=…)` may have all.
        rate: requests for each API key, or without keys for each address, e.g. `1000/second`, or
            `1000/second;20000/minute` for two rates; None for no limit.
        wrong_keys: requests with a wrong key from each address; beyond it the answer is 429.
        page_bytes: bytes of events on one page of `GET /events`; a page has at least one event.
        scan_seconds: seconds that one search of stored events may take.
        scans: searches of stored events at one time.
        recent_bytes: bytes of accepted events kept in memory for `GET /events/{event_id}`.
        schema_checks: packages checked against their schemas at one time. Each key has at most one less. Each may start
            a process for large or costly events, which takes 50 to 300 MB.
        rate_storage: where `rate` and `wrong_keys` are counted for several processes together, as a URI of the
            library `limits`, e.g. `async+redis://localhost:6379`. While it does not answer, each process counts for
            itself. None: each process always does.
    """

    body_bytes: int = attrs.field(default=16 << 20, validator=[_at_least_one, attrs.validators.le(KEEP_BYTES)])
    inflated_bytes: int = attrs.field(default=64 << 20, validator=[_at_least_one, attrs.validators.le(KEEP_BYTES)])
    events: int = attrs.field(default=10_000, validator=_at_least_one)
    event_bytes: int = attrs.field(default=8 << 20, validator=[_at_least_one, attrs.validators.le(_MAX_RECORD_BYTES)])
    depth: int = attrs.field(default=_MAX_DEPTH, validator=[_at_least_one, attrs.validators.le(_MAX_DEPTH)])
    body_seconds: float = attrs.field(default=30.0, validator=_positive)
    stall_seconds: float = attrs.field(default=10.0, validator=_positive)
    bytes_per_second: int = attrs.field(default=1_024, validator=_at_least_one)
    memory_bytes: int = attrs.field(default=256 << 20, validator=_at_least_one)
    requests_in_progress: int = attrs.field(default=1_000, validator=_at_least_one)
    connections: int = attrs.field(default=2_000, validator=_at_least_one)
    address_connections: int = attrs.field(default=500, validator=_at_least_one)
    rate: str | None = attrs.field(default="1000/second", validator=_validate_rate)
    wrong_keys: str | None = attrs.field(default="60/minute", validator=_validate_rate)
    page_bytes: int = attrs.field(default=8 << 20, validator=_at_least_one)
    scan_seconds: float = attrs.field(default=20.0, validator=_positive)
    scans: int = attrs.field(default=2, validator=_at_least_one)
    recent_bytes: int = attrs.field(default=32 << 20, validator=_not_negative)
    schema_checks: int = attrs.field(default=2, validator=_at_least_one)
    rate_storage: str | None = attrs.field(default=None, validator=_validate_rate_storage, repr=False)

    def divided_by(self, processes: int) -> Limits:
        """The limits of each of several processes, so that all together accept about what these limits say.

        Rates, memory, requests, connections, searches and recent events are divided and rounded up. Memory is never
        less than one body needs, inflated. Rates with a `rate_storage` are not divided, since it counts for all
        processes. What holds for one request, such as `body_bytes`, stays.

        Connections are not spread evenly over processes: a client that sends everything over one connection gets the
        rate of one process.

        Args:
            processes: how many there are.

        Raises:
            ValueError: there is not at least one.
        """
        if processes < 1:
            raise ValueError(f"limits are divided by 1 process or more, not by {processes}")
        divided: dict[str, Any] = {name: math.ceil(getattr(self, name) / processes) for name in _DIVIDED}
        whole = min(self.memory_bytes, self.body_bytes + self.inflated_bytes)
        divided["memory_bytes"] = max(divided["memory_bytes"], whole)
        if self.rate_storage is None:
            divided |= {name: _divide_rate(getattr(self, name), processes) for name in ("rate", "wrong_keys")}
        return attrs.evolve(self, **divided)


@attrs.frozen(kw_only=True)
class Writing:
    """How accepted events are written to the store.

    Attributes:
        max_wait: seconds that a package waits at most for others to be written with it. It does not wait when all who
            were answered so shortly ago have sent again.
        group_bytes: an object is written without waiting when it has this many bytes.
        group_packages: or this many packages; 1 writes an object for each package.
        writes: objects written at one time.
        queue_bytes: bytes that wait for the store; beyond them the answer is 503.
        queue_packages: packages that wait for the store; beyond them the answer is 503.
        store_seconds: seconds after which a package that is not stored is answered with 503.
        retry_after: seconds that a 503 tells clients to wait.
    """

    max_wait: float = attrs.field(default=0.02, validator=_not_negative)
    group_bytes: int = attrs.field(default=8 << 20, validator=_at_least_one)
    group_packages: int = attrs.field(default=10_000, validator=_at_least_one)
    writes: int = attrs.field(default=4, validator=_at_least_one)
    queue_bytes: int = attrs.field(default=128 << 20, validator=_at_least_one)
    queue_packages: int = attrs.field(default=10_000, validator=_at_least_one)
    store_seconds: float = attrs.field(default=10.0, validator=_positive)
    retry_after: int = attrs.field(default=5, validator=_at_least_one)
