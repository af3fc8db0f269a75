"""Request ids, the log of requests, CORS, spans and HEAD."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import holded_pipeline.api
from holded_pipeline.api import ApiKey, create_app
from holded_pipeline.api.watching.json_logging import JsonFormatter, process_logging

API = Path(holded_pipeline.api.__file__).parent
KEY = "a-key-of-the-wallet-service"
ORIGIN = "https://app.example.com"
PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}


@pytest.fixture
def spans():
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


@pytest.fixture
def lines():
    """The log lines of the process, as `serve` writes them."""
    written = []

    class Keep(logging.Handler):
        def emit(self, record):
            written.append(self.format(record))

    with process_logging("json", "info"):
        handler = Keep()
        handler.setFormatter(JsonFormatter())
        logging.getLogger().addHandler(handler)
        yield written


def test_each_response_has_a_request_id_which_problems_name(api):
    client = api(keys={"wallet": ApiKey(KEY, scopes=["admin"])})
    plain = client.get("/health", headers={"X-Request-ID": "order-7.b:2"})
    assert plain.headers["X-Request-ID"] == "order-7.b:2"
    for unfit in ("", "x" * 65, "a b", "a;b", "\x1b[31m", "é".encode()):
        answer = client.get("/events", headers={"X-Request-ID": unfit})
        assert answer.status_code == 401
        assert re.fullmatch("[0-9a-f]{16}", answer.headers["X-Request-ID"])
        assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    assert client.get("/nowhere").json()["request_id"]


def test_a_line_says_what_a_request_was_and_never_a_key_or_a_body(api, lines):
    client = api(keys={"wallet": ApiKey(KEY, scopes=["admin"])}, log_format="json")
    sent = b'[{"secret": "hunter2"}, 7]'
    headers = {"X-API-Key": KEY, "Content-Type": "application/json", "X-Request-ID": "one"}
    answer = client.post("/collect?token=hunter2", content=sent, headers=headers)
    client.get("/events/hunter2%0A{}", headers={"X-API-Key": "hunter2-is-a-wrong-key"})
    collected, read = (json.loads(line) for line in lines if '"holded_pipeline.requests"' in line)
    known = {"method", "route", "status", "key", "address", "accepted", "rejected", "problem", "bytes_in", "bytes_out"}
    assert {name: collected[name] for name in known} == {
        "method": "POST",
        "route": "/collect",
        "status": 202,
        "key": "wallet",
        "address": "127.0.0.1",
        "accepted": 1,
        "rejected": 1,
        "problem": None,
        "bytes_in": len(sent),
        "bytes_out": len(answer.content),
    }
    assert collected["request_id"] == "one"
    assert collected["seconds"] > 0
    assert (read["status"], read["problem"], read["key"]) == (401, "no_valid_key", None)
    assert "hunter2" not in "".join(lines)
    assert KEY not in "".join(lines)


def test_no_request_is_logged_by_default(api, caplog):
    with caplog.at_level(logging.DEBUG, "holded_pipeline"):
        api().get("/health")
    assert [record for record in caplog.records if record.name == "holded_pipeline.requests"] == []


def test_nothing_in_a_record_ends_its_line_or_moves_a_terminal(lines):
    hostile = 'a\nb\r\x1b[2J\x9b31m\u2028"}\x00\x7f'
    try:
        int(hostile)
    except ValueError:
        logging.getLogger("uvicorn.error").exception("%s", hostile)
    (line,) = lines
    assert re.fullmatch(r"[ -~]+", line)
    document = json.loads(line)
    assert (document["message"], document["level"], document["logger"]) == (hostile, "ERROR", "uvicorn.error")
    assert document["exception"].startswith("Traceback ")


def test_an_error_is_logged_under_the_request_id(api, lines, monkeypatch):
    client = api(log_format="json")
    monkeypatch.setattr(client.app.state.service.recent, "get", lambda _: 1 / 0)
    answer = client.get("/events/1", headers={"X-Request-ID": "mine"})
    assert (answer.status_code, answer.json()["request_id"]) == (500, "mine")
    assert "the id mine " in answer.json()["detail"]
    (error,) = (json.loads(line) for line in lines if "ZeroDivisionError" in line)
    assert error["request_id"] == "mine"


def test_pages_of_named_origins_may_call_and_a_preflight_needs_no_key(api):
    client = api(keys={"wallet": ApiKey(KEY, scopes=["admin"])}, cors_origins=[ORIGIN])
    allowed = client.options("/collect", headers=PREFLIGHT)
    assert (allowed.status_code, allowed.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)
    assert "Access-Control-Allow-Credentials" not in allowed.headers
    assert client.options("/collect", headers=PREFLIGHT | {"Origin": "https://evil.example"}).status_code == 400
    denied = client.get("/events", headers={"Origin": ORIGIN})
    assert (denied.status_code, denied.headers["Access-Control-Allow-Origin"]) == (401, ORIGIN)
    assert "X-Request-ID" in denied.headers["Access-Control-Expose-Headers"]
    client.app.state.service.archive = None  # an unexpected error: the page can read the problem, too
    failed = client.get("/events", headers={"Origin": ORIGIN, "X-API-Key": KEY})
    assert (failed.status_code, failed.headers["Access-Control-Allow-Origin"]) == (500, ORIGIN)


def test_without_the_option_no_page_may_call(api):
    client = api(keys={"wallet": ApiKey(KEY, scopes=["admin"])})
    assert client.options("/collect", headers=PREFLIGHT).status_code == 405
    assert "Access-Control-Allow-Origin" not in client.get("/health", headers={"Origin": ORIGIN}).headers


def test_wrong_origins_are_named(nowhere):
    for origins in (["app.example.com"], ["https://app.example.com/"], ["null"], ["https://a b"], ["ftp://a"]):
        with pytest.raises(ValueError, match="which is no origin"):
            create_app(nowhere, cors_origins=origins)
    with pytest.raises(ValueError, match="must be a list"):
        create_app(nowhere, cors_origins=ORIGIN)
    with pytest.raises(ValueError, match="without API keys would let every web page"):
        create_app(nowhere, cors_origins=["*"])
    create_app(nowhere, cors_origins=["*"], keys={"wallet": ApiKey(KEY, scopes=["admin"])})
    with pytest.raises(ValueError, match="log_format must be one of text, json, not 'xml'"):
        create_app(nowhere, log_format="xml")


def test_a_request_is_a_span_below_that_of_its_client(api, spans, lines):
    provider, exporter = spans
    client = api(tracer_provider=provider, log_format="json", schemas={"a": {}}, subject="a")
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    client.post("/collect", json=[{}, {}], headers={"traceparent": f"00-{trace}-{parent}-01"})
    found = {span.name: span for span in exporter.get_finished_spans()}
    server = found["POST /collect"]
    assert (f"{server.context.trace_id:032x}", f"{server.parent.span_id:016x}", server.kind) == (
        *(trace, parent),
        SpanKind.SERVER,
    )
    assert server.attributes["http.response.status_code"] == 422  # no envelope
    assert found["parse"].parent.span_id == server.context.span_id
    assert found["store write"].parent.span_id == server.context.span_id
    check = found["schema check"]
    assert (check.parent.span_id, check.attributes["holded_pipeline.events"]) == (found["parse"].context.span_id, 2)
    assert check.end_time >= check.start_time
    assert [json.loads(line)["trace_id"] for line in lines if '"/collect"' in line] == [trace]
    client.app.state.service.archive = None
    client.get("/events")
    failed = exporter.get_finished_spans()[-1]
    assert (failed.name, failed.status.status_code, failed.status.description) == (
        *("GET /events", StatusCode.ERROR),
        "internal_error",
    )
    assert not failed.events


def test_opentelemetry_is_not_imported_without_the_option():
    for path in API.rglob("*.py"):
        assert not re.search(r"^(import|from) opentelemetry", path.read_text(encoding="utf-8"), re.MULTILINE), path


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/openapi.json"])
def test_head_is_get_without_a_body(api, path):
    client = api(keys={"wallet": ApiKey(KEY, scopes=["admin"])})
    headers = {"X-API-Key": KEY}
    assert client.head(path, headers=headers).status_code == client.get(path, headers=headers).status_code == 200
    assert "head" not in client.get("/openapi.json").json()["paths"].get(path, {})
