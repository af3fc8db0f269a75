"""Servers that stop, and connections that break: a proxy between a client and a real server."""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

import apache_beam as beam
import attrs
import pytest
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from shared_flow import plain_facts
from sqlalchemy.engine import make_url
from store_contents import objects_below, put_object
from table_contents import rows_of

import holded_pipeline as hp
from holded_pipeline.rejected.rejections import from_document

PASS, CUT, HALF, DEAF = "pass", "cut", "half", "deaf"
"""What the proxy does with bytes: forwards them; cuts the connection instead; cuts it after half of them; forwards
them, but cuts the connection as soon as the other side has answered."""

Hook = Callable[[bytes], "str | bytes"]


class Proxy:
    """Forwards one port to another; the hooks `upward` and `downward` decide what it does with the bytes.

    A hook may return bytes as well: they are sent to the client in the server's place, and the connection is cut.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self.upward: Hook = lambda _: PASS
        self.downward: Hook = lambda _: PASS
        self.silent = threading.Event()  # set: nothing is forwarded any more, and nothing closed
        self.done: list[str | bytes] = []
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def once(self, pattern: bytes, action: str | bytes | Callable[[], str | bytes], *, times: int = 1) -> Hook:
        """A hook that acts on the first bytes that match a pattern; `done` lists how often it acted."""
        matches = re.compile(pattern, re.DOTALL).search
        lock = threading.Lock()

        def hook(data: bytes) -> str | bytes:
            with lock:
                if len(self.done) >= times or not matches(data):
                    return PASS
                self.done.append("acted")
            return action() if callable(action) else action

        return hook

    def at_each(self, actions: Mapping[bytes, str | bytes | Callable[[], str | bytes]], *, times: int = 1) -> Hook:
        """A hook with an action for each of several patterns; `done` lists the patterns that it acted on."""
        lock = threading.Lock()

        def hook(data: bytes) -> str | bytes:
            with lock:
                matching = (each for each in actions if re.search(each, data, re.DOTALL))
                pattern = next((each for each in matching if self.done.count(each) < times), None)
                if pattern is None:
                    return PASS
                self.done.append(pattern)
            action = actions[pattern]
            return action() if callable(action) else action

        return hook

    def go_silent(self) -> str:
        self.silent.set()
        return PASS

    def close(self) -> None:
        self._listener.close()
        for each in list(self._open):
            _end(each)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            _end(client)
            return
        self._open |= {client, server}
        deaf = threading.Event()
        up = threading.Thread(target=self._pump, args=(client, server, "upward", deaf), daemon=True)
        up.start()
        self._pump(server, client, "downward", deaf)
        up.join()
        self._open -= {client, server}
        client.close()
        server.close()

    def _pump(self, source: socket.socket, target: socket.socket, way: str, deaf: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if way == "downward" and deaf.is_set():
                    break
                action = getattr(self, way)(data)
                if self.silent.is_set():
                    continue
                if isinstance(action, bytes):
                    source.sendall(action)
                    break
                if action == CUT:
                    break
                if action == DEAF:
                    deaf.set()
                target.sendall(data[: len(data) // 2] if action == HALF else data)
                if action == HALF:
                    break
        _end(source)
        _end(target)


def _end(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def store(stack):
    return stack.new_bucket()


@pytest.fixture
def database(stack):
    return stack.new_database()


@pytest.fixture(scope="session")
def plain(stack):
    """What one plain run of the shared flow leaves."""
    return plain_facts(stack.new_bucket(), stack.new_database())


@pytest.fixture
def proxy_to() -> Iterator[Callable[[int], Proxy]]:
    made: list[Proxy] = []

    def make(port: int) -> Proxy:
        made.append(Proxy(port))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def cut_postgres(database, proxy_to):
    """A database behind a proxy, with a short deadline, and the proxy."""
    url = make_url(database.url)
    proxy = proxy_to(url.port)
    there = url.set(port=proxy.port).render_as_string()
    return hp.Postgres(there, password=database.password, connect_timeout=2, retry=hp.Retry(8, first_wait=0.05)), proxy


@pytest.fixture
def cut_store(store, proxy_to):
    """A store behind a proxy, with a short deadline, and the proxy."""
    proxy = proxy_to(urlsplit(store.endpoint).port)
    there = attrs.evolve(
        store, endpoint=f"http://127.0.0.1:{proxy.port}", timeout=2, retry=hp.Retry(10, first_wait=0.05)
    )
    return there, proxy


@pytest.fixture
def query():
    return rows_of


@pytest.fixture
def flow():
    """`flow(lake, db, run_id)` runs the main flow over `raw/` and returns its counters."""

    def run(lake, db, run_id, *, object_bytes=32 << 20):
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
        p = beam.Pipeline(runner="FnApiRunner", options=PipelineOptions([f"--run_id={run_id}"]))
        raw = p | hp.ReadMinIO(lake, "raw/")
        enriched = raw.passed | hp.Enrich("processing", "business_context", "quality")
        _ = enriched.passed | hp.WriteMinIO(lake, "enriched/", object_bytes=object_bytes)
        loaded = enriched.passed | hp.WritePostgres(db, batch_rows=150)
        _ = (raw.rejected, enriched.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
        result = p.run()
        result.wait_until_finish()
        counted = {}
        for metric in result.metrics().query(MetricsFilter().with_namespace("holded_pipeline"))["counters"]:
            counted[metric.key.metric.name] = counted.get(metric.key.metric.name, 0) + metric.result
        return counted

    return run


@pytest.fixture
def samples(store):
    """600 sample records below `raw/`, some of them faulty."""
    records = hp.testing.sample_events(600, seed=5, faults=0.05)
    per_object = 200
    for start in range(0, len(records), per_object):
        put_object(store, f"raw/{start}.jsonl", hp.testing.sample_lines(records[start : start + per_object]))
    return records


class StoredResults:
    """Compares the store and the database with what was sent."""

    def __init__(self, store, database, samples, query) -> None:
        self._store, self._database, self._query = store, database, query
        read_faults = {"read", "write"}  # without a schema, records that only a schema rejects pass
        self.faulty = {s.line for s in samples if s.fault and s.fault.stage in read_faults}
        self.good = {s.event_id for s in samples if not (s.fault and s.fault.stage in read_faults)}

    def documents(self, prefix):
        """The JSON values of each object below a prefix, by key; fails if an object is not whole."""
        return {
            key: [json.loads(line) for line in gzip.decompress(body).splitlines()]
            for key, body in objects_below(self._store, prefix).items()
        }

    def rejected(self):
        return [from_document(each).raw for found in self.documents("rejected/").values() for each in found]

    def assert_only_faulty_rejected(self):
        self.documents("enriched/")
        assert set(self.rejected()) <= self.faulty

    def assert_complete(self):
        self.assert_only_faulty_rejected()
        assert set(self.rejected()) == self.faulty
        rows = [each for (each,) in self._query(self._database, "SELECT event_id FROM business_events")]
        assert sorted(rows) == sorted(self.good)
        assert {each["id"] for found in self.documents("enriched/").values() for each in found} >= self.good
        assert hp.verify_analytics(self._database) == []

    def all_tables(self):
        """The rows of every table that a run changes."""
        tables = ("business_events", "company_analytics", "event_type_summaries", "event_type_companies")
        return [sorted(map(str, self._query(self._database, f"SELECT * FROM {table}"))) for table in tables]


@pytest.fixture
def accounts(store, database, samples, query):
    return StoredResults(store, database, samples, query)
