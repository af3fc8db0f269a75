"""An OpenTelemetry span for each run, by the tracer provider that the user passes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.model.install_lines import install_line
from holded_pipeline.runs.run_report import RunReport


@contextlib.contextmanager
def run_span(provider: Any, name: str) -> Iterator[Callable[[RunReport], None]]:
    """Makes a span that lasts as long as the block, which is given a function that takes the report.

    Attributes are the run's id, its state, its sums and every counter. An error is the status of the span: its class
    and its first line, without a traceback.

    Args:
        provider: a `TracerProvider`; None for no span. OpenTelemetry's global provider is not used.
        name: of the pipeline.
    """
    if provider is None:
        yield lambda _: None
        return
    try:
        from opentelemetry.trace import StatusCode  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ConfigurationError(f"traces need OpenTelemetry; run: {install_line('tracing')}") from error
    tracer = provider.get_tracer("holded_pipeline")
    kept = {"record_exception": False, "set_status_on_exception": False}  # a traceback may show what is in variables
    with tracer.start_as_current_span(f"run {name}", attributes={"holded_pipeline.pipeline": name}, **kept) as span:
        try:
            yield partial(_set_attributes, span)
        except BaseException as error:
            first, *_ = str(error).splitlines() or [""]
            span.set_attribute("holded_pipeline.state", "failed")
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(StatusCode.ERROR, f"{type(error).__name__}: {first}")
            raise


def _set_attributes(span: Any, report: RunReport) -> None:
    sums = {
        "run_id": report.run_id,
        "state": report.state,
        "records": report.records,
        "stored": report.stored,
        "duplicates": report.duplicates,
        "rejected": report.rejected_total,
    }
    counts = {f"counts.{name}": number for name, number in report.counts.items()}
    span.set_attributes({f"holded_pipeline.{name}": value for name, value in (sums | counts).items()})
