"""Many objects are read at once while connections break, and while another server answers."""

from __future__ import annotations

import logging
import re

import attrs
import pytest

import holded_pipeline as hp
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.read_plan import Slice

BODIES = [bytes([number]) * 300 for number in range(60)]


@pytest.fixture
def slices(store):
    client = ObjectStore(store)
    written = [Slice(f"raw/{n}", client.write(f"raw/{n}", body), len(body)) for n, body in enumerate(BODIES)]
    client.close()
    return written


def page(status, body, more=""):
    head = f"HTTP/1.1 {status} Status\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


BREAKS = {
    "cut": "cut",
    "half": "half",
    "unavailable": page(503, b"<html/>"),
    "a page of the right size": page(200, bytes(300)),
    "a page of the right size, with an ETag": page(200, bytes(300), 'ETag: "0123"\r\n'),
    "too short": page(200, b""),
    "too short, with the ETag": page(200, b"x", 'ETag: "ETAG"\r\n'),
    "not found": page(404, b"<html/>"),
}


@pytest.mark.parametrize("what", BREAKS)
def test_what_breaks_is_read_again_and_nothing_else(store, cut_store, slices, what):
    lake, proxy = cut_store
    action = BREAKS[what]
    if isinstance(action, bytes):
        action = action.replace(b"ETAG", slices[7].etag.encode())
    breaks = proxy.once(rb"^GET /[^?]*/raw/(7|20|41) ", action, times=6)
    asked = []

    def count(data):
        asked.extend(re.findall(rb"GET /[^ ]*/raw/(\d+) ", data))
        return breaks(data)

    proxy.upward = count
    client = ObjectStore(lake)
    assert client.read_many(slices) == BODIES
    client.close()
    assert len(proxy.done) >= 3
    assert len(asked) < 2 * len(BODIES)


def test_an_outage_past_the_deadline_is_no_vanished_object(store, cut_store, slices, caplog):
    lake, proxy = cut_store
    caplog.set_level(logging.DEBUG, "holded_pipeline")
    proxy.upward = proxy.once(rb"^GET", "cut", times=10**9)
    client = ObjectStore(attrs.evolve(lake, retry=hp.Retry(0.5, first_wait=0.05)))
    with pytest.raises(hp.TransientError, match=r"did not answer within 0\.5 s"):
        client.read_many(slices)
    client.close()
    assert lake.secret_key.reveal() not in caplog.text
    assert "Signature=" not in caplog.text
