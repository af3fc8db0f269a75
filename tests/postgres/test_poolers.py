"""Loads through a real pgbouncer, whose clients share sessions, and in sessions that outlive what they knew."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from table_contents import load_rows, rows_of, run_statements

import holded_pipeline as hp
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.table_loader import TableLoader

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
needs_pgbouncer = pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed (Debian: pgbouncer)")
CONFIG = """
[databases]
* = host=127.0.0.1 port={port} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
auth_type = trust
auth_file = {folder}/users
unix_socket_dir =
logfile = {folder}/log
pool_mode = {mode}
default_pool_size = {size}
"""


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@pytest.fixture
def pooled(db):
    """Gives a function that starts a pgbouncer before the database."""
    running = []
    folders = []

    def start(mode: str = "transaction", size: int = 1) -> hp.Postgres:
        url = make_url(db.url)
        port = free_port()
        folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))  # the user it runs as cannot reach pytest's folders
        folders.append(folder)
        (folder / "users").write_text(f'"{url.username}" ""\n')
        (folder / "config").write_text(
            CONFIG.format(
                port=url.port,
                password=db.password.reveal(),
                listen_port=port,
                folder=folder,
                mode=mode,
                size=size,
            )
        )
        as_user = []
        if os.geteuid() == 0:  # as which it does not run
            for each in (folder, *folder.iterdir()):
                os.chown(each, 65534, 65534)
            as_user = ["-u", "nobody"]
        running.append(subprocess.Popen([PGBOUNCER, "-q", *as_user, str(folder / "config")]))
        through = hp.Postgres(
            str(url.set(host="127.0.0.1", port=port)), retry=hp.Retry(20, first_wait=0.05, longest_wait=0.2)
        )
        wait_for(port)
        return through

    yield start
    for process in running:
        process.send_signal(signal.SIGINT)
        process.wait(20)
    for folder in folders:
        shutil.rmtree(folder)


def wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"nothing listens on port {port}")


def table_of(name: str, kind=sa.Text) -> sa.Table:
    return sa.Table(name, sa.MetaData(), sa.Column("k", sa.Integer, primary_key=True), sa.Column("v", kind))


def loader_of(db: hp.Postgres, table: sa.Table) -> TableLoader:
    return TableLoader(db, table, on_conflict="ignore", keep="first")


def load_range(loader: TableLoader, table: sa.Table, numbers, value="x"):
    form = RowFormat(table)
    rows = [{"k": number, "v": value} for number in numbers]
    return loader.load(("k", "v"), [form.line(row, ("k", "v")) for row in rows])


@needs_pgbouncer
@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_loads_of_several_tables_through_shared_sessions_lose_nothing(db, pooled, mode):
    tables = [table_of("a"), table_of("b")]
    for table in tables:
        table.metadata.create_all(db.engine())
    through = pooled(mode, size=1 if mode == "transaction" else 4)
    loaders = [loader_of(through, table) for table in tables]
    for turn in range(12):
        for table, loader in zip(tables, loaders, strict=True):
            loaded = load_range(loader, table, range(10 * turn, 10 * turn + 10))
            assert (loaded.inserted, loaded.duplicates, loaded.rejected) == (10, 0, ())
    for loader in loaders:
        loader.close()
    assert [rows_of(db, f"SELECT count(*), max(k) FROM {name}") for name in "ab"] == [[(120, 119)]] * 2


@needs_pgbouncer
def test_nothing_stays_in_a_session_that_others_use(db, pooled):
    table = table_of("a")
    table.metadata.create_all(db.engine())
    through = pooled()
    for _ in range(2):  # a good batch, and one with a bad row, which is found among staged texts
        load_rows(through, table, [{"k": n, "v": "x"} for n in range(8)])
        run_statements(db, "ALTER TABLE a ADD CHECK (v <> 'bad')")
        load_rows(through, table, [{"k": n, "v": "x" if n != 23 else "bad"} for n in range(20, 28)])
        run_statements(db, "ALTER TABLE a DROP CONSTRAINT a_v_check")
    leftover = rows_of(through, "SELECT relname FROM pg_class WHERE relpersistence = 't'")
    assert leftover == []
    assert rows_of(through, "SELECT name FROM pg_prepared_statements") == []
    assert rows_of(db, "SELECT count(*) FROM a") == [(15,)]


@needs_pgbouncer
def test_migrations_lookups_and_the_business_tables_work_through_a_pooler(db, pooled):
    through = pooled()
    hp.migrate(through)
    hp.migrate(through)
    assert hp.verify_analytics(through) == []


@pytest.mark.parametrize("how", ["ALTER TABLE a ALTER v TYPE timestamptz USING v AT TIME ZONE 'UTC'", "swap"])
def test_staged_rows_have_the_types_that_the_table_has_now(db, how):
    run_statements(db, "SET timezone = 'UTC'", "CREATE TABLE a (k int PRIMARY KEY, v timestamp)")
    table = table_of("a")
    loader = loader_of(db, table)
    load_range(loader, table, [1], "2026-01-01T10:00:00+02:00")
    if how == "swap":
        run_statements(
            db, "CREATE TABLE b (k int PRIMARY KEY, v timestamptz)", "ALTER TABLE a RENAME TO old",
            "ALTER TABLE b RENAME TO a",
        )  # fmt: skip
    else:
        run_statements(db, how)
    load_range(loader, table, [2], "2026-01-01T10:00:00+02:00")
    loader.close()
    assert rows_of(db, "SELECT v AT TIME ZONE 'UTC' = '2026-01-01 08:00' FROM a WHERE k = 2") == [(True,)]


def test_a_connection_that_became_read_only_is_replaced(db):
    table = table_of("a")
    table.metadata.create_all(db.engine())
    loader = loader_of(db, table)
    assert load_range(loader, table, [1]).inserted == 1
    with loader._engine.connect() as connection:  # as after a failover: this session's server takes no writes any more
        raw = connection.connection.driver_connection
        raw.execute("SET default_transaction_read_only = on")
        raw.commit()
    started = time.monotonic()
    assert load_range(loader, table, [2]).inserted == 1
    assert time.monotonic() - started < db.retry.deadline
    loader.close()


def test_a_role_that_may_not_write_is_a_setting_and_said_at_once(db):
    table = table_of("a")
    table.metadata.create_all(db.engine())
    name = make_url(db.url).database
    run_statements(db, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    loader = loader_of(db, table)
    with pytest.raises(hp.ConfigurationError, match="default_transaction_read_only is on for this database; reset it"):
        load_range(loader, table, [1])
    loader.close()


def test_a_statement_timeout_of_the_role_is_named(db):
    table = table_of("a")
    table.metadata.create_all(db.engine())
    run_statements(
        db,
        f"ALTER DATABASE \"{make_url(db.url).database}\" SET statement_timeout = '100ms'",
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$",
        "CREATE TRIGGER slow BEFORE INSERT ON a FOR EACH STATEMENT EXECUTE FUNCTION slow()",
    )
    loader = loader_of(hp.Postgres(db.url, retry=hp.Retry(0.5, first_wait=0.05, longest_wait=0.1)), table)
    with pytest.raises(hp.TransientError, match=r"within 0\.5 s.*statement_timeout of the role or the database"):
        load_range(loader, table, [1])
    loader.close()


def test_the_last_attempt_is_made_at_the_deadline():
    attempts = []

    def attempt():
        attempts.append(time.monotonic())
        raise ConnectionError

    started = time.monotonic()
    with pytest.raises(hp.TransientError):
        hp.Retry(1.0, first_wait=0.6, longest_wait=30).call(attempt, server="it", is_transient=lambda error: True)
    assert attempts[-1] - started >= 1.0


@pytest.mark.parametrize(
    ("text", "threshold"), [("", None), ("?prepare_threshold=7", 7), ("?prepare_threshold=none", None)]
)
def test_the_server_prepares_statements_only_on_request(db, text, threshold):
    with hp.Postgres(db.url + text).engine().connect() as connection:
        assert connection.connection.driver_connection.prepare_threshold == threshold


def test_a_wrong_prepare_threshold_is_an_error():
    with pytest.raises(ValueError, match="prepare_threshold .* is a number or none, got 'x'"):
        hp.Postgres("postgresql://u@h/d?prepare_threshold=x")
