"""The app mounted in another app."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from fastapi import FastAPI
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.testclient import TestClient

import holded_pipeline as hp
from holded_pipeline.api import create_app


def client_of(mounted, lifespan=None):
    parent = FastAPI(lifespan=lifespan)
    parent.mount("/ingest", mounted)
    return TestClient(parent, client=("127.0.0.1", 1), base_url="http://localhost", raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/collect"),
        ("GET", "/events"),
        ("GET", "/events/x?date=2026-01-01"),
        ("GET", "/ready"),
        ("GET", "/metrics"),
    ],
)
def test_without_its_lifespan_the_answer_and_the_log_say_what_to_do(nowhere, caplog, method, path):
    with client_of(create_app(nowhere)) as client:
        answer = client.request(method, f"/ingest{path}", headers={"Content-Type": "application/json"}, content="{}")
    assert (answer.status_code, answer.json()["code"]) == (500, "not_started")
    assert "run it in that of the application around it" in answer.json()["detail"]
    assert "the lifespan of the ingestion API does not run" in caplog.text
    assert "app.router.lifespan_context(app)" in caplog.text


def test_mounted_with_its_lifespan_the_app_accepts_events(lake):
    app = create_app(lake)

    @contextlib.asynccontextmanager
    async def lifespan(_):
        async with app.router.lifespan_context(app):
            yield

    with client_of(app, lifespan) as client:
        assert client.post("/ingest/collect", json=hp.testing.sample_documents(2)).status_code == 202
        assert len(client.get("/ingest/events").json()["events"]) == 2


def test_a_client_that_disconnects_is_no_error_of_middleware_around_the_app(nowhere):
    app, parent, sent = create_app(nowhere), FastAPI(), []
    parent.mount("/ingest", app)
    parent.add_middleware(BaseHTTPMiddleware, dispatch=lambda request, call_next: call_next(request))
    arriving = [{"type": "http.request", "body": b"[", "more_body": True}, {"type": "http.disconnect"}]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/ingest/collect",
        "query_string": b"",
        "client": ("127.0.0.1", 1),
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
    }

    async def receive():
        return arriving.pop(0) if len(arriving) > 1 else arriving[0]

    async def send(message):
        sent.append(message)

    async def request():
        async with app.router.lifespan_context(app):
            await parent(scope, receive, send)

    asyncio.run(request())
    assert sent[0]["status"] == 499
