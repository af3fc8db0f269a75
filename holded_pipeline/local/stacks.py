"""Both servers together, over one folder."""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from sqlalchemy.engine import make_url

from holded_pipeline.local.folder_lock import acquire_folder
from holded_pipeline.local.password_file import passwords_for_libpq
from holded_pipeline.local.postgres_access import SUPERUSER
from holded_pipeline.local.postgres_server import PostgresServer
from holded_pipeline.local.private_files import open_private, private_folder
from holded_pipeline.local.process import Watchdog
from holded_pipeline.local.seaweedfs import SeaweedFS
from holded_pipeline.local.variables import variables_of
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.model.html_tables import html_fields
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.store.minio import MinIO

How = Literal["stop", "crash"]
_SIGNALS: dict[How, signal.Signals] = {"stop": signal.SIGINT, "crash": signal.SIGKILL}


class Stack:
    """A running S3 server and a running PostgreSQL, started by `stack()`.

    Attributes:
        minio: the store, with its bucket.
        postgres: the database.
        folder: where their data are.
    """

    minio: MinIO
    postgres: Postgres
    folder: Path

    def __init__(self, folder: Path, *, bucket: str, database: str, watchdog: Watchdog) -> None:
        self.folder = folder
        self._is_stopped = False
        self._lock = threading.RLock()  # one start or stop at a time, whichever thread asks
        logs = private_folder(folder / "logs")
        self._seaweedfs = SeaweedFS(private_folder(folder / "minio"), logs, watchdog)
        self._postgres = PostgresServer(folder / "postgres", logs, watchdog)
        try:
            self._seaweedfs.start()
            self._postgres.start()
            self.minio = self._create_bucket(bucket)
            self.postgres = self._postgres.create_database(database)
        except BaseException:
            self._stop()
            raise

    def new_bucket(self) -> MinIO:
        """Creates an empty bucket on the same server, for example for one test."""
        self._require_not_stopped()
        return self._create_bucket(f"bucket-{secrets.token_hex(6)}")

    def new_database(self) -> Postgres:
        """Creates an empty database on the same server, for example for one test."""
        self._require_not_stopped()
        return self._postgres.create_database(f"database_{secrets.token_hex(6)}")

    def superuser(self, db: Postgres) -> Postgres:
        """A database of this server as its superuser, for what only one may do, such as an event trigger."""
        return self._postgres.database(str(make_url(db.url).database), SUPERUSER)

    def environment(self) -> dict[str, str]:
        """Environment variables, the secrets included, by which other programs find both servers.

        `psql` and other clients of libpq, `aws` and other clients of S3, and `holded-pipeline` read them.
        """
        return variables_of(self.minio, self.postgres)

    def stop(self) -> None:
        """Stops both servers, if `start` has started them; a temporary folder is removed. A second call does nothing.

        Raises:
            ConfigurationError: `stack` has started them; they stop at the end of its block.
        """
        raise ConfigurationError("these servers stop at the end of their block: with hp.local.stack() as …")

    def __repr__(self) -> str:
        return f"<Stack {self.minio.endpoint}, {self.postgres.url}; data in {self.folder}>"

    def _repr_html_(self) -> str:
        fields = {
            "store": f"{self.minio.endpoint}, bucket {self.minio.bucket}",
            "database": self.postgres.url,
            "data": str(self.folder),
            "to stop": "call .stop(), or end this process",
        }
        return html_fields("Local servers", fields)

    def stop_minio(self, how: How = "stop") -> None:
        """Stops the store, in order or as by a crash, to see how a pipeline handles the outage."""
        with self._lock:
            self._seaweedfs.stop(_SIGNALS[how])

    def start_minio(self) -> None:
        """Starts the store again, unless it runs: same endpoint, same keys, same objects."""
        with self._lock:
            self._require_not_stopped()
            self._seaweedfs.start()

    def stop_postgres(self, how: How = "stop") -> None:
        """Stops the database, in order or as by a crash, to see how a pipeline handles the outage."""
        with self._lock:
            self._postgres.stop(_SIGNALS[how])

    def start_postgres(self) -> None:
        """Starts the database again, unless it runs: same URL, same rows."""
        with self._lock:
            self._require_not_stopped()
            self._postgres.start()

    def _require_not_stopped(self) -> None:
        if self._is_stopped:
            raise ConfigurationError(
                f"these servers have been stopped, and do not start again; start others over {self.folder}, if you "
                f'gave that folder: hp.local.start("{self.folder}")'
            )

    def _create_bucket(self, name: str) -> MinIO:
        lake = self._seaweedfs.lake(name)
        filesystem = lake.filesystem()
        if not filesystem.exists(name):
            filesystem.mkdir(name)
        return lake

    def _stop(self, *, in_order: bool = False) -> None:
        """Stops both servers: in order if their data are kept, else at once."""
        with self._lock:
            self._is_stopped = True
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
    the end of the whole process, even by `kill -9`. A forked child can use them, and its end leaves them alone.

    Args:
        folder: where the data are kept for the next stack over the same folder. None for a temporary folder.
        bucket: the bucket of `stack.minio`, created if it does not exist.
        database: the database of `stack.postgres`, created if it does not exist.

    Yields:
        The running stack.

    Raises:
        ConfigurationError: the servers are not installed (the message says what to install), or another stack is
            running over this folder.
        StartError: a server did not start; the message ends with the last lines of its log.
    """
    temporary = folder is None
    home = Path(tempfile.mkdtemp(prefix="holded-") if folder is None else folder).expanduser().resolve()
    private_folder(home)
    owner = os.getpid()
    with contextlib.ExitStack() as closing:
        lock = closing.enter_context(open(home / ".lock", "a+", opener=open_private))
        acquire_folder(lock, home)
        watchdog = Watchdog(keep_open=[lock.fileno()])
        closing.callback(watchdog.dismiss)
        if temporary:
            watchdog.remove(home)
            closing.callback(shutil.rmtree, home, ignore_errors=True)
        running = Stack(home, bucket=bucket, database=database, watchdog=watchdog)
        closing.callback(running._stop, in_order=not temporary)  # noqa: SLF001  not for users to call
        closing.enter_context(passwords_for_libpq(home, [running.postgres, running.superuser(running.postgres)]))
        try:
            yield running
        finally:
            if os.getpid() != owner:  # a forked child ends: the servers are its parent's
                closing.pop_all()


def start(
    folder: str | os.PathLike[str] | None = None, *, bucket: str = "holded", database: str = "holded_business"
) -> Stack:
    """Starts both servers as `stack` does, for a notebook: they run until `stop()`, or until this process ends.

    Args:
        folder: see `stack`.
        bucket: see `stack`.
        database: see `stack`.

    Returns:
        The running stack.

    Example:
        >>> servers = hp.local.start()
        >>> servers.stop()

    Raises:
        ConfigurationError: see `stack`.
        StartError: see `stack`.
    """
    closing = contextlib.ExitStack()
    running = closing.enter_context(stack(folder, bucket=bucket, database=database))
    running.stop = closing.close  # type: ignore[method-assign]
    atexit.register(closing.close)
    return running
