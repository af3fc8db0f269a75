"""RunMetrics: what runs did, for Prometheus."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from holded_pipeline.model.errors import ConfigurationError, UnbalancedError
from holded_pipeline.model.install_lines import install_line
from holded_pipeline.runs.lease import Lease
from holded_pipeline.runs.run_report import RunReport

_PREFIX: Final = "holded_pipeline_"
_PUSH_SECONDS: Final = 10.0
COUNTERS: Final = {
    "runs": ("Runs that ended", ("state",)),
    "run_seconds": ("Seconds that runs took", ("state",)),
    "unbalanced_runs": ("Runs whose counts do not add up: read is not stored + duplicates + rejected", ()),
    "records_read": ("Records read", ()),
    "records_stored": ("Rows inserted or updated; without a table, events in objects", ()),
    "records_duplicate": ("Rows that changed nothing", ()),
    "records_rejected": ("Records rejected", ("stage", "reason")),
    "objects_written": ("Objects written", ("stage",)),
    "written_bytes": ("Bytes of objects written", ("stage",)),
    "read_bytes": ("Bytes read", ()),
}
"""The counters: their names without prefix and `_total`, what they count, and their labels beside `pipeline`."""
GAUGES: Final = {
    "last_run_timestamp_seconds": "When the last run ended",
    "last_success_timestamp_seconds": "When the last run ended that succeeded",
    "fresh_until_timestamp_seconds": "When the last run began that succeeded: what was stored before is loaded",
    "last_run_seconds": "Seconds that the last run took",
    "lease_held": "Whether this process holds the lease",
}
"""The gauges: their names without prefix, and what they say. Their label is `pipeline`."""
METRIC_NAMES: Final = frozenset(
    [f"{_PREFIX}{name}_total" for name in COUNTERS] + [f"{_PREFIX}{name}" for name in GAUGES]
)
"""Every name that Prometheus sees."""
_logger = logging.getLogger("holded_pipeline")


class RunMetrics:
    """Counts the runs of a pipeline for Prometheus, in a registry of its own.

    Args:
        name: of the pipeline; the label `pipeline` of every metric.
        textfile: a file `….prom` for node_exporter's textfile collector. It is read now, so that counters go on where
            the process before ended, and written after each run.
        pushgateway: the address of a Pushgateway, e.g. `http://localhost:9091`; metrics are sent after each run.

    Example:
        >>> metrics = hp.RunMetrics("nightly")
        >>> metrics.observe(hp.RunReport("run-1", "nightly", "succeeded", None, 2.5, {"read.records": 7}))
        >>> 'holded_pipeline_records_read_total{pipeline="nightly"} 7.0' in metrics.text().decode()
        True

    Raises:
        ConfigurationError: prometheus_client is not installed, or the file is there and this user cannot read it.

    **Guarantees:** nothing is registered in prometheus_client's global registry. A file is replaced at once, never
    half-written. A file or a gateway that cannot be written is logged and does not fail the run. A damaged file is
    logged and kept as `….prom.damaged`; the counters begin at 0, which Prometheus takes for a restart.
    """

    def __init__(self, name: str, *, textfile: str | Path | None = None, pushgateway: str | None = None) -> None:
        self.name = name
        self._client = _prometheus_client()
        self._registry = self._client.CollectorRegistry()
        self._metrics: dict[str, Any] = {
            key: self._client.Counter(f"{_PREFIX}{key}", text, ["pipeline", *labels], registry=self._registry)
            for key, (text, labels) in COUNTERS.items()
        }
        self._metrics |= {
            key: self._client.Gauge(f"{_PREFIX}{key}", text, ["pipeline"], registry=self._registry)
            for key, text in GAUGES.items()
        }
        self._textfile = None if textfile is None else Path(textfile)
        self._pushgateway = pushgateway
        # A counter that appears only when it counts has no increase then.
        for state in ("succeeded", "failed"):
            self._add("runs", 0, state=state)
        for key in (key for key, (_, labels) in COUNTERS.items() if not labels):
            self._add(key, 0)
        if self._textfile is not None and self._textfile.exists():
            self._restore_from(self._textfile)

    def observe(self, report: RunReport) -> None:
        """Adds what a run did; writes the file and sends to the Pushgateway, where there are any."""
        self._add("runs", 1, state=report.state)
        self._add("run_seconds", report.seconds or 0.0, state=report.state)
        self._set("last_run_timestamp_seconds", time.time())
        self._set("last_run_seconds", report.seconds or 0.0)
        if report.state == "succeeded":
            self._set("last_success_timestamp_seconds", time.time())
            if report.began_at is not None:
                self._set("fresh_until_timestamp_seconds", report.began_at.timestamp())
        self._add("unbalanced_runs", _is_unbalanced(report))
        self._count_records(report)
        self._publish()

    def observe_lease(self, lease: Lease) -> None:
        """Shows, at each scrape, whether this process holds the lease."""
        self._metrics["lease_held"].labels(self.name).set_function(lambda: float(lease.is_held))

    def text(self) -> bytes:
        """All metrics in the Prometheus text format."""
        text: bytes = self._client.generate_latest(self._registry)
        return text

    @contextlib.contextmanager
    def serving(self, port: int, host: str = "127.0.0.1") -> Iterator[int]:
        """Serves `/metrics` inside a `with` block, which is given the port; with port 0 the system picks one.

        Raises:
            ConfigurationError: the port is in use, or is none.
        """
        try:
            server, thread = self._client.start_http_server(port, host, registry=self._registry)
        except (OSError, OverflowError) as error:
            raise ConfigurationError(
                f"/metrics cannot be served on {host}:{port}: {error}; pass another metrics_port"
            ) from error
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def _count_records(self, report: RunReport) -> None:
        self._add("records_read", report.records)
        self._add("records_stored", report.stored)
        self._add("records_duplicate", report.duplicates)
        self._add("read_bytes", report.counts.get("read.bytes", 0))
        for stage, reasons in report.rejected.items():
            for reason, number in reasons.items():
                self._add("records_rejected", number, stage=stage, reason=reason)
        for stage in ("write_minio", "write_rejected"):
            self._add("objects_written", report.counts.get(f"{stage}.objects", 0), stage=stage)
            self._add("written_bytes", report.counts.get(f"{stage}.bytes", 0), stage=stage)

    def _add(self, key: str, amount: float, **labels: str) -> None:
        self._metrics[key].labels(pipeline=self.name, **labels).inc(amount)

    def _set(self, key: str, value: float) -> None:
        self._metrics[key].labels(pipeline=self.name).set(value)

    def _restore_from(self, path: Path) -> None:
        """Takes over the counters and the times of an older file; sets a damaged one aside."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"the metrics of {self.name} cannot be read from {path}: {error}; let this user read the file, or give "
                "another one"
            ) from error
        try:
            values = list(self._values_of(content.decode("utf-8")))
        except Exception as error:  # noqa: BLE001  whatever is in a damaged file: metrics must not keep runs from running
            aside = path.with_name(f"{path.name}.damaged")  # the collector reads names that end in .prom only
            _logger.warning(
                "the metrics of %s in %s are damaged: %s; the counters begin at 0, and the file is kept as %s",
                self.name,
                path,
                error,
                aside,
            )
            with contextlib.suppress(OSError):
                path.replace(aside)
            return
        for key, labels, value in values:
            if key in GAUGES:
                self._set(key, value)
            else:
                self._add(key, value, **labels)

    def _values_of(self, text: str) -> Iterator[tuple[str, dict[str, str], float]]:
        """This pipeline's series in a text: the key of the metric, the labels beside `pipeline`, the value."""
        from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415  an extra

        seen = set()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = dict(sample.labels)
                if sample.name not in METRIC_NAMES or labels.pop("pipeline", None) != self.name:
                    continue
                key = sample.name.removeprefix(_PREFIX).removesuffix("_total")
                series = sample.name, *sorted(labels.items())
                if series in seen:
                    raise ValueError(f"{sample.name} is there twice with the labels {labels}")
                seen.add(series)
                names = () if key in GAUGES else COUNTERS[key][1]
                if set(labels) != set(names):
                    raise ValueError(f"{sample.name} has the labels {sorted(labels)} instead of {sorted(names)}")
                if not math.isfinite(sample.value) or sample.value < 0:  # which a counter would stay for ever
                    raise ValueError(f"{sample.name} is {sample.value}")
                yield key, labels, sample.value

    def _publish(self) -> None:
        try:
            if self._textfile is not None:
                _replace_file(self._textfile, self.text())
            if self._pushgateway is not None:
                self._client.pushadd_to_gateway(
                    self._pushgateway,
                    job="holded_pipeline",
                    registry=self._registry,
                    grouping_key={"pipeline": self.name},
                    timeout=_PUSH_SECONDS,
                )
        except Exception as error:  # noqa: BLE001  whatever a gateway answers, it must not end a run
            _logger.warning("the metrics of %s could not be published: %s", self.name, error)


def _is_unbalanced(report: RunReport) -> bool:
    """Whether records are missing: a ledger said so, which fails the run, or the counters of one without a ledger."""
    if report.state == "failed":
        return (report.error or "").startswith(UnbalancedError.__name__)
    return report.is_balanced is False


def _replace_file(path: Path, text: bytes) -> None:
    """Writes a file at once: the collector may read at any moment. It reads names that end in .prom only."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            os.fchmod(descriptor, 0o644)  # the collector may be another user
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _prometheus_client() -> ModuleType:
    try:
        import prometheus_client  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ConfigurationError(f"metrics need prometheus_client; run: {install_line('metrics')}") from error
    return prometheus_client
