"""The API as a process of its own, killed and stopped under load: what it acknowledged is in the store."""

from __future__ import annotations

import contextlib
import signal
import threading
import time

import httpx


class Load:
    """Threads that send packages until the end of the block, and the event ids that were acknowledged."""

    def __init__(self, senders=6):
        self.acknowledged = set()
        self.statuses = set()
        self._url = ""
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(senders)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def to(self, url):
        self._url = url

    def wait_for(self, more):
        wanted, until = len(self.acknowledged) + more, time.monotonic() + 60
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < until, (len(self.acknowledged), self.statuses)
            time.sleep(0.01)

    def _send(self, number):
        with httpx.Client(timeout=30) as client:
            while not self._stop.is_set():
                events = [{"sender": number, "text": "x" * 200}] * (1 + number)
                try:
                    answer = client.post(f"{self._url}/collect", json=events)
                except (httpx.TransportError, httpx.UnsupportedProtocol):
                    self._stop.wait(0.05)
                    continue
                self.statuses.add(answer.status_code)
                if answer.status_code == 202:
                    self.acknowledged.update(each["event_id"] for each in answer.json()["accepted"])


def test_kill_9_under_load_loses_no_acknowledged_event(process, stored):
    following = process()
    with Load() as load:
        for _ in range(2):
            current, following = following, process()  # the next one starts while this one works
            current.wait_until_ready()
            load.to(current.url)
            load.wait_for(150)
            current.end(signal.SIGKILL)
    assert len(load.acknowledged) >= 300
    assert load.acknowledged <= stored.ids()
    assert load.statuses == {202}


def test_sigterm_under_load_stores_accepted_packages(process, stored):
    api = process("--max-wait", "0.3")
    api.wait_until_ready()
    with Load() as load:
        load.to(api.url)
        load.wait_for(50)
        assert api.end(signal.SIGTERM) in (0, -signal.SIGTERM)
    assert load.acknowledged <= stored.ids()
    assert load.statuses <= {202, 503}
    with contextlib.suppress(httpx.TransportError):
        raise AssertionError(httpx.get(f"{api.url}/health").text)
