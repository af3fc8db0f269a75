"""What Prometheus is told, in a registry of its own for each app."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from holded_pipeline.model.errors import ConfigurationError, TransientError

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 10_000)


class Metrics:
    """The figures of one app. Names of keys are labels; keys never are."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "holded_api_requests", "Requests answered", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "holded_api_request_seconds", "Seconds to an answer", ["route"], buckets=_SECONDS, registry=registry
        )
        self._events = Counter("holded_api_events", "Events received", ["key", "outcome"], registry=registry)
        self._reasons = Counter("holded_api_events_refused", "Events refused", ["reason"], registry=registry)
        self._bytes = Counter("holded_api_received_bytes", "Bytes of bodies, inflated", ["key"], registry=registry)
        self._objects = Counter("holded_api_objects", "Objects stored", registry=registry)
        self._stored_bytes = Counter("holded_api_stored_bytes", "Bytes stored", registry=registry)
        self._packages = Histogram(
            "holded_api_object_packages", "Packages in one object", buckets=_COUNTS, registry=registry
        )
        self._store_seconds = Histogram(
            "holded_api_store_seconds", "Seconds to store an object", buckets=_SECONDS, registry=registry
        )
        self._errors = Counter("holded_api_store_errors", "Objects not stored", ["kind"], registry=registry)

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """A gauge that is read when it is asked for."""
        Gauge(f"holded_api_{name}", what, registry=self._registry).set_function(value)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def received(self, key: str, size: int) -> None:
        """A body was read."""
        self._bytes.labels(key).inc(size)

    def accepted(self, key: str, events: int) -> None:
        """Events were stored."""
        self._events.labels(key, "accepted").inc(events)

    def refused(self, key: str, reason: str) -> None:
        """An event was refused."""
        self._events.labels(key, "rejected").inc()
        self._reasons.labels(reason).inc()

    def stored(self, size: int, packages: int, seconds: float) -> None:
        """An object was stored."""
        self._objects.inc()
        self._stored_bytes.inc(size)
        self._packages.observe(packages)
        self._store_seconds.observe(seconds)

    def failed(self, error: Exception) -> None:
        """An object could not be stored."""
        refused = "refused" if isinstance(error, ConfigurationError) else "other"
        self._errors.labels("no_answer" if isinstance(error, TransientError) else refused).inc()

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry)
