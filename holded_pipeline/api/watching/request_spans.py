"""OpenTelemetry spans of requests by option. Nothing of OpenTelemetry is imported if there is no tracer provider."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from starlette.types import Scope

from holded_pipeline.api.watching.current_request import RequestNotes, current_request
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.model.install_lines import install_line

_CONTEXT_HEADERS: Final = (b"traceparent", b"tracestate")
_KEPT: Final = {
    "record_exception": False,
    "set_status_on_exception": False,
}  # a traceback may show what is in variables
_SERVER_ERROR: Final = 500


class RequestSpans:
    """Makes a server span of each request, below the span that the client names in `traceparent`.

    Args:
        provider: a `TracerProvider`. OpenTelemetry's global provider is not used.

    Raises:
        ConfigurationError: OpenTelemetry is not installed.
    """

    def __init__(self, provider: Any) -> None:
        try:
            from opentelemetry import trace  # noqa: PLC0415  an extra
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415
        except ImportError as error:
            raise ConfigurationError(f"traces need OpenTelemetry; run: {install_line('tracing')}") from error
        self._trace = trace
        self._tracer = provider.get_tracer("holded_pipeline")
        self._propagator = TraceContextTextMapPropagator()

    @contextlib.contextmanager
    def of_request(self, scope: Scope, notes: RequestNotes) -> Iterator[Callable[[str, int], None]]:
        """Makes the span of a request, which lasts as long as the block; yields what takes its route and status."""
        headers = {
            name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in _CONTEXT_HEADERS
        }
        attributes = {
            "http.request.method": scope["method"],
            "url.scheme": scope.get("scheme", "http"),
            "holded_pipeline.request_id": notes.request_id,
        }
        with self._tracer.start_as_current_span(
            scope["method"],
            context=self._propagator.extract(headers),
            kind=self._trace.SpanKind.SERVER,
            attributes=attributes,
            **_KEPT,
        ) as span:
            notes.tracer = self._tracer
            notes.trace_id = self._trace.format_trace_id(span.get_span_context().trace_id)
            try:
                yield partial(self._end, span, notes, scope["method"])
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(self._trace.StatusCode.ERROR, type(error).__name__)
                raise

    def _end(self, span: Any, notes: RequestNotes, method: str, route: str, status: int) -> None:
        span.update_name(f"{method} {route}")
        known = {
            "http.route": route,
            "http.response.status_code": status,
            "holded_pipeline.key": notes.key,
            "holded_pipeline.accepted": notes.accepted,
            "holded_pipeline.rejected": notes.rejected,
            "error.type": notes.problem,
        }
        span.set_attributes({name: value for name, value in known.items() if value is not None})
        if status >= _SERVER_ERROR:
            span.set_status(self._trace.StatusCode.ERROR, notes.problem or str(status))


@contextlib.contextmanager
def child_span(name: str, **attributes: int) -> Iterator[None]:
    """A span below that of the request, which lasts as long as the block; nothing if requests are not traced."""
    notes = current_request()
    if notes is None or notes.tracer is None:
        yield
        return
    with notes.tracer.start_as_current_span(name, attributes=attributes, **_KEPT):
        yield


def is_traced() -> bool:
    """Whether the request has spans."""
    notes = current_request()
    return notes is not None and notes.tracer is not None


class SummedSpan:
    """A span of work that is done in many small parts, such as the schema check of each event.

    It begins with the first part, and is as long as all parts together.
    """

    def __init__(self) -> None:
        self._started = 0
        self._nanoseconds = 0
        self._parts = 0

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls the function, as a part of this span."""
        started = time.time_ns()
        try:
            return function(*arguments)
        finally:
            self._started = self._started or started
            self._nanoseconds += time.time_ns() - started
            self._parts += 1

    def end(self, name: str) -> None:
        """Makes the span, below the current one."""
        notes = current_request()
        if notes is None or notes.tracer is None or not self._parts:
            return
        span = notes.tracer.start_span(
            name, start_time=self._started, attributes={"holded_pipeline.events": self._parts}
        )
        span.end(end_time=self._started + self._nanoseconds)
