"""What is recorded of how a run was started: its arguments without secrets, and the versions of what ran."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final

CODE_VERSION: Final = "HOLDED_CODE_VERSION"
_HIDDEN: Final = "***"
_SECRET_NAME: Final = re.compile(
    r"secret|passw|pwd|token|credential|auth|(^|[_-])(api|access|private|account)?_?key", re.IGNORECASE
)
_PASSWORD_IN_URL: Final = re.compile(r"(?<=://)([^/\s:@]*):(\S+)@")
_SECRET_IN_QUERY: Final = re.compile(r"(?i)([?&](?:password|sslpassword|token|secret|sig|signature|key)=)[^&\s]+")
# libpq's own form: host=h password=x, or password='x y'. What stands in a query is found by the one above.
_SECRET_IN_CONNINFO: Final = re.compile(
    r"""(?i)(?<![?&\w])(\w*password\s*=\s*)(?:'(?:[^'\\]|\\.)*'?|(?:[^\s'\\]|\\.)(?:[^\s\\]|\\.)*)"""
)
_LONGEST: Final = 2_000
_GIT_SECONDS: Final = 2.0


def without_secrets(text: str, secrets: Iterable[str] = ()) -> str:
    """A text without the passwords of URLs and of libpq's key/value strings in it, and without these secrets."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, _HIDDEN)
    text = _SECRET_IN_CONNINFO.sub(rf"\1{_HIDDEN}", _PASSWORD_IN_URL.sub(rf"\1:{_HIDDEN}@", text))
    return _SECRET_IN_QUERY.sub(rf"\1{_HIDDEN}", text)


def recordable(arguments: Mapping[str, Any], secrets: Iterable[str] = ()) -> dict[str, Any]:
    """Arguments as JSON holds them; the value of one whose name says that it is secret is `***`."""
    return {
        str(name): _HIDDEN if value is not None and _SECRET_NAME.search(str(name)) else _recordable(value, secrets)
        for name, value in arguments.items()
    }


def _recordable(value: Any, secrets: Iterable[str]) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping):
        return recordable(value, secrets)
    if isinstance(value, list | tuple | set | frozenset):
        return [_recordable(each, secrets) for each in value]
    text = value if isinstance(value, str) else repr(value)  # of a Secret the repr has no value
    return without_secrets(text.replace("\0", ""), secrets)[:_LONGEST]


def versions(code_version: str | None = None) -> dict[str, str]:
    """The versions of this library, of Beam, of Python, and of the user's code where it is known."""
    found = {"python": platform.python_version()}
    for package in ("holded-pipeline", "apache-beam"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # the sources without an installation
            continue
    code = code_version or os.environ.get(CODE_VERSION) or _git_commit()
    return found | ({"code": code} if code else {})


def _git_commit() -> str | None:
    """The commit of the program's folder, with a plus behind it if files differ from it; None if it has none."""
    program = getattr(sys.modules.get("__main__"), "__file__", None)
    folder = Path(program).resolve().parent if program else Path.cwd()
    command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
    try:
        done = subprocess.run(  # noqa: S603  the command is fixed
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=_GIT_SECONDS,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
