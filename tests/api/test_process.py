"""The API as a process of its own, killed and stopped under load: what it acknowledged is in the store."""

from __future__ import annotations

import contextlib
import signal

import httpx
import pytest
from api_load import Load
from fastapi import FastAPI

import holded_pipeline as hp
from holded_pipeline.api import serve


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


def test_serve_says_what_it_takes():
    with pytest.raises(hp.ConfigurationError, match="what create_app returned"):
        serve(FastAPI())
