"""Who may connect to the local PostgreSQL: one user, by a password that a file of the folder keeps."""

from __future__ import annotations

import secrets
from pathlib import Path

from holded_pipeline.local.ports import HOST
from holded_pipeline.local.private_files import open_private, write_private

USER = "holded"
"""It owns its databases and may create databases and users. It is no superuser: it reads no file of the machine and
runs no program, so that a password that leaks opens the data and not the account of who runs the server. In a folder
of an earlier version it was the first user of the cluster, and such a user stays a superuser."""
SUPERUSER = "postgres"
"""It has no password, and so it cannot connect."""
_RULES = f"""\
# Written by holded_pipeline.local at each start.
# TYPE  DATABASE  USER  ADDRESS       METHOD
host    all       all   {HOST}/32  scram-sha-256
"""


class PostgresAccess:
    """The password of one server, and its rules about connections.

    Args:
        data: the server's data folder; the password is beside it.
    """

    def __init__(self, data: Path) -> None:
        self._rules = data / "pg_hba.conf"
        self._file = data.with_name("postgres.password")

    def password(self) -> str | None:
        """The password; None if the server has none, as one of a new folder or of an earlier version."""
        try:
            with open(self._file, encoding="ascii", opener=open_private) as file:
                return file.read().strip() or None
        except FileNotFoundError:
            return None

    def forget_password(self) -> None:
        """Before a new cluster is created, which does not know the password of the old one."""
        self._file.unlink(missing_ok=True)

    def keep_password(self, password: str) -> None:
        """For the next start. To be called when the server knows it."""
        write_private(self._file, f"{password}\n")

    def write_rules(self, owner: int | None) -> None:
        """Every connection needs a password, whatever an earlier version wrote."""
        write_private(self._rules, _RULES, owner=owner)


def new_password() -> str:
    """A password that no one guesses, with no character that a URL or SQL gives a meaning."""
    return secrets.token_hex(24)


def set_password_sql(password: str) -> str:
    """For PostgreSQL's single-user mode, where a line is a statement: creates the user if need be."""
    create = f"CREATE ROLE {USER} LOGIN CREATEDB CREATEROLE"
    return (
        f"DO $$ BEGIN {create}; EXCEPTION WHEN duplicate_object THEN NULL; END $$\n"
        # What it grants itself of the users that it creates: to act as they do, as a superuser can.
        f"ALTER ROLE {USER} SET createrole_self_grant = 'set, inherit'\n"
        f"ALTER ROLE {USER} PASSWORD '{password}'\n"
    )
