"""By which libpq finds the passwords of local servers: a file that PGPASSFILE names, as long as they run.

So `psycopg.connect(stack.postgres.url)` and a `psql` that this process starts need no password in words. The file is in
the private folder of a stack. A PGPASSFILE of the user's own is left alone; lines of their `~/.pgpass` go on counting.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlalchemy.engine import make_url

from holded_pipeline.local.private_files import write_private
from holded_pipeline.postgres.postgres import Postgres

_VARIABLE: Final = "PGPASSFILE"
_MARK: Final = "# Local servers of holded_pipeline, as long as they run.\n"
_lock = threading.Lock()
_running: list[tuple[Path, list[str]]] = []
_inherited: list[str] = []
"""The file that this process inherited from one that runs local servers, if it did: its lines count, too."""


@contextlib.contextmanager
def passwords_for_libpq(folder: Path, users: list[Postgres]) -> Iterator[None]:
    """The time in which libpq finds the passwords of these users of a local server.

    Args:
        folder: a folder that only this user may enter.
        users: settings of any database of the server, one for each user.
    """
    entry = folder / "pgpass", [_line_of(user) for user in users]
    owner = os.getpid()
    with _lock:
        if _is_ours():
            if not _running:
                _inherited[:] = filter(None, [os.environ.get(_VARIABLE)])
            _running.append(entry)
            _name_the_newest()
    try:
        yield
    finally:
        with _lock:
            if entry in _running and os.getpid() == owner:  # else a forked child ends, and its parent goes on
                is_ours = _is_ours()
                _running.remove(entry)
                entry[0].unlink(missing_ok=True)
                if is_ours:
                    _name_the_newest()


def _line_of(user: Postgres) -> str:
    url = make_url(user.url)
    password = "" if user.password is None else user.password.reveal()
    return f"{url.host}:{url.port}:*:{url.username}:{password}\n"


def _is_ours() -> bool:
    """Whether the variable names no file of the user's own, who may set it at any time."""
    named = os.environ.get(_VARIABLE)
    return named is None or named == str(_current()) or _text_of_file(Path(named)).startswith(_MARK)


def _current() -> Path | None:
    return _running[-1][0] if _running else None


def _name_the_newest() -> None:
    newest = _current()
    if newest is None:
        os.environ.pop(_VARIABLE, None)
        if _inherited:
            os.environ[_VARIABLE] = _inherited[0]
        return
    lines = [_MARK, *(line for _, lines in _running for line in lines)]
    others = Path(_inherited[0]) if _inherited else Path("~/.pgpass").expanduser()
    with contextlib.suppress(OSError):
        write_private(newest, "".join(lines) + _text_of_file(others))
        os.environ[_VARIABLE] = str(newest)


def _text_of_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")  # any bytes, which are kept
    except OSError:
        return ""
