"""A group waits for those who may send soon, and for nobody else."""

from __future__ import annotations

import asyncio
import time

import httpx

from holded_pipeline.api import Writing, create_app
from holded_pipeline.api.collecting.senders import Senders

LONG = Writing(max_wait=30.0, store_seconds=60.0)


def test_a_lone_sender_does_not_wait_for_others(api):
    client = api(writing=LONG)
    started = time.monotonic()
    for number in range(5):
        assert client.post("/collect", json={"number": number}).status_code == 202
    assert time.monotonic() - started < LONG.max_wait / 2


def test_senders_at_one_time_are_written_together(lake, stored):
    async def send_all() -> None:
        app = create_app(lake, writing=LONG)
        async with app.router.lifespan_context(app):
            transports = [httpx.ASGITransport(app, client=("127.0.0.1", 1_000 + number)) for number in range(16)]
            clients = [httpx.AsyncClient(transport=each, base_url="http://localhost") for each in transports]
            for round_ in range(3):
                packages = (each.post("/collect", json={"round": round_, "n": n}) for n, each in enumerate(clients))
                assert {answer.status_code for answer in await asyncio.gather(*packages)} == {202}

    asyncio.run(send_all())

    assert len(stored.lines()) == 48
    assert len(stored.keys()) == 3  # one object a round: nobody is written alone, nobody waits for 30 s


def test_who_was_answered_is_expected_for_a_while():
    senders = Senders(0.05)
    with senders.sending("a"):
        assert not senders.may_send(waiting=1)
        with senders.sending("b"):
            assert senders.may_send(waiting=1)
        assert senders.may_send(waiting=1)
        time.sleep(0.1)
        assert not senders.may_send(waiting=1)


def test_senders_that_store_nothing_are_forgotten_too():
    senders = Senders(0.0)
    for number in range(100):
        with senders.sending(number):
            pass
    assert len(senders._answered) <= 1
