"""Connections that PostgreSQL denies, that break under TLS, or that the server ends because they take too long."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time

import attrs
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from table_contents import load_rows

import holded_pipeline as hp
from holded_pipeline.postgres import staging_table

table = sa.Table("t", sa.MetaData(), sa.Column("k", sa.Integer, primary_key=True))
LONG_RETRY = hp.Retry(60, first_wait=0.05)


def load_one_row(db):
    return load_rows(db, table, [{"k": 1}])


@pytest.fixture(autouse=True)
def granted_table(database, query):
    query(database, "CREATE TABLE t (k int PRIMARY KEY)")
    query(database, "GRANT ALL ON t TO public")


@pytest.fixture
def denied_user(stack, database, query):
    """`denied_user(how)`: the database for a user whom `pg_hba.conf` treats like this."""
    name = "denied_" + database.url.rpartition("_")[2]
    query(database, f"CREATE ROLE {name} LOGIN PASSWORD '{database.password.reveal()}'")
    rules = stack.folder / "postgres" / "pg_hba.conf"
    before = rules.read_text()

    def reload(text):
        rules.write_text(text)
        query(stack.superuser(database), "SELECT pg_reload_conf()")

    def deny(how):
        if how == "scram-sha-256":
            query(database, f"ALTER ROLE {name} PASSWORD 'another'")
        reload(f"host all {name} 127.0.0.1/32 {how}\n{before}")
        there = hp.Postgres(database.url.replace("holded@", f"{name}@"), retry=LONG_RETRY)
        until = time.monotonic() + 10
        while time.monotonic() < until:  # the server reloads its rules some time later
            with contextlib.suppress(sa.exc.OperationalError), there.engine(poolclass=sa.NullPool).connect():
                time.sleep(0.02)
                continue
            break
        return there

    yield deny
    reload(before)


@pytest.mark.parametrize("how", ["reject", "ident", "scram-sha-256"])
def test_a_denied_user_fails_at_once(denied_user, how):
    began = time.monotonic()
    with pytest.raises(hp.ConfigurationError, match="cannot be used as it is set up.*check url and password"):
        load_one_row(denied_user(how))
    assert time.monotonic() - began < 20


WRONG = {
    "an unknown setting": "options=-c%20statement_timout%3D7s",
    "an invalid value": "options=-c%20statement_timeout%3Dx",
    "a setting of the server's": "options=-c%20shared_buffers%3D1GB",
    "an unknown option": "foo=1",
    "an unknown sslmode": "sslmode=foo",
    "an unknown service": "service=nope",
    "TLS that the server lacks": "sslmode=require",
    "another way to authenticate": "require_auth=md5",
    "channel binding": "channel_binding=require",
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_url_fails_at_once(database, what):
    began = time.monotonic()
    with pytest.raises(hp.ConfigurationError, match="cannot be used as it is set up"):
        load_one_row(hp.Postgres(f"{database.url}?{WRONG[what]}", retry=LONG_RETRY))
    assert time.monotonic() - began < 20


def test_a_database_without_connections_fails_at_once(database, query):
    name = database.url.rpartition("/")[2] + "_closed"
    query(database, f"CREATE DATABASE {name} ALLOW_CONNECTIONS false")
    with pytest.raises(hp.ConfigurationError, match="not currently accepting connections"):
        load_one_row(hp.Postgres(f"{database.url.rpartition('/')[0]}/{name}", retry=LONG_RETRY))


class TlsProxy:
    """A TLS proxy of a server without TLS. `how` ends its first connection when rows are staged."""

    def __init__(self, port, certificate, how):
        self._target, self._how = port, how
        self.done = threading.Event()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with contextlib.suppress(OSError):
            client.recv(8)  # SSLRequest
            client.sendall(b"S")
            secure = self._context.wrap_socket(client, server_side=True)
            server = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=self._pump_down, args=(server, secure), daemon=True).start()
            while data := secure.recv(1 << 16):
                if b"COPY holded_stage" in data and not self.done.is_set():
                    self.done.set()
                    self._how(secure)
                    break
                server.sendall(data)
            server.close()

    def _pump_down(self, server, secure):
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                secure.sendall(data)


def fin(secure):
    with socket.socket(fileno=secure.detach()) as plain:
        plain.shutdown(socket.SHUT_WR)
        time.sleep(0.1)


def reset(secure):
    with socket.socket(fileno=secure.detach()) as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def noise(secure):
    with socket.socket(fileno=secure.detach()) as plain:
        plain.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        time.sleep(0.1)


@pytest.fixture
def over_tls(database, certificate):
    made = []

    def make(how, options="sslmode=require"):
        url = make_url(database.url)
        made.append(TlsProxy(url.port, certificate, how))
        there = url.set(port=made[-1].port).render_as_string()
        return hp.Postgres(f"{there}?{options}", retry=hp.Retry(8, first_wait=0.05)), made[-1].done

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("how", [fin, reset, noise])
def test_a_connection_that_breaks_under_tls_costs_an_attempt(over_tls, how):
    db, done = over_tls(how)
    assert load_one_row(db).inserted == 1
    assert done.is_set()


def test_a_certificate_that_is_not_trusted_fails_at_once(over_tls):
    for options in ("sslmode=verify-full&sslrootcert=/nowhere", "sslmode=verify-full&sslrootcert=system"):
        db, _ = over_tls(fin, options)
        began = time.monotonic()
        with pytest.raises(hp.ConfigurationError, match="certificate"):
            load_one_row(attrs.evolve(db, retry=LONG_RETRY))
        assert time.monotonic() - began < 20


@pytest.mark.parametrize("setting", ["transaction_timeout", "idle_in_transaction_session_timeout"])
def test_a_transaction_that_the_server_ends_is_retried(database, query, monkeypatch, setting):
    query(database, f"ALTER DATABASE {database.url.rpartition('/')[2]} SET {setting} = '300ms'")
    slow = [0.6]
    if setting == "transaction_timeout":
        query(database, "CREATE SEQUENCE tries")
        query(
            database,
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF nextval('tries') = 1 THEN PERFORM pg_sleep(0.6); END IF; RETURN NULL; END $$",
        )
        query(database, "CREATE TRIGGER wait BEFORE INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION wait()")
    else:
        copy = staging_table.copy_lines
        monkeypatch.setattr(
            staging_table, "copy_lines", lambda *given: (time.sleep(slow.pop() if slow else 0), copy(*given))
        )
    assert load_one_row(attrs.evolve(database, retry=hp.Retry(20, first_wait=0.05))).inserted == 1
