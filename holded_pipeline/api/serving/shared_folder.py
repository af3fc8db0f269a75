"""The temporary folder that a supervisor and its workers share: files of metrics, and Unix sockets."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import multiprocessing
import os
import re
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from holded_pipeline.api.this_worker import Worker

_PREFIX: Final = "holded-api-"
_SOCKET_PATH_BYTES: Final = 90  # a Unix socket's path has at most 104 to 108, with the name of the socket
_CONTENT: Final = re.compile(r"\d+\.sock|\w+\.db")
_MADE_SECONDS: Final = 60.0  # a younger folder may be one that its server has not locked yet
_logger = logging.getLogger("holded_pipeline.api")


@contextlib.contextmanager
def shared_folder() -> Iterator[Path]:
    """A temporary folder that only this user can open; those that killed servers have left are removed first."""
    default = tempfile.gettempdir()
    place = default if len(os.fsencode(default)) < _SOCKET_PATH_BYTES - 20 else "/tmp"  # noqa: S108
    remove_left_folders(Path(place))
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=place) as folder:
        descriptor = hold_folder(Path(folder))
        try:
            yield Path(folder)
        finally:
            os.close(descriptor)


def hold_folder(folder: Path) -> int:
    """Says that a process uses the folder, until it ends, however that is; returns the descriptor that holds it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return descriptor


def remove_left_folders(place: Path) -> None:
    """Removes the folders of servers that were killed together with all their workers.

    A folder stays if a process holds it or answers on one of its sockets, if it is another user's, a minute old at
    most, or has anything that no server makes.
    """
    for folder in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if _is_left(folder):
                shutil.rmtree(folder)
                _logger.info("removed %s, which a server has left that was killed", folder)


def _is_left(folder: Path) -> bool:
    found = folder.lstat()
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    if not is_ours or time.time() - found.st_mtime < _MADE_SECONDS:
        return False
    content = list(folder.iterdir())
    if not all(_CONTENT.fullmatch(each.name) for each in content) or any(map(_has_listener, folder.glob("*.sock"))):
        return False
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def require_private_folder(folder: Path) -> None:
    """Makes the shared folder again if it is gone: some systems remove temporary files that seem unused for days.

    Raises:
        OSError: it cannot be made, or another user has made it.
    """
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionError(errno.EPERM, "it is not a folder of this user alone; remove it", str(folder))


def remove_folder_of_the_dead(worker: Worker) -> None:
    """Removes the shared folder if the supervisor was killed and this worker is the last one."""
    parent = multiprocessing.parent_process()
    if parent is None or parent.is_alive():
        return
    if not any(_has_listener(worker.socket_of(number)) for number in range(worker.count)):
        shutil.rmtree(worker.folder, ignore_errors=True)


def _has_listener(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
        client.connect(str(path))
        return True
    return False
