"""The app in this process or in its own, on a real store, and the content of the store."""

from __future__ import annotations

import contextlib
import gzip
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
from preloaded import Program
from starlette.testclient import TestClient
from store_contents import documents_below, objects_below

import holded_pipeline as hp
from holded_pipeline import local
from holded_pipeline.api import create_app
from holded_pipeline.local.ports import free_ports

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@attrs.frozen
class BucketContent:
    """The objects of a bucket."""

    lake: hp.MinIO

    def keys(self, prefix: str = "raw/") -> list[str]:
        return sorted(objects_below(self.lake, prefix))

    def lines(self, prefix: str = "raw/") -> list[bytes]:
        objects = sorted(objects_below(self.lake, prefix).items())
        bodies = [gzip.decompress(body) if key.endswith(".gz") else body for key, body in objects]
        return [line for body in bodies for line in body.splitlines()]

    def documents(self, prefix: str = "raw/") -> list[dict[str, Any]]:
        return documents_below(self.lake, prefix)

    def ids(self) -> set[str]:
        return {document["event_id"] for document in self.documents()}


@pytest.fixture(scope="session")
def nowhere() -> hp.MinIO:
    """A store that does not exist, for requests that must not reach one."""
    return hp.MinIO("http://127.0.0.1:1", bucket="b", access_key="a", secret_key="s")


@pytest.fixture(scope="session")
def own() -> Iterator[local.Stack]:
    """A stack whose store is stopped by tests, and started again."""
    with local.stack() as running:
        yield running


@pytest.fixture
def stored(lake: hp.MinIO) -> BucketContent:
    return BucketContent(lake)


@pytest.fixture
def api(request: pytest.FixtureRequest) -> Iterator[Callable[..., TestClient]]:
    """`api(**settings)`: a client of an app whose lifespan has begun, over a bucket of its own if none is given."""
    with contextlib.ExitStack() as closing:

        def started(*, client: str = "127.0.0.1", **settings: Any) -> TestClient:
            lake = settings.pop("lake", None) or request.getfixturevalue("lake")
            app = create_app(lake, **settings)
            return closing.enter_context(TestClient(app, client=(client, 1), raise_server_exceptions=False))

        yield started


class Process:
    """The API as a process of its own."""

    def __init__(self, lake: hp.MinIO, log: Path, *arguments: str) -> None:
        self.port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        words = [EXAMPLES / "collect_api.py", "--port", self.port, "--no-keys"]
        words += ["--minio", lake.endpoint, "--bucket", lake.bucket, "--access-key", lake.access_key]
        env = {name: value for name, value in os.environ.items() if not name.startswith("HOLDED_API_KEY")}
        env["MINIO_SECRET_KEY"] = lake.secret_key.reveal()
        self.process = Program([*words, "--rate", "none", *arguments], (log, log), env=env)
        self._log = log

    def wait_until_ready(self) -> None:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            assert self.process.poll() is None, self._log.read_text()
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/ready", timeout=5).is_success:
                    return
            time.sleep(0.05)
        raise AssertionError(self._log.read_text())

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(60)


@pytest.fixture
def process(lake: hp.MinIO, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """`process(*arguments)`: the API as a process of its own, not yet ready."""
    started: list[Process] = []

    def start(*arguments: str) -> Process:
        started.append(Process(lake, tmp_path / "api.log", *arguments))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()
