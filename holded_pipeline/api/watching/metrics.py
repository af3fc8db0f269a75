"""The metrics of one app for Prometheus, in a registry of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from holded_pipeline.api.this_worker import this_worker
from holded_pipeline.api.watching.shared_metrics import require_shared_files
from holded_pipeline.model.errors import ConfigurationError, TransientError

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 10_000)


class Metrics:
    """The metrics of one app. Labels have the names of API keys, never the keys.

    In a worker of `serve` counters and histograms are in files that all workers share, see `share_metrics`: what any
    worker writes as text is the sum of all, those that ended included.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        self._requests = Counter(
            "holded_api_requests", "Responses sent", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "holded_api_request_seconds", "Seconds until the response", ["route"], buckets=_SECONDS, registry=registry
        )
        self._events = Counter("holded_api_events", "Events received", ["key", "outcome"], registry=registry)
        self._reasons = Counter("holded_api_events_refused", "Events rejected", ["reason"], registry=registry)
        self._refusals = Counter("holded_api_refusals", "Requests and events refused", ["reason"], registry=registry)
        self._bytes = Counter("holded_api_received_bytes", "Bytes of bodies, decompressed", ["key"], registry=registry)
        self._objects = Counter("holded_api_objects", "Objects stored", registry=registry)
        self._stored_bytes = Counter("holded_api_stored_bytes", "Bytes stored", registry=registry)
        self._packages = Histogram(
            "holded_api_object_packages", "Packages in one object", buckets=_COUNTS, registry=registry
        )
        self._store_seconds = Histogram(
            "holded_api_store_seconds", "Seconds to store an object", buckets=_SECONDS, registry=registry
        )
        self._errors = Counter("holded_api_store_errors", "Objects not stored", ["kind"], registry=registry)
        self._spooled = Counter("holded_api_spooled_groups", "Groups written to the spool", registry=registry)
        self._drained = Counter("holded_api_drained_groups", "Groups of the spool stored", registry=registry)
        self._spool_errors = Counter("holded_api_spool_errors", "Errors of the spool", ["kind"], registry=registry)
        self._replaced = Counter(
            "holded_api_replaced_workers", "Workers started in place of one that ended", registry=registry
        )
        self.add_gauge("workers", "Processes that answer", lambda: 1)

    def add_gauge(self, name: str, description: str, value: Callable[[], float]) -> None:
        """Adds a gauge whose value is computed for each scrape; those of several workers are added up."""
        self._gauges[f"holded_api_{name}"] = (description, value)

    def gauge_values(self) -> dict[str, float]:
        """The gauges of this process."""
        return {name: float(value()) for name, (_, value) in self._gauges.items()}

    def count_response(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts a response and its time."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_body(self, key: str, size: int) -> None:
        """Counts the bytes of a body."""
        self._bytes.labels(key).inc(size)

    def count_accepted(self, key: str, events: int) -> None:
        """Counts stored events."""
        self._events.labels(key, "accepted").inc(events)

    def count_duplicates(self, key: str, events: int) -> None:
        """Counts events that repeat an earlier one of their package."""
        if events:
            self._events.labels(key, "duplicate").inc(events)

    def count_rejected(self, key: str, reason: str) -> None:
        """Counts a rejected event."""
        self._events.labels(key, "rejected").inc()
        self._reasons.labels(reason).inc()

    def count_refusal(self, reason: str) -> None:
        """Counts a refusal for the audit log."""
        self._refusals.labels(reason).inc()

    def count_object(self, size: int, packages: int, seconds: float) -> None:
        """Counts a stored object, its packages and its time."""
        self._objects.inc()
        self._stored_bytes.inc(size)
        self._packages.observe(packages)
        self._store_seconds.observe(seconds)

    def count_failure(self, error: Exception) -> None:
        """Counts an object that was not stored."""
        kind = "refused" if isinstance(error, ConfigurationError) else "other"
        self._errors.labels("no_answer" if isinstance(error, TransientError) else kind).inc()

    def count_spooled(self) -> None:
        """Counts a group that went to the spool."""
        self._spooled.inc()

    def count_drained(self, size: int, seconds: float) -> None:
        """Counts a group of the spool that was stored, which is an object, too."""
        self._drained.inc()
        self._objects.inc()
        self._stored_bytes.inc(size)
        self._store_seconds.observe(seconds)

    def count_spool_error(self, kind: str) -> None:
        """Counts a failure of the spool: `full`, `disk` or `damaged`."""
        self._spool_errors.labels(kind).inc()

    def count_replaced_worker(self) -> None:
        """Counts a worker that replaces one that ended."""
        self._replaced.inc()

    def text(self, gauges_of_others: Iterable[Mapping[str, float]] = ()) -> bytes:
        """All metrics in the Prometheus text format.

        Args:
            gauges_of_others: the gauges of the other workers.

        Raises:
            Problem: 500; the files in which this worker counts were removed.
        """
        worker = this_worker()
        counts = generate_latest(self._registry)
        if worker is not None:
            require_shared_files(worker)
            shared = CollectorRegistry()
            MultiProcessCollector(shared, path=str(worker.folder))  # type: ignore[no-untyped-call]
            counts = generate_latest(shared)
        gauges = CollectorRegistry()
        gauges.register(_GaugeSums(self._gauges, [self.gauge_values(), *gauges_of_others]))
        return counts + generate_latest(gauges)


class _GaugeSums:
    """Collects the sums of gauges."""

    def __init__(
        self, gauges: Mapping[str, tuple[str, Callable[[], float]]], values: Iterable[Mapping[str, float]]
    ) -> None:
        self._gauges = gauges
        self._values = list(values)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges, each with one value."""
        for name, (description, _) in self._gauges.items():
            yield GaugeMetricFamily(name, description, sum(each.get(name, 0.0) for each in self._values))
