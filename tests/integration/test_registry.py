"""SchemaRegistry and ValidateSchema against the registry that HOLDED_TEST_REGISTRY names."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import apache_beam as beam
import pytest
import requests
from registry_server import RegistryServer

import holded_pipeline as hp
from holded_pipeline.schemas.compiled import CompiledSchema

QUICK = hp.Retry(2, 0.05, 0.2)


def resolve(registry, name, version=None, **settings):
    client = hp.SchemaRegistry(settings.pop("url", registry.url), **({"retry": QUICK} | settings)).open()
    try:
        return client.resolve(registry.subject(name), version)
    finally:
        client.close()


def keywords(resolved, document):
    return sorted(violation.keyword for violation in CompiledSchema(resolved).check(document))


def requires(*names):
    return {"type": "object", "required": list(names)}


@pytest.fixture
def door(registry):
    """`door(...)`: the URL of a reverse proxy before the registry, as one stands there in production."""
    opened = []

    def open_door(*, user=None, password=None, certificate=None):
        expected = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}" if user else None

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if expected is not None and self.headers.get("Authorization") != expected:
                    self.answer(401, b"<html>who are you?</html>", "text/html")
                    return
                told = requests.get(registry.url + self.path, headers={"Accept": self.headers["Accept"]}, timeout=20)
                self.answer(told.status_code, told.content, told.headers["Content-Type"])

            def answer(self, status, body, kind):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        opened.append((server, thread))
        return f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"

    yield open_door
    for server, thread in opened:
        server.shutdown()
        server.server_close()
        thread.join()


def test_each_version_comes_with_its_number_and_id_and_the_newest_is_latest(registry):
    ids = [registry.registered("orders", requires(*names)) for names in (["a"], ["a", "b"], ["c"])]
    assert len(set(ids)) == 3
    for version, missing in ((1, 1), (2, 2), (3, 1)):
        resolved = resolve(registry, "orders", version)
        assert resolved.ref == hp.SchemaRef(registry.subject("orders"), version, ids[version - 1])
        assert keywords(resolved, {}) == ["required"] * missing
    assert resolve(registry, "orders").ref.version == 3


@pytest.mark.parametrize(
    "name", ["a/b", r"Holded\Wallet\Event", "with space?x=1#y", "ñandú-日本", "a..b", "%2F", "a+b&c=d", "x" * 200]
)
def test_any_subject_can_be_asked_for(registry, name):
    registry.registered(name, requires("a"))
    assert resolve(registry, name).ref.subject == registry.subject(name)


@pytest.mark.parametrize(("version", "reason"), [(None, "unknown_subject"), (9, "unknown_version")])
def test_what_it_does_not_have_rejects(registry, version, reason):
    if version:
        registry.registered("orders", requires("a"))
    with pytest.raises(hp.RejectRecord) as fault:
        resolve(registry, "orders", version)
    assert fault.value.reason == reason


@pytest.mark.parametrize("base", ["https://schemas.example.com/", None], ids=["with $id", "by name alone"])
def test_references_are_followed_over_three_levels(registry, base):
    """A document refers to an address, that to a country, that to a code; two of them also to the code."""

    def schema(name, body):
        return body if base is None else {"$id": base + name, **body}

    def ref(name):
        return {"$ref": f"{name}.json" if base is None else base + name}

    def refer(name):
        return registry.refer(ref(name)["$ref"], to=name)

    registry.registered("code", schema("code", {"type": "string", "pattern": "^[A-Z]{2}$"}))
    country = {"type": "object", "properties": {"code": ref("code")}, "required": ["code"]}
    registry.registered("country", schema("country", country), references=[refer("code")])
    address = {"type": "object", "properties": {"country": ref("country"), "code": ref("code")}}
    registry.registered("address", schema("address", address), references=[refer("country"), refer("code")])
    document = {"type": "object", "properties": {"address": ref("address")}}
    registry.registered("document", schema("document", document), references=[refer("address")])
    resolved = resolve(registry, "document")
    assert keywords(resolved, {"address": {"country": {"code": "ES"}, "code": "PT"}}) == []
    assert keywords(resolved, {"address": {"country": {"code": "spain"}}}) == ["pattern"]
    assert keywords(resolved, {"address": {"country": {}, "code": "x"}}) == ["pattern", "required"]


def test_a_reference_stays_at_the_version_it_was_made_to(registry):
    registry.registered("money", {"type": "number"})
    invoice = {"type": "object", "properties": {"total": {"$ref": "money.json"}}}
    registry.registered("invoice", invoice, references=[registry.refer("money.json", to="money", version=1)])
    registry.registered("money", {"type": "string"})
    assert keywords(resolve(registry, "invoice"), {"total": 1}) == []
    assert keywords(resolve(registry, "invoice"), {"total": "1"}) == ["type"]


def test_a_schema_that_breaks_the_compatibility_is_refused_there_and_the_old_one_serves_on(registry):
    draft = "http://json-schema.org/draft-07/schema#"  # newer ones some registries cannot compare

    def schema(kind):
        return {"$schema": draft, "type": "object", "properties": {"a": {"type": kind}}}

    registry.registered("orders", schema("string"))
    registry.set_compatibility("orders", "BACKWARD")
    answer = registry.register("orders", schema("integer"))
    assert answer.status_code == 409, answer.text
    resolved = resolve(registry, "orders")
    assert resolved.ref.version == 1
    assert keywords(resolved, {"a": "text"}) == []


def test_a_softly_deleted_version_is_gone_and_latest_is_the_one_before(registry):
    registry.registered("orders", requires("a"))
    registry.registered("orders", requires("a", "b"))
    assert registry.delete("orders", 2).ok
    assert resolve(registry, "orders").ref.version == 1
    with pytest.raises(hp.RejectRecord) as fault:
        resolve(registry, "orders", 2)
    assert fault.value.reason == "unknown_version"


def test_a_softly_deleted_subject_is_unknown(registry):
    registry.registered("orders", requires("a"))
    assert registry.delete("orders").ok
    with pytest.raises(hp.RejectRecord) as fault:
        resolve(registry, "orders")
    assert fault.value.reason == "unknown_subject"


def test_what_is_referred_to_serves_on_when_it_is_softly_deleted_or_the_registry_keeps_it(registry):
    registry.registered("money", {"type": "number"})
    invoice = {"type": "object", "properties": {"total": {"$ref": "money.json"}}}
    registry.registered("invoice", invoice, references=[registry.refer("money.json", to="money")])
    registry.delete("money")  # Confluent's and Apicurio's refuse it, as they document; others let it go softly
    assert keywords(resolve(registry, "invoice"), {"total": "1"}) == ["type"]


@pytest.mark.parametrize("kind", ["AVRO", "PROTOBUF"])
def test_a_subject_of_another_kind_is_a_wrong_setting_that_says_which(registry, kind):
    avro = {"type": "record", "name": "Order", "fields": [{"name": "id", "type": "string"}]}
    if kind == "AVRO":
        registry.registered("orders", avro, kind="AVRO")
    else:
        body = {"schema": 'syntax = "proto3"; message Order { string id = 1; }', "schemaType": kind}
        answer = registry.post("orders", body)
        assert answer.ok, answer.text
    with pytest.raises(hp.ConfigurationError, match=f"holds {kind}, not JSON Schema; name a subject that was"):
        resolve(registry, "orders")


def test_basic_authentication_opens_the_door(registry, door):
    registry.registered("orders", requires("a"))
    url = door(user="ana", password="p@ss:w/rd ñ")
    assert resolve(registry, "orders", url=url, username="ana", password="p@ss:w/rd ñ").ref.version == 1


@pytest.mark.parametrize("credentials", [{}, {"username": "ana", "password": "hunter2"}], ids=["none", "wrong"])
def test_missing_or_wrong_credentials_are_a_wrong_setting(registry, door, credentials):
    registry.registered("orders", requires("a"))
    url = door(user="ana", password="right")
    with pytest.raises(hp.ConfigurationError, match=r"refuses these credentials \(HTTP 401\)") as error:
        resolve(registry, "orders", url=url, **credentials)
    assert "hunter2" not in str(error.value)


def test_a_certificate_is_trusted_by_the_ca_bundle_that_is_named_and_by_no_other(registry, door, tmp_path, monkeypatch):
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other.pem"))
    registry.registered("orders", requires("a"))
    url = door(certificate=authority.issue_cert("127.0.0.1"))
    assert resolve(registry, "orders", url=url, verify=str(tmp_path / "ca.pem")).ref.version == 1
    with pytest.raises(hp.ConfigurationError, match="certificate that is not trusted; set verify="):
        resolve(registry, "orders", url=url)


def test_a_wrong_path_is_a_wrong_setting(registry):
    registry.registered("orders", requires("a"))
    with pytest.raises(hp.ConfigurationError, match="does not look like a schema registry"):
        resolve(registry, "orders", url=f"{registry.url}/nothing/here")


def test_latest_moves_when_it_is_due_and_not_before(registry):
    registry.registered("orders", requires("a"))
    client = hp.SchemaRegistry(registry.url, ttl=1.0, retry=QUICK).open()
    subject = registry.subject("orders")
    assert client.resolve(subject, None).ref.version == 1
    due = time.monotonic() + 1.0
    registry.registered("orders", requires("a", "b"))
    versions = {client.resolve(subject, None).ref.version} if time.monotonic() < due - 0.3 else {1}
    assert versions == {1}
    registry.wait_past(due)
    assert client.resolve(subject, None).ref.version == 2
    client.close()


class Mover(beam.DoFn):
    """Registers a second version when a certain event passes by."""

    def __init__(self, url, prefix, at):
        self._url, self._prefix, self._at = url, prefix, at

    def process(self, event):
        if event.data["n"] == self._at:
            RegistryServer(self._url, prefix=self._prefix).registered("orders", requires("n", "b"))
        yield event


def test_latest_that_moves_during_a_run_leaves_each_event_with_the_version_it_was_checked_against(registry, tmp_path):
    registry.registered("orders", requires("n"))
    kept = tmp_path / "kept.jsonl"
    schemas = hp.SchemaRegistry(registry.url, ttl=0.000_001, retry=QUICK)
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        numbers = pipeline | beam.Impulse() | beam.FlatMap(lambda _: range(60))  # one bundle, in order
        events = numbers | beam.Map(event_of)
        moving = events | beam.ParDo(Mover(registry.url, registry.subject(""), 30))
        checked = moving | hp.ValidateSchema(schemas, subject=registry.subject("orders"))
        passed = checked.passed | beam.Map(lambda e: [e.data["n"], e.metadata["schema"]["version"]])
        rejected = checked.rejected | beam.Map(lambda r: [json.loads(r.raw)["n"], r.schema.version])
        _ = (passed, rejected) | beam.Flatten() | beam.Map(lambda pair: append(kept, pair))
    told = dict(json.loads(line) for line in kept.read_text().splitlines())
    assert sorted(told) == list(range(60))
    assert {version for n, version in told.items() if n < 30} == {1}
    assert {version for n, version in told.items() if n >= 30} == {2}


def event_of(n):
    document = {"n": n} | ({"b": 1} if n % 2 else {})
    when = hp.testing.START
    raw = json.dumps(document).encode()
    return hp.Event(id=str(n), type="t", company_id="c", occurred_at=when, data=document, raw=raw)


def append(path, value):
    with path.open("a") as file:
        file.write(json.dumps(value) + "\n")
