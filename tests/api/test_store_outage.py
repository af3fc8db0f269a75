"""A slow or stopped store: a bounded wait and a 503, never an acknowledgement without a stored event."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest
from stalling_proxy import Proxy

from holded_pipeline.api import Writing
from holded_pipeline.api.service import Readiness

SHORT = Writing(max_wait=0.01, store_seconds=2.0, queue_bytes=4_000, retry_after=2)


@pytest.fixture
def proxy(lake):
    running = Proxy(lake.endpoint)
    yield running
    running.close()


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_store_that_hangs_is_answered_with_503_in_bounded_time_and_memory(api, lake, proxy, stored):
    client = api(lake=attrs.evolve(lake, endpoint=proxy.endpoint), writing=SHORT)
    first = client.post("/collect", json={"n": "before"})
    assert first.status_code == 202
    service = client.app.state.service
    proxy.flow.clear()
    began = time.monotonic()
    with ThreadPoolExecutor(20) as senders:
        answers = list(senders.map(lambda n: client.post("/collect", json={"n": n, "text": "x" * 1_000}), range(60)))
    assert time.monotonic() - began < 30
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.headers["Retry-After"] for answer in answers} == {"2"}
    assert {answer.json()["code"] for answer in answers} == {"store_unavailable", "busy"}
    assert sum(queue.waiting_bytes for queue in service._queues) <= SHORT.queue_bytes
    assert service.memory.held == 0
    proxy.flow.set()
    until(lambda: client.post("/collect", json={"n": "after"}).status_code == 202)
    assert first.json()["accepted"][0]["event_id"] in stored.ids()


def test_a_slow_store_that_answers_in_time_is_no_failure(api, lake, proxy, stored):
    client = api(lake=attrs.evolve(lake, endpoint=proxy.endpoint))
    assert client.post("/collect", json={"n": 0}).status_code == 202
    proxy.flow.clear()
    with ThreadPoolExecutor(1) as sender:
        sent = sender.submit(client.post, "/collect", json={"n": 1})
        until(lambda: client.app.state.service.memory.held > 0)
        assert not sent.done()
        proxy.flow.set()
        assert sent.result(30).status_code == 202
    assert sent.result().json()["accepted"][0]["event_id"] in stored.ids()


def test_a_store_that_is_stopped_and_started_again(api, own):
    client = api(lake=own.new_bucket(), writing=SHORT)
    until(lambda: client.post("/collect", json={}).status_code == 202)  # a new store is not ready at once
    acknowledged = {client.post("/collect", json={}).json()["accepted"][0]["event_id"]}
    own.stop_minio("crash")
    assert client.get("/ready").status_code == 503
    assert client.get("/health").status_code == 200
    assert client.get("/events").status_code == 503
    answer = client.post("/collect", json={})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    # The sender may get its 503 before the write gives up.
    until(lambda: 'holded_api_store_errors_total{kind="no_answer"}' in client.get("/metrics").text)
    own.start_minio()
    until(lambda: client.get("/ready").status_code == 200)
    until(lambda: client.post("/collect", json={}).status_code == 202)
    found = {event["event_id"] for event in client.get("/events").json()["events"]}
    assert acknowledged <= found


def test_a_check_that_fails_after_its_request_ended_is_not_logged(caplog):
    answer = threading.Event()

    def check():
        answer.wait(20)
        raise ConnectionError("no whole answer")

    async def check_briefly():
        readiness = Readiness(check)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(readiness.check(), 0.05)
        answer.set()
        await asyncio.wait([readiness._result], timeout=20)
        readiness.close()

    asyncio.run(check_briefly())
    gc.collect()
    assert "never retrieved" not in caplog.text
