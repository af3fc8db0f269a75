"""A store that is slow, loses answers or denies access, connections that break, and gateways in its place."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import attrs
import botocore.auth
import pytest

import holded_pipeline as hp
from holded_pipeline import local
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.read_plan import Slice

GET, PUT, LIST = rb"^GET /[^ ]*/raw/", rb"^PUT /[^ ]*/enriched/", rb"^GET [^ ]*list-type"
BODY = bytes(range(256)) * 8_000


def answer(status, code):
    return page(status, f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>the message</Message></Error>", "xml")


def page(status, body, kind="html", more=""):
    """The answer of a gateway in the store's place."""
    head = f"HTTP/1.1 {status} Status\r\nContent-Type: text/{kind}\r\nContent-Length: {len(body)}\r\n{more}"
    return f"{head}Connection: close\r\n\r\n{body}".encode()


@pytest.mark.parametrize("action", ["cut", "half"])
@pytest.mark.parametrize("direction", ["upward", "downward"])
def test_a_read_that_breaks_off_is_retried(store, cut_store, direction, action):
    lake, proxy = cut_store
    client = ObjectStore(lake)
    etag = ObjectStore(store).write("k", BODY)
    setattr(proxy, direction, proxy.once(b".", action))
    assert client.read(Slice("k", etag, len(BODY))) == BODY
    assert proxy.done
    client.close()


@pytest.mark.parametrize("body", [BODY, BODY * 3], ids=["2 MB", "6 MB, sent as a file"])
@pytest.mark.parametrize("action", ["cut", "half", "deaf"])
def test_a_write_that_breaks_off_leaves_one_whole_object(store, cut_store, action, body):
    """Also if the store has the object and only its answer was lost."""
    lake, proxy = cut_store
    client = ObjectStore(lake)
    proxy.upward = proxy.once(rb"\x00\x01\x02" if action != "deaf" else rb"\xfe\xff$", action)
    client.write("k", body)
    client.close()
    assert proxy.done
    assert store.filesystem().find(store.bucket) == [f"{store.bucket}/k"]
    assert store.filesystem().cat(f"{store.bucket}/k") == body


def test_connections_cut_in_the_middle_of_a_run_change_nothing(accounts, flow, cut_store, database):
    lake, proxy = cut_store
    proxy.upward = proxy.at_each(dict.fromkeys((GET, PUT), "half"), times=3)
    counts = flow(lake, database, "r1")
    assert set(proxy.done) == {GET, PUT}
    assert counts["write.inserted"] == len(accounts.good)
    accounts.assert_complete()


@pytest.mark.parametrize(
    ("status", "code"),
    [(500, "InternalError"), (502, "BadGateway"), (503, "SlowDown"), (503, "ServiceUnavailable"), (429, "Throttling"),
     (408, "RequestTimeout"), (400, "RequestTimeout"), (400, "BadDigest"), (400, "IncompleteBody"),
     (507, "XMinioStorageFull"), (509, "BandwidthLimitExceeded"), (598, "Odd")],
)  # fmt: skip
def test_a_temporary_error_of_the_store_is_retried(store, cut_store, status, code):
    lake, proxy = cut_store
    etag = ObjectStore(store).write("k", BODY)
    client = ObjectStore(lake)
    proxy.upward = proxy.once(rb"^GET", answer(status, code), times=3)
    assert client.read(Slice("k", etag, len(BODY))) == BODY
    assert len(proxy.done) == 3
    client.close()


def test_a_call_that_the_store_does_not_support_is_no_outage(cut_store):
    lake, proxy = cut_store
    client = ObjectStore(lake)
    proxy.upward = proxy.once(rb"^PUT", answer(501, "NotImplemented"), times=10**9)
    with pytest.raises(hp.ConfigurationError, match="NotImplemented"):
        client.write("k", BODY)
    client.close()


HTML = "<html><body>default backend</body></html>"
NOT_A_STORE = {
    "not found": page(404, HTML),
    "not found, with an empty body": page(404, ""),
    "forbidden": page(403, HTML),
    "precondition failed": page(412, HTML),
    "moved": page(302, HTML, more="Location: https://login.test/\r\n"),
    "locked": page(423, ""),
    "bad gateway": page(502, HTML),
    "origin is down": page(522, HTML),
    "no such method": page(501, HTML),
    "maintenance": page(200, HTML),
    "maintenance, in bad XML": page(200, "<html><br>maintenance"),
    "maintenance, with an empty body": page(200, ""),
    "maintenance, with an ETag": page(200, HTML, more='ETag: W/"29-abc"\r\n'),
    "a page as long as the object": page(200, "x" * 3),
    "a listing that breaks off": page(200, "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"),
}
CALLS = {
    "write": (rb"^PUT", lambda client, _: client.write("k", b"abc")),
    "read": (rb"^GET /[^?]*/k", lambda client, etag: client.read(Slice("k", etag, 3))),
    "read_many": (rb"^GET /[^?]*/k", lambda client, etag: client.read_many([Slice("k", etag, 3)])),
    "list": (rb"^GET [^ ]*list-type", lambda client, _: [each.key for each in client.objects("")]),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("what", NOT_A_STORE)
def test_an_answer_of_another_server_is_an_outage(store, cut_store, what, call):
    """It is retried: the object is not missing, the bucket not empty, the object not stored."""
    lake, proxy = cut_store
    etag = ObjectStore(store).write("k", b"abc")
    pattern, work = CALLS[call]
    client = ObjectStore(lake)
    proxy.upward = proxy.once(pattern, NOT_A_STORE[what])
    assert work(client, etag) == work(ObjectStore(store), etag)
    assert len(proxy.done) == 1
    client.close()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("what", ["not found", "maintenance"])
def test_an_answer_of_another_server_is_reported_past_the_deadline(store, cut_store, what, call):
    lake, proxy = cut_store
    etag = ObjectStore(store).write("k", b"abc")
    pattern, work = CALLS[call]
    client = ObjectStore(attrs.evolve(lake, retry=hp.Retry(0.3, first_wait=0.05)))
    proxy.upward = proxy.once(pattern, NOT_A_STORE[what], times=10**9)
    words = r"HTTP (200|404) \(text/html\) .* the endpoint is not an S3 server, or a proxy answered|41 bytes of k came"
    with pytest.raises(hp.TransientError, match=words):
        work(client, etag)
    client.close()


def test_a_readiness_check_fails_for_a_web_page(cut_store):
    lake, proxy = cut_store
    client = ObjectStore(lake)
    proxy.upward = proxy.once(rb"^GET", NOT_A_STORE["maintenance"])
    with pytest.raises(Exception, match="the endpoint is not an S3 server, or a proxy answered"):
        client.check()
    client.check()
    client.close()


def test_a_missing_object_raises_object_vanished(store):
    client = ObjectStore(store)
    etag = client.write("k", b"abc")
    for gone in (Slice("nothing", etag, 3), Slice("k", "0" * 32, 3), Slice("k", etag, 30, 10, 20)):
        with pytest.raises(hp.ObjectVanishedError):
            client.read(gone)
    client.close()


@pytest.mark.parametrize("what", ["not found", "maintenance"])
def test_answers_of_a_gateway_change_no_run(accounts, flow, cut_store, database, what):
    lake, proxy = cut_store
    proxy.upward = proxy.at_each(dict.fromkeys((LIST, GET, PUT), NOT_A_STORE[what]), times=3)
    counts = flow(lake, database, "r1")
    assert set(proxy.done) == {LIST, GET, PUT}
    assert counts["write.inserted"] == len(accounts.good)
    accounts.assert_complete()


def test_an_outage_past_the_deadline_names_store_and_cause(store, cut_store):
    lake, proxy = cut_store
    etag = ObjectStore(store).write("k", BODY)
    client = ObjectStore(attrs.evolve(lake, timeout=10, retry=hp.Retry(0.5, first_wait=0.05)))
    proxy.upward = proxy.once(rb"^GET", answer(503, "SlowDown"), times=10**9)
    with pytest.raises(hp.TransientError, match=rf"object store {lake.endpoint} .* 0\.5 s.*SlowDown"):
        client.read(Slice("k", etag, len(BODY)))
    client.close()


@pytest.mark.parametrize("direction", ["upward", "downward"])
def test_a_store_that_stops_answering_fails_at_the_deadline(store, cut_store, direction):
    lake, proxy = cut_store
    etag = ObjectStore(store).write("k", BODY)
    client = ObjectStore(attrs.evolve(lake, timeout=1, retry=hp.Retry(1, first_wait=0.05)))
    setattr(proxy, direction, proxy.once(b".", proxy.go_silent))
    began = time.monotonic()
    with pytest.raises(hp.TransientError, match="did not answer within 1 s"):
        client.read(Slice("k", etag, len(BODY)))
    assert time.monotonic() - began < 20  # forever, otherwise
    client.close()


def test_a_store_that_answers_byte_by_byte_fails_at_the_deadline(store, cut_store):
    """Each byte arrives before the timeout of a read."""
    lake, proxy = cut_store
    client = ObjectStore(attrs.evolve(lake, timeout=1, retry=hp.Retry(1, first_wait=0.05)))

    def drip(_):
        time.sleep(0.4)
        return "pass"

    proxy.downward = drip
    big = ObjectStore(store).write("big", BODY * 20)
    with pytest.raises(hp.TransientError, match="no whole answer in 1"):
        client.read(Slice("big", big, len(BODY) * 20))
    client.close()


@pytest.fixture(scope="module")
def guarded():
    """A store with a key that may only read, and its bucket."""
    with local.stack() as first:
        identities = first.folder / "minio" / "identities.json"
        known = json.loads(identities.read_text())
        keys = [{"accessKey": "reader", "secretKey": "reads-only-0123456789"}]
        known["identities"].append({"name": "reader", "credentials": keys, "actions": ["Read", "List"]})
        identities.write_text(json.dumps(known))
        first.stop_minio()
        first.start_minio()
        yield attrs.evolve(first.minio, retry=hp.Retry(30))


WRONG = {
    "NoSuchBucket; create the bucket": {"bucket": "no-such-bucket"},
    "SignatureDoesNotMatch; check secret_key": {"secret_key": "wrong-0123456789"},
    "InvalidAccessKeyId; check access_key": {"access_key": "nobody"},
    "AccessDenied; grant the key": {"access_key": "reader", "secret_key": "reads-only-0123456789"},
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_setting_fails_at_once(guarded, words):
    client = ObjectStore(attrs.evolve(guarded, **WRONG[words]))
    began = time.monotonic()
    with pytest.raises(hp.ConfigurationError, match=words) as error:
        client.write("k", BODY)
    assert time.monotonic() - began < 20  # and is not retried for the 30 s of an outage
    assert "0123456789" not in str(error.value)
    client.close()


def test_a_wrong_clock_is_reported(guarded, monkeypatch):
    wrong = datetime.now(UTC) - timedelta(hours=2)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda **_: wrong.replace(tzinfo=None))
    client = ObjectStore(guarded)
    with pytest.raises(hp.ConfigurationError, match="RequestTimeTooSkewed; set this machine's clock"):
        client.write("k", BODY)
    client.close()


def test_events_in_the_objects_of_two_runs_can_be_read_once(accounts, flow, store, database, cut_postgres):
    """A run that fails after its objects were stored leaves them; the next one stores the events again."""
    db, proxy = cut_postgres
    hp.migrate(database)

    def cut_once_objects_are_there(data):
        return "cut" if b"COMMIT\x00" in data and accounts.documents("enriched/") else "pass"

    proxy.upward = cut_once_objects_are_there
    with pytest.raises(hp.TransientError):
        flow(store, attrs.evolve(db, retry=hp.Retry(0.3, first_wait=0.05)), "r1", object_bytes=5_000)
    flow(store, database, "r2")
    accounts.assert_complete()
    found = accounts.documents("enriched/")
    of_run = {run: {key: found[key] for key in found if f"/{run}-" in key} for run in ("r1", "r2")}
    assert of_run["r1"]
    assert set(found) == set(of_run["r1"]) | set(of_run["r2"])
    ids = [each["id"] for documents in of_run["r2"].values() for each in documents]
    assert sorted(ids) == sorted({*ids})
    assert set(ids) >= accounts.good
