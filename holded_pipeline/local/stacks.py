"""Both servers together, over one folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal

from holded_pipeline.local.postgres_server import PostgresServer
from holded_pipeline.local.process import Reaper
from holded_pipeline.local.seaweedfs import SeaweedFS
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.store.minio import MinIO

_LOCK_SECONDS = 10.0  # a stack that was killed needs a moment to be tidied up after
How = Literal["stop", "crash"]
_SIGNALS: dict[How, signal.Signals] = {"stop": signal.SIGINT, "crash": signal.SIGKILL}


class Stack:
    """A running S3 server and a running PostgreSQL. Made by `stack()`.

    Attributes:
        minio: the store, with its bucket.
        postgres: the database.
        folder: where their data are.
    """

    minio: MinIO
    postgres: Postgres
    folder: Path

    def __init__(self, folder: Path, *, bucket: str, database: str, safety_net: Reaper) -> None:
        self.folder = folder
        self._turns = threading.RLock()  # a start waits for the end of a stop, whichever thread asks
        logs = _made(folder / "logs")
        self._seaweedfs = SeaweedFS(_made(folder / "minio"), logs, safety_net)
        self._postgres = PostgresServer(folder / "postgres", logs, safety_net)
        try:
            self._seaweedfs.start()
            self._postgres.start()
            self.minio = self._bucket(bucket)
            self.postgres = self._postgres.create_database(database)
        except BaseException:
            self._stop()
            raise

    def new_bucket(self) -> MinIO:
        """An empty bucket of its own on the same server: a test's, say."""
        return self._bucket(f"bucket-{secrets.token_hex(6)}")

    def new_database(self) -> Postgres:
        """An empty database of its own on the same server: a test's, say."""
        return self._postgres.create_database(f"database_{secrets.token_hex(6)}")

    def stop_minio(self, how: How = "stop") -> None:
        """Takes the store away, in order or as by a crash, to see what a pipeline does about it."""
        with self._turns:
            self._seaweedfs.stop(_SIGNALS[how])

    def start_minio(self) -> None:
        """Brings the store back, if it is away: same endpoint, same keys, same objects."""
        with self._turns:
            self._seaweedfs.start()

    def stop_postgres(self, how: How = "stop") -> None:
        """Takes the database away, in order or as by a crash, to see what a pipeline does about it."""
        with self._turns:
            self._postgres.stop(_SIGNALS[how])

    def start_postgres(self) -> None:
        """Brings the database back, if it is away: same URL, same rows."""
        with self._turns:
            self._postgres.start()

    def _bucket(self, name: str) -> MinIO:
        lake = self._seaweedfs.lake(name)
        filesystem = lake.filesystem()
        if not filesystem.exists(name):
            filesystem.mkdir(name)
        return lake

    def _stop(self, *, in_order: bool = False) -> None:
        """In order where the data are kept; else as quickly as leaves nothing behind."""
        with self._turns:
            try:
                self._postgres.stop(signal.SIGINT if in_order else signal.SIGQUIT)
            finally:
                self._seaweedfs.stop(signal.SIGINT if in_order else signal.SIGKILL)


@contextlib.contextmanager
def stack(
    folder: str | os.PathLike[str] | None = None, *, bucket: str = "holded", database: str = "holded_business"
) -> Iterator[Stack]:
    """Starts a real S3 server and a real PostgreSQL on free loopback ports, and stops them at the end.

    They are stopped and a temporary folder is removed however the block ends: at its end, by an exception, or by
    the end of the whole process, even by `kill -9`.

    Args:
        folder: where the data are kept; they are there again for the next stack over the same folder. None for a
            temporary one.
        bucket: the bucket of `stack.minio`, made if there is none.
        database: the database of `stack.postgres`, made if there is none.

    Yields:
        The running stack.

    Raises:
        ConfigurationError: the servers are not installed (the message says what to install), or another stack is
            running over this folder.
        StartError: a server did not come up; the message ends with its last words.
    """
    temporary = folder is None
    home = Path(tempfile.mkdtemp(prefix="holded-") if folder is None else folder).expanduser().resolve()
    if temporary:
        home.chmod(0o711)  # so that PostgreSQL can reach its part, should it have to run as another user
    home.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as closing:
        lock = closing.enter_context((home / ".lock").open("w"))
        _take(lock, home)
        safety_net = Reaper(keep_open=[lock.fileno()])
        closing.callback(safety_net.dismiss)
        if temporary:
            safety_net.remove(home)
            closing.callback(shutil.rmtree, home, ignore_errors=True)
        running = Stack(home, bucket=bucket, database=database, safety_net=safety_net)
        closing.callback(running._stop, in_order=not temporary)  # noqa: SLF001  not for users to call
        yield running


def _take(lock: IO[str], folder: Path) -> None:
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"another stack is running over {folder}; stop it, or give this one a folder of its own"
                ) from None
            time.sleep(0.1)
        else:
            return


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder
