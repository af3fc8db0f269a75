"""Senders that load a running API, and note what it acknowledged."""

from __future__ import annotations

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
