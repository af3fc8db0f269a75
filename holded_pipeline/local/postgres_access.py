"""Who may connect to the local PostgreSQL: a user and a superuser, by passwords that a file of the folder keeps."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from holded_pipeline.local.ports import HOST
from holded_pipeline.local.private_files import describe_file_error, open_private, write_private
from holded_pipeline.model.errors import ConfigurationError

USER = "holded"
"""It owns its databases and may create databases and users. It is no superuser: it reads no file of the machine and
runs no program, so that its password, handed to another program, opens the data and not the account of who runs the
server. In a folder of an earlier version it was the first user of the cluster, and that one stays a superuser."""
SUPERUSER = "postgres"
_CREATE = {USER: "LOGIN CREATEDB CREATEROLE", SUPERUSER: "LOGIN SUPERUSER"}
_RULES = f"""\
# Written by holded_pipeline.local at each start.
# TYPE  DATABASE  USER  ADDRESS       METHOD
host    all       all   {HOST}/32  scram-sha-256
"""


class PostgresAccess:
    """The passwords of one server, and its rules about connections.

    Args:
        data: the server's data folder; the passwords are beside it.
    """

    def __init__(self, data: Path) -> None:
        self._rules = data / "pg_hba.conf"
        self._file = data.with_name("postgres.passwords.json")

    @property
    def is_set(self) -> bool:
        """Whether the server has passwords; that of a new folder or of an earlier version has none."""
        return self._file.exists()

    def password(self, user: str) -> str:
        """The password of a user.

        Raises:
            ConfigurationError: the file cannot be read, or has no password of that user.
        """
        try:
            with open(self._file, encoding="utf-8", opener=open_private) as file:
                return str(json.load(file)[user])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(
                f"{self._file} has no password of the database's user {user} ({describe_file_error(error)}); restore "
                "it, or remove it while the servers are stopped: the next start sets new passwords and keeps the data"
            ) from error

    def forget(self) -> None:
        """Before a new cluster is created, which does not know the passwords of the old one."""
        self._file.unlink(missing_ok=True)

    def keep(self, passwords: dict[str, str]) -> None:
        """For the next start. To be called when the server knows them."""
        write_private(self._file, json.dumps(passwords))

    def write_rules(self, owner: int | None) -> None:
        """Every connection needs a password, whatever an earlier version wrote."""
        write_private(self._rules, _RULES, owner=owner)


def new_passwords() -> dict[str, str]:
    """One for each user that no one guesses, with no character that a URL or SQL gives a meaning."""
    return {user: secrets.token_hex(24) for user in _CREATE}


def set_passwords_sql(passwords: dict[str, str]) -> str:
    """For PostgreSQL's single-user mode, where a line is a statement: creates the users if need be."""
    lines = []
    for user, password in passwords.items():
        create = f"CREATE ROLE {user} {_CREATE[user]}"
        lines.append(f"DO $$ BEGIN {create}; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        lines.append(f"ALTER ROLE {user} PASSWORD '{password}'")
    # What people who try out failures need: to end sessions of others, to write a checkpoint, to see what goes on.
    lines.append(f"GRANT pg_signal_backend, pg_checkpoint, pg_monitor TO {USER}")
    # What it grants itself of the users that it creates: to act as they do, as a superuser can.
    lines.append(f"ALTER ROLE {USER} SET createrole_self_grant = 'set, inherit'")
    return "".join(f"{line}\n" for line in lines)
