"""The API in processes that are forked from one that has imported everything, so that a start costs next to nothing."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from pathlib import Path
from typing import Any

import httpx
from preloaded import PRELOADED

import holded_pipeline as hp
from holded_pipeline.local.ports import free_ports

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(PRELOADED)


def serve_with_spool(lake: dict[str, Any], folder: Path, port: int) -> None:
    """Serves the API over a store, with a spool and without keys."""
    from holded_pipeline.api import Limits, Spool, Writing, create_app, serve  # noqa: PLC0415  imported in the fork

    app = create_app(
        hp.MinIO(**lake), spool=Spool(folder, after=1), limits=Limits(rate=None), writing=Writing(max_wait=0)
    )
    serve(app, port=port, log_level="critical")


class ForkedAPI:
    """The API with a spool in a process of its own."""

    def __init__(self, lake: hp.MinIO, folder: Path) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        names = ("endpoint", "bucket", "access_key")
        store = {name: getattr(lake, name) for name in names} | {"secret_key": lake.secret_key.reveal()}
        self._process = _FORKS.Process(target=serve_with_spool, args=(store, folder, port), daemon=True)
        self._process.start()

    def wait_until_ready(self) -> None:
        """Returns when it accepts events."""
        until = time.monotonic() + 120
        with httpx.Client(timeout=5) as client:
            while time.monotonic() < until:
                assert self._process.is_alive()
                with contextlib.suppress(httpx.TransportError):
                    if client.get(f"{self.url}/ready").is_success:
                        return
                time.sleep(0.02)
        raise AssertionError(f"{self.url} is not ready")

    def kill(self) -> None:
        """Kills it, as kill -9 does."""
        self._process.kill()
        self._process.join(30)
        assert self._process.exitcode == -signal.SIGKILL

    def stop(self) -> None:
        """Ends it with SIGTERM, if it runs."""
        self._process.terminate()
        self._process.join(30)
        assert self._process.exitcode is not None
