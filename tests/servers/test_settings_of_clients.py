"""Settings of a store, a database or a registry that cannot be right are named when they are written."""

from __future__ import annotations

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import attrs
import pytest

import holded_pipeline as hp

RIGHT = {"endpoint": "http://h:9000", "bucket": "b", "access_key": "a", "secret_key": "s"}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"endpoint": "h:9000"}, "write http:// or https:// in front"),
        ({"endpoint": "s3://b"}, "http://localhost:9000, not of s3://"),
        ({"endpoint": ""}, "got an empty text"),
        ({"endpoint": None}, "got NoneType"),
        ({"endpoint": "http://h:9000/b"}, "MinIO.endpoint ends in the bucket 'b'"),
        ({"bucket": "s3://b/raw/"}, "the name of a bucket alone, got 's3://b/raw/'; give bucket='b'"),
        ({"bucket": "b/raw"}, "give bucket='b', and the folder as the prefix"),
        ({"bucket": None}, "MinIO.bucket is a text, and got None"),
        ({"access_key": hp.Secret("a")}, "MinIO.access_key is a text, and got an hp.Secret; only secret_key is one"),
        ({"secret_key": None}, r"a secret is a text or an hp\.Secret, and got None"),
        ({"secret_key": hp.Secret}, "got the class Secret itself"),
    ],
)
def test_a_wrong_setting_of_a_store_is_named(wrong, words):
    with pytest.raises((TypeError, ValueError), match=words):
        hp.MinIO(**(RIGHT | wrong))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("host=h dbname=d password=hunter2", "not host=… dbname=…"),
        ("jdbc:postgresql://h/d?password=hunter2", "without jdbc: in front"),
        ("h/d", "write postgresql:// in front"),
        (None, "the database URL is a text such as postgresql://user@host:5432/database, got None"),
        (5, "got an int"),
    ],
)
def test_a_wrong_database_url_is_named_without_its_text(url, words):
    with pytest.raises((TypeError, ValueError), match=words) as caught:
        hp.Postgres(url)
    assert "hunter2" not in str(caught.value)


def test_a_password_that_is_no_text_is_named_by_its_type():
    with pytest.raises(TypeError, match="and got an int"):
        hp.Postgres("postgresql://h/d", password=12345)


def test_a_url_without_a_database_is_named_when_there_is_none_of_the_users_name(db):
    without = hp.Postgres(db.url.rpartition("/")[0], password=db.password)
    with pytest.raises(hp.ConfigurationError, match="the URL names no database, and PostgreSQL then takes the user's"):
        hp.migrate(without)


@pytest.mark.parametrize("variable", ["", "hunter2 is it!", "A=hunter2", None])
def test_what_cannot_be_the_name_of_a_variable_is_not_shown(variable):
    with pytest.raises(ValueError, match="needs the name of an environment variable") as caught:
        hp.Secret.env(variable)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [("s3://b/raw/", "give the bucket to hp.MinIO, and 'raw/' here"), (["raw/"], "one text such as 'raw/', got list")],
)
def test_a_pattern_is_one_text_below_the_bucket(pattern, words):
    with pytest.raises(ValueError, match=words):
        hp.ReadMinIO(hp.MinIO(**RIGHT), pattern)


def test_where_nothing_listens_the_error_says_so_and_what_to_do(lake):
    away = attrs.evolve(lake, endpoint="http://127.0.0.1:1", retry=hp.Retry(0.1))
    with pytest.raises(hp.TransientError, match="Nothing listens at that address: start the server, or check host"):
        list(hp.events(away, "raw/"))


def test_http_to_a_server_that_wants_tls_says_https(lake, certificate):
    """The server closes the connection at the first bytes that are not TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    wrong = attrs.evolve(lake, endpoint=f"http://127.0.0.1:{server.server_port}", retry=hp.Retry(0.1))
    try:
        with pytest.raises(hp.TransientError, match="If the server speaks TLS, write https:// in endpoint"):
            list(hp.events(wrong, "raw/"))
    finally:
        server.shutdown()
        server.server_close()
