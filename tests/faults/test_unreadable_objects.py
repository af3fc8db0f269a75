"""Objects that are listed, but that the store does not give out: archived, encrypted, not granted."""

from __future__ import annotations

import json
import re

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from store_contents import put_object

import holded_pipeline as hp
from holded_pipeline.rejected.rejections import from_document

LINES = hp.testing.sample_lines(hp.testing.sample_events(20))
LARGE = LINES * 400  # more than one chunk
REFUSALS = {
    "archived": (403, "InvalidObjectState", "The operation is not valid for the object's storage class"),
    "KMS": (403, "AccessDenied", "User is not authorized to perform: kms:Decrypt on this resource"),
    "KMS, disabled": (400, "KMS.DisabledException", "The key is disabled"),
    "SSE-C": (400, "InvalidRequest", "The object was stored using a form of Server Side Encryption"),
    "another": (403, "ObjectTampered", "The requested object was modified"),
}
RUN_FAILS = {
    "wrong key": (403, "SignatureDoesNotMatch", "The signature does not match"),
    "expired": (400, "ExpiredToken", "The provided token has expired"),
    "no bucket": (404, "NoSuchBucket", "The specified bucket does not exist"),
}


def answer(status, code, message):
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    head = f"HTTP/1.1 {status} Status\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n{body}".encode()


def refuse(proxy, refusals):
    """Objects are refused by their keys."""
    answers = {rb"^GET /[^ ]*/%s[? ]" % re.escape(key.encode()): answer(*each) for key, each in refusals.items()}
    proxy.upward = proxy.at_each(answers, times=10**9)


def read(lake, **settings):
    """Reads raw/ and returns the counters; what passed and what was rejected is in the store."""
    p = beam.Pipeline(runner="FnApiRunner", options=PipelineOptions([]))
    raw = p | hp.ReadMinIO(lake, "raw/", **settings)
    _ = raw.rejected | hp.WriteRejected(lake, "rejected/", compression=None)
    result = p.run()
    result.wait_until_finish()
    return {each.key.metric.name: each.result for each in result.metrics().query()["counters"]}


def rejections(store):
    keys = store.filesystem().find(f"{store.bucket}/rejected/")
    return [from_document(json.loads(line)) for key in keys for line in store.filesystem().cat(key).splitlines()]


@pytest.mark.parametrize(
    ("refusal", "size"),
    [*((each, LINES) for each in REFUSALS.values()), (REFUSALS["KMS"], LARGE)],
    ids=[*REFUSALS, "KMS, streamed"],
)
def test_the_error_names_the_object_and_says_what_the_store_said(store, cut_store, refusal, size):
    lake, proxy = cut_store
    put_object(store, "raw/b.jsonl", size)
    refuse(proxy, {"raw/b.jsonl": refusal})
    _, code, message = refusal
    with pytest.raises(hp.ObjectUnreadableError) as caught:
        read(lake)
    for part in (f"{store.bucket}/raw/b.jsonl", code, message, 'on_unreadable="reject"'):
        assert part in str(caught.value)


def test_by_option_each_is_one_rejection_and_the_others_are_read(store, cut_store):
    lake, proxy = cut_store
    refused = {}
    for refusal in REFUSALS.values():
        for name, body in (("small", LINES), ("streamed", LARGE)):
            key = f"raw/b-{refusal[1]}-{name}.jsonl"
            put_object(store, key, body)
            refused[key] = refusal
    for key in ("raw/a.jsonl", "raw/c.jsonl"):
        put_object(store, key, LINES)
    refuse(proxy, refused)
    counters = read(lake, on_unreadable="reject", unit_bytes=1 << 20)
    assert counters["read.passed"] == 40
    rejected = {each.source.key: each for each in rejections(store)}
    assert (len(rejections(store)), rejected.keys()) == (len(refused), refused.keys())
    for key, each in rejected.items():
        assert (each.reason, each.payload_kind, each.raw) == ("object_unreadable", "nothing", b"")
        assert each.source.line == 1
        assert refused[key][2] in each.message


@pytest.mark.parametrize("refusal", RUN_FAILS.values(), ids=RUN_FAILS)
def test_what_is_wrong_for_every_object_is_no_rejection(store, cut_store, refusal):
    lake, proxy = cut_store
    put_object(store, "raw/b.jsonl", LINES)
    refuse(proxy, {"raw/b.jsonl": refusal})
    with pytest.raises(hp.ConfigurationError, match=refusal[1]) as caught:
        read(lake, on_unreadable="reject")
    assert not isinstance(caught.value, hp.ObjectUnreadableError)
