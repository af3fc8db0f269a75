"""No credential in a log, an error, a rejection, display data or the pipeline's graph, in any encoding of it."""

from __future__ import annotations

import base64
import bz2
import json
import logging
import re
import threading
import traceback
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, quote_plus

import apache_beam as beam
import pytest
import sqlalchemy as sa
from apache_beam.transforms.display import DisplayData
from sqlalchemy.engine import make_url

import holded_pipeline as hp
from holded_pipeline import local

PG_PASSWORD = "pg-Pa55 w/rd?&%é"
REGISTRY_PASSWORD = "registry:Pa55/w?rd+é"
REGISTRY_USER = "reader"
TOKEN = "t0ken-0123456789abcdefghij"


class Servers:
    """Servers that check credentials: a store, a database and a registry."""

    def __init__(self, stack, registry_url) -> None:
        self.lake = stack.minio
        self.secret_key = stack.minio.secret_key.reveal()
        url = make_url(stack.postgres.url)
        self.admin = stack.postgres
        self.url = url.set(username="guarded").render_as_string()
        self.registry_url = registry_url

    def store(self, **changes):
        settings = {
            "bucket": self.lake.bucket, "access_key": self.lake.access_key,
            "secret_key": hp.Secret.env("TEST_S3_SECRET"), "retry": hp.Retry(0.3, first_wait=0.05), "timeout": 2,
        }  # fmt: skip
        return hp.MinIO(changes.pop("endpoint", self.lake.endpoint), **(settings | changes))

    def database(self, url=None, variable="TEST_PG_PASSWORD"):
        password = hp.Secret.env(variable)
        return hp.Postgres(url or self.url, password=password, retry=hp.Retry(0.3, first_wait=0.05))

    def registry(self, url=None, **credentials):
        return hp.SchemaRegistry(url or self.registry_url, retry=hp.Retry(0.3, first_wait=0.05), **credentials)


@pytest.fixture(scope="module")
def registry_url():
    basic = base64.b64encode(f"{REGISTRY_USER}:{REGISTRY_PASSWORD}".encode()).decode()
    accepted = {f"Basic {basic}", f"Bearer {TOKEN}"}
    schema = json.dumps({"type": "object", "required": ["id"]})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            known = self.headers.get("Authorization") in accepted
            answer = {"subject": "s", "version": 1, "id": 1, "schemaType": "JSON", "schema": schema}
            body = json.dumps(answer if known else {"error_code": 401, "message": "Unauthorized"}).encode()
            self.send_response(200 if known else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def servers(registry_url):
    with local.stack() as stack:
        with stack.postgres.engine(poolclass=sa.NullPool).begin() as connection:
            literal = PG_PASSWORD.replace("'", "''")
            connection.exec_driver_sql(f"CREATE ROLE guarded LOGIN PASSWORD '{literal}'".replace("%", "%%"), ())
            connection.execute(sa.text("GRANT ALL ON SCHEMA public TO guarded"))
        samples = hp.testing.sample_events(200, seed=3, faults=0.2)
        stack.minio.filesystem().pipe(f"{stack.minio.bucket}/raw/a.jsonl", hp.testing.sample_lines(samples))
        yield Servers(stack, registry_url)


@pytest.fixture(autouse=True)
def environment(servers, monkeypatch):
    monkeypatch.setenv("TEST_S3_SECRET", servers.secret_key)
    monkeypatch.setenv("TEST_PG_PASSWORD", PG_PASSWORD)
    monkeypatch.setenv("TEST_REGISTRY_PASSWORD", REGISTRY_PASSWORD)
    monkeypatch.setenv("TEST_TOKEN", TOKEN)


def encodings_of_secrets(servers):
    """Each secret as it is, as in a URL, and in base64, alone and behind its user."""
    found = {}
    for user, secret in (
        (servers.lake.access_key, servers.secret_key), ("guarded", PG_PASSWORD), (REGISTRY_USER, REGISTRY_PASSWORD),
        ("", TOKEN),
    ):  # fmt: skip
        forms = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1]}
        encoded = {base64.b64encode(f"{before}{secret}".encode()).decode() for before in ("", f"{user}:")}
        found |= {form.encode(): secret for form in forms | encoded | {each.rstrip("=") for each in encoded}}
        found |= {form.encode("latin-1"): secret for form in forms}
    return found


def assert_none_in(servers, text):
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    shown = {secret for form, secret in encodings_of_secrets(servers).items() if form in data}
    assert shown == set()


def unpacked(data, depth=0):
    """Bytes, and the pickles in them as Beam packs them: base64 of bz2 or zlib."""
    yield data
    if depth > 3:
        return
    for run in re.findall(rb"[A-Za-z0-9+/=]{40,}", data):
        for cut in range(4):  # the first characters of a run may belong to what is before it
            try:
                packed = base64.b64decode(run[cut : len(run) - (len(run) - cut) % 4])
            except ValueError:
                continue
            for unpack in (bz2.decompress, zlib.decompress):
                try:
                    yield from unpacked(unpack(packed), depth + 1)
                except (OSError, ValueError, zlib.error, EOFError):
                    continue


class RejectsSome:
    """An enricher that rejects some events."""

    def __call__(self, event):
        if event.id.endswith("7"):
            raise hp.RejectRecord("sevens", "no sevens")
        return {}


def build(lake, db, registry):
    p = beam.Pipeline(runner="FnApiRunner")
    raw = p | hp.ReadMinIO(lake, "raw/")
    checked = raw.passed | hp.ValidateSchema(registry, subject="s")
    enriched = checked.passed | hp.Enrich("processing", "quality", hp.Enricher("refuses", RejectsSome()))
    _ = enriched.passed | hp.WriteMinIO(lake, "enriched/")
    loaded = enriched.passed | hp.WritePostgres(db)
    _ = (raw.rejected, checked.rejected, enriched.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")
    return p


def texts_of(error):
    """The text, arguments and notes of an error and of all its causes."""
    seen, pending, texts = set(), [error], ["".join(traceback.format_exception(error))]
    while pending:
        each = pending.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        attributes = {name: repr(value) for name, value in vars(each).items()}
        texts += [str(each), repr(each), repr(each.args), repr(getattr(each, "__notes__", "")), repr(attributes)]
        pending += [each.__cause__, each.__context__]
    return "\n".join(texts)


GOOD = {}
CASES = {
    "no error": (GOOD, GOOD, GOOD, None),
    "no error, with a token": (GOOD, GOOD, {"token": "env"}, None),
    "no such bucket": ({"bucket": "nowhere"}, GOOD, GOOD, hp.ConfigurationError),
    "wrong secret key": ({"access_key": "nobody"}, GOOD, GOOD, hp.ConfigurationError),
    "no store": ({"endpoint": "http://127.0.0.1:1"}, GOOD, GOOD, hp.TransientError),
    "wrong password": (GOOD, {"variable": "TEST_TOKEN"}, GOOD, hp.ConfigurationError),
    "no such database": (GOOD, {"database": "nowhere"}, GOOD, hp.ConfigurationError),
    "no database server": (GOOD, {"port": 1}, GOOD, hp.TransientError),
    "wrong user of the registry": (GOOD, GOOD, {"username": "nobody"}, hp.ConfigurationError),
    "no registry": (GOOD, GOOD, {"url": "http://127.0.0.1:1"}, hp.TransientError),
}


def connect_all(servers, store, database, registry):
    lake = servers.store(**store)
    url = make_url(servers.url).set(**{k: v for k, v in database.items() if k != "variable"}).render_as_string()
    db = servers.database(url, database.get("variable", "TEST_PG_PASSWORD"))
    if "token" in registry:
        return lake, db, servers.registry(token=hp.Secret.env("TEST_TOKEN"))
    credentials = {
        "username": registry.get("username", REGISTRY_USER),
        "password": hp.Secret.env("TEST_REGISTRY_PASSWORD"),
    }
    return lake, db, servers.registry(registry.get("url"), **credentials)


@pytest.mark.parametrize("case", CASES)
def test_no_secret_is_in_logs_and_errors_and_what_was_stored(servers, caplog, capfd, case):
    *settings, expected = CASES[case]
    lake, db, registry = connect_all(servers, *settings)
    for name in [None, *logging.root.manager.loggerDict]:
        logger = logging.getLogger(name)
        if not (name or "").startswith("apache_beam.") and logger.level != logging.NOTSET:
            caplog.set_level(logging.DEBUG, logger=name)
    caplog.set_level(logging.DEBUG)
    p = build(lake, db, registry)
    if expected is None:
        p.run().wait_until_finish()
        assert_none_in_what_was_stored(servers)
    else:
        with pytest.raises(expected) as caught:
            p.run().wait_until_finish()
        assert_none_in(servers, texts_of(caught.value))
    assert len(caplog.records) > 100  # those of the drivers among them
    assert_none_in(servers, caplog.text)
    assert_none_in(servers, "\n".join(repr(vars(record)) for record in caplog.records))
    printed = capfd.readouterr()
    assert_none_in(servers, printed.out + printed.err)
    for value in (lake, db, registry):
        assert_none_in(servers, repr(value) + str(value))


def assert_none_in_what_was_stored(servers):
    filesystem = servers.lake.filesystem()
    objects = [key for key in filesystem.find(servers.lake.bucket) if "/raw/" not in key]
    stages = {part.partition("=")[2] for key in objects for part in key.split("/") if part.startswith("stage=")}
    assert stages == {"read", "validate", "enrich", "write"}
    for key in objects:
        assert_none_in(servers, zlib.decompress(filesystem.cat(key), wbits=31))
    with servers.admin.engine(poolclass=sa.NullPool).connect() as connection:
        for row in connection.execute(sa.text("SELECT * FROM business_events")):
            assert_none_in(servers, str(row))


def test_no_secret_is_in_the_graph_or_in_display_data(servers):
    p = build(*connect_all(servers, GOOD, GOOD, GOOD))
    for data in unpacked(p.to_runner_api().SerializeToString()):
        assert_none_in(servers, data)
    assert_none_in(servers, str(DisplayData.create_from(p._root_transform().transform or p._options).items))

    class Visit(beam.pipeline.PipelineVisitor):
        def visit_transform(self, node):
            if node.transform is not None:
                assert_none_in(servers, str([vars(item) for item in DisplayData.create_from(node.transform).items]))

    p.visit(Visit())


def test_the_search_would_find_a_secret_in_the_graph(servers):
    """A plain value is pickled with the graph; of `Secret.env` only the name of the variable is."""
    plain = hp.Postgres(servers.url, password=PG_PASSWORD)
    p = build(servers.store(), plain, servers.registry(token=hp.Secret.env("TEST_TOKEN")))
    packed = list(unpacked(p.to_runner_api().SerializeToString()))
    assert any(PG_PASSWORD.encode() in data for data in packed)
    assert any(b"TEST_S3_SECRET" in data for data in packed)
