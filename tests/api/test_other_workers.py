"""What workers share, in one process: questions over sockets, and counters in files."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

import attrs
import pytest
from prometheus_client import values

from holded_pipeline.api import Limits, create_app
from holded_pipeline.api import this_worker as places
from holded_pipeline.api.this_worker import Worker
from holded_pipeline.api.watching.metrics import Metrics
from holded_pipeline.api.watching.other_workers import OtherWorkers
from holded_pipeline.api.watching.shared_metrics import share_metrics


@pytest.fixture
def worker():
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # short, since the path of a Unix socket is
    yield Worker(0, 3, folder)
    shutil.rmtree(folder)


def test_workers_answer_each_other_and_one_that_is_gone_is_left_out(worker):
    recent = {"a": b'{"event_id":"a"}', "big": b"x" * 3_000_000}
    first = OtherWorkers(worker, {}.get, lambda: {"queue": 1.0})
    second = OtherWorkers(attrs.evolve(worker, number=1), recent.get, lambda: {"queue": 2.5})
    worker.socket_of(2).touch()  # of a worker that was killed

    async def ask():
        await first.open()
        await second.open()
        found = [await first.find_event(event_id) for event_id in ("a", "big", "no", "\n")], await first.gauges()
        await second.close()
        return *found, await first.find_event("a"), await first.close()

    lines, gauges, after, _ = asyncio.run(ask())
    assert lines == [recent["a"], recent["big"], None, None]
    assert gauges == [{"queue": 2.5}]
    assert after is None


def test_a_worker_counts_on_where_the_one_before_it_ended(worker, monkeypatch):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    texts = []
    for number in (0, 1, 0):
        place = attrs.evolve(worker, number=number)
        monkeypatch.setattr(places._Process, "worker", place)
        share_metrics(place)
        metrics = Metrics()
        metrics.add_gauge("queue_packages", "Packages", lambda: 4)
        metrics.count_accepted("wallet", 10)
        metrics.count_response("POST", "/collect", 202, 0.2)
        texts.append(metrics.text([{"holded_api_queue_packages": 2.0}]).decode())
    for count, text in enumerate(texts, 1):
        assert f'holded_api_events_total{{key="wallet",outcome="accepted"}} {count * 10.0}\n' in text
        assert f'holded_api_request_seconds_bucket{{le="0.25",route="/collect"}} {count:.1f}\n' in text
        assert "holded_api_queue_packages 6.0\n" in text
    assert len(list(worker.folder.glob("*.db"))) == 4  # two workers, each with counters and histograms


def test_a_worker_has_its_part_of_the_limits(worker, nowhere, monkeypatch):
    monkeypatch.setattr(places._Process, "worker", worker)
    limits = create_app(nowhere, limits=Limits(connections=90, rate="300/second")).state.service.limits
    assert (limits.connections, limits.rate) == (30, "100 per 1 second")
