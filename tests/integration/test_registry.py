"""SchemaRegistry and ValidateSchema against the registry that HOLDED_TEST_REGISTRY names."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import time
from http.server import BaseHTTPRequestHandler

import apache_beam as beam
import pytest
import requests
from http_server import serve_http
from registry_server import RegistryServer
from schema_checks import keywords_of

import holded_pipeline as hp

QUICK = hp.Retry(2, 0.05, 0.2)


def resolve(registry, name, version=None, **settings):
    client = hp.SchemaRegistry(settings.pop("url", registry.url), **({"retry": QUICK} | settings)).open()
    try:
        return client.resolve(registry.subject(name), version)
    finally:
        client.close()


def requires(*names):
    return {"type": "object", "required": list(names)}


@pytest.fixture
def proxy(registry):
    """`proxy(...)`: the URL of a reverse proxy in front of the registry, with a password or TLS."""
    with contextlib.ExitStack() as closing:

        def start(*, user=None, password=None, certificate=None):
            tls = None
            if certificate is not None:
                tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                certificate.configure_cert(tls)
            authorization = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}" if user else None
            server = closing.enter_context(serve_http(proxy_handler(registry.url, authorization), tls=tls))
            return f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"

        yield start


def proxy_handler(url, authorization):
    """Forwards requests to a URL; with `authorization`, only those with that header."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            if authorization is not None and self.headers.get("Authorization") != authorization:
                self.answer(401, b"<html>who are you?</html>", "text/html")
                return
            answer = requests.get(url + self.path, headers={"Accept": self.headers["Accept"]}, timeout=20)
            self.answer(answer.status_code, answer.content, answer.headers["Content-Type"])

        def answer(self, status, body, kind):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler


def test_each_version_has_its_number_and_id_and_the_newest_is_latest(registry):
    ids = [registry.register_ok("orders", requires(*names)) for names in (["a"], ["a", "b"], ["c"])]
    assert len(set(ids)) == 3
    for version, missing in ((1, 1), (2, 2), (3, 1)):
        resolved = resolve(registry, "orders", version)
        assert resolved.ref == hp.SchemaRef(registry.subject("orders"), version, ids[version - 1])
        assert keywords_of(resolved, {}) == ["required"] * missing
    assert resolve(registry, "orders").ref.version == 3


@pytest.mark.parametrize(
    "name", ["a/b", r"Holded\Wallet\Event", "with space?x=1#y", "ñandú-日本", "a..b", "%2F", "a+b&c=d", "x" * 200]
)
def test_any_subject_can_be_requested(registry, name):
    registry.register_ok(name, requires("a"))
    assert resolve(registry, name).ref.subject == registry.subject(name)


@pytest.mark.parametrize(("version", "reason"), [(None, "unknown_subject"), (9, "unknown_version")])
def test_a_missing_subject_or_version_rejects(registry, version, reason):
    if version:
        registry.register_ok("orders", requires("a"))
    with pytest.raises(hp.RejectRecord) as error:
        resolve(registry, "orders", version)
    assert error.value.reason == reason


@pytest.mark.parametrize("base", ["https://schemas.example.com/", None], ids=["with $id", "by name alone"])
def test_references_are_followed_over_three_levels(registry, base):
    """A document refers to an address, that to a country, that to a code; two of them also to the code."""

    def schema(name, body):
        return body if base is None else {"$id": base + name, **body}

    def ref(name):
        return {"$ref": f"{name}.json" if base is None else base + name}

    def refer(name):
        return registry.refer(ref(name)["$ref"], to=name)

    registry.register_ok("code", schema("code", {"type": "string", "pattern": "^[A-Z]{2}$"}))
    country = {"type": "object", "properties": {"code": ref("code")}, "required": ["code"]}
    registry.register_ok("country", schema("country", country), references=[refer("code")])
    address = {"type": "object", "properties": {"country": ref("country"), "code": ref("code")}}
    registry.register_ok("address", schema("address", address), references=[refer("country"), refer("code")])
    document = {"type": "object", "properties": {"address": ref("address")}}
    registry.register_ok("document", schema("document", document), references=[refer("address")])
    resolved = resolve(registry, "document")
    assert keywords_of(resolved, {"address": {"country": {"code": "ES"}, "code": "PT"}}) == []
    assert keywords_of(resolved, {"address": {"country": {"code": "spain"}}}) == ["pattern"]
    assert sorted(keywords_of(resolved, {"address": {"country": {}, "code": "x"}})) == ["pattern", "required"]


def test_a_reference_keeps_the_version_it_was_registered_with(registry):
    registry.register_ok("money", {"type": "number"})
    invoice = {"type": "object", "properties": {"total": {"$ref": "money.json"}}}
    registry.register_ok("invoice", invoice, references=[registry.refer("money.json", to="money", version=1)])
    registry.register_ok("money", {"type": "string"})
    assert keywords_of(resolve(registry, "invoice"), {"total": 1}) == []
    assert keywords_of(resolve(registry, "invoice"), {"total": "1"}) == ["type"]


def test_an_incompatible_version_is_rejected_and_the_old_one_is_used(registry):
    draft = "http://json-schema.org/draft-07/schema#"  # newer ones some registries cannot compare

    def schema(kind):
        return {"$schema": draft, "type": "object", "properties": {"a": {"type": kind}}}

    registry.register_ok("orders", schema("string"))
    registry.set_compatibility("orders", "BACKWARD")
    answer = registry.register("orders", schema("integer"))
    assert answer.status_code == 409, answer.text
    resolved = resolve(registry, "orders")
    assert resolved.ref.version == 1
    assert keywords_of(resolved, {"a": "text"}) == []


def test_latest_is_the_version_before_a_softly_deleted_one(registry):
    registry.register_ok("orders", requires("a"))
    registry.register_ok("orders", requires("a", "b"))
    assert registry.delete("orders", 2).ok
    assert resolve(registry, "orders").ref.version == 1
    with pytest.raises(hp.RejectRecord) as error:
        resolve(registry, "orders", 2)
    assert error.value.reason == "unknown_version"


def test_a_softly_deleted_subject_is_unknown(registry):
    registry.register_ok("orders", requires("a"))
    assert registry.delete("orders").ok
    with pytest.raises(hp.RejectRecord) as error:
        resolve(registry, "orders")
    assert error.value.reason == "unknown_subject"


def test_a_referred_schema_is_used_even_after_a_soft_delete(registry):
    registry.register_ok("money", {"type": "number"})
    invoice = {"type": "object", "properties": {"total": {"$ref": "money.json"}}}
    registry.register_ok("invoice", invoice, references=[registry.refer("money.json", to="money")])
    registry.delete("money")  # Confluent's and Apicurio's reject this, as documented; others delete it softly
    assert keywords_of(resolve(registry, "invoice"), {"total": "1"}) == ["type"]


@pytest.mark.parametrize("kind", ["AVRO", "PROTOBUF"])
def test_a_subject_of_another_schema_type_is_an_error_that_names_it(registry, kind):
    avro = {"type": "record", "name": "Order", "fields": [{"name": "id", "type": "string"}]}
    if kind == "AVRO":
        registry.register_ok("orders", avro, kind="AVRO")
    else:
        body = {"schema": 'syntax = "proto3"; message Order { string id = 1; }', "schemaType": kind}
        answer = registry.post("orders", body)
        assert answer.ok, answer.text
    with pytest.raises(hp.ConfigurationError, match=f"holds {kind}, not JSON Schema; name a subject that was"):
        resolve(registry, "orders")


def test_basic_authentication_is_accepted(registry, proxy):
    registry.register_ok("orders", requires("a"))
    url = proxy(user="ana", password="p@ss:w/rd ñ")
    assert resolve(registry, "orders", url=url, username="ana", password="p@ss:w/rd ñ").ref.version == 1


@pytest.mark.parametrize("credentials", [{}, {"username": "ana", "password": "hunter2"}], ids=["none", "wrong"])
def test_missing_or_wrong_credentials_are_an_error(registry, proxy, credentials):
    registry.register_ok("orders", requires("a"))
    url = proxy(user="ana", password="right")
    with pytest.raises(hp.ConfigurationError, match=r"rejected these credentials \(HTTP 401\)") as error:
        resolve(registry, "orders", url=url, **credentials)
    assert "hunter2" not in str(error.value)


def test_a_certificate_is_trusted_by_the_named_ca_bundle_only(registry, proxy, tmp_path, monkeypatch):
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other.pem"))
    registry.register_ok("orders", requires("a"))
    url = proxy(certificate=authority.issue_cert("127.0.0.1"))
    assert resolve(registry, "orders", url=url, verify=str(tmp_path / "ca.pem")).ref.version == 1
    with pytest.raises(hp.ConfigurationError, match="certificate that is not trusted; set verify="):
        resolve(registry, "orders", url=url)


def test_a_wrong_path_is_an_error(registry):
    registry.register_ok("orders", requires("a"))
    with pytest.raises(hp.ConfigurationError, match="does not look like a schema registry"):
        resolve(registry, "orders", url=f"{registry.url}/nothing/here")


def test_latest_is_the_new_version_after_its_ttl_and_not_before(registry):
    registry.register_ok("orders", requires("a"))
    client = hp.SchemaRegistry(registry.url, ttl=1.0, retry=QUICK).open()
    subject = registry.subject("orders")
    assert client.resolve(subject, None).ref.version == 1
    due = time.monotonic() + 1.0
    registry.register_ok("orders", requires("a", "b"))
    versions = {client.resolve(subject, None).ref.version} if time.monotonic() < due - 0.3 else {1}
    assert versions == {1}
    registry.wait_past(due)
    assert client.resolve(subject, None).ref.version == 2
    client.close()


class RegisterDuringRun(beam.DoFn):
    """Registers a second version when it processes a certain event."""

    def __init__(self, url, prefix, at):
        self._url, self._prefix, self._at = url, prefix, at

    def process(self, event):
        if event.data["n"] == self._at:
            RegistryServer(self._url, prefix=self._prefix).register_ok("orders", requires("n", "b"))
        yield event


def test_each_event_names_its_version_if_latest_changes_during_a_run(registry, tmp_path):
    registry.register_ok("orders", requires("n"))
    kept = tmp_path / "kept.jsonl"
    schemas = hp.SchemaRegistry(registry.url, ttl=0.000_001, retry=QUICK)
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        numbers = pipeline | beam.Impulse() | beam.FlatMap(lambda _: range(60))  # one bundle, in order
        events = numbers | beam.Map(event_of)
        moving = events | beam.ParDo(RegisterDuringRun(registry.url, registry.subject(""), 30))
        checked = moving | hp.ValidateSchema(schemas, subject=registry.subject("orders"))
        passed = checked.passed | beam.Map(lambda e: [e.data["n"], e.metadata["schema"]["version"]])
        rejected = checked.rejected | beam.Map(lambda r: [json.loads(r.raw)["n"], r.schema.version])
        _ = (passed, rejected) | beam.Flatten() | beam.Map(lambda pair: append(kept, pair))
    version_of = dict(json.loads(line) for line in kept.read_text().splitlines())
    assert sorted(version_of) == list(range(60))
    assert {version for n, version in version_of.items() if n < 30} == {1}
    assert {version for n, version in version_of.items() if n >= 30} == {2}


def event_of(n):
    document = {"n": n} | ({"b": 1} if n % 2 else {})
    when = hp.testing.START
    raw = json.dumps(document).encode()
    return hp.Event(id=str(n), type="t", company_id="c", occurred_at=when, data=document, raw=raw)


def append(path, value):
    with path.open("a") as file:
        file.write(json.dumps(value) + "\n")
