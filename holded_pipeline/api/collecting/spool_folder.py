"""A folder of the spool: a file for each group, owned by one process at a time.

A file is complete on the disk before it has its name: it is written under another name, synced, renamed, and the
folder is synced. What a crash leaves under the other name was never acknowledged.

The root has a folder for each process, `<bucket>.<random>`, with a lock file that is locked while the process lives.
When it has ended, any other process may take the folder over.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

_GROUP: Final = ".group"
_PART: Final = ".part"
_DAMAGED: Final = ".damaged"
_LOCK: Final = "lock"
_READABLE_BY_OTHERS: Final = 0o077
_logger = logging.getLogger("holded_pipeline.api")
_reported: set[Path] = set()  # folders that are not used; each is reported once


class SpoolFolder:
    """A locked folder; see `create` and `take_over`.

    Args:
        path: the folder.
        lock: the open lock file.
        fsync: writes a file or a folder through to the disk.
    """

    def __init__(self, path: Path, lock: int, fsync: Callable[[int], None] = os.fsync) -> None:
        self.path = path
        self._lock = lock
        self._fsync = fsync
        self._folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        self._naming = threading.Lock()
        self._last_name = max((_time_of(name) for name, _ in self.groups()), default=0)

    @classmethod
    def create(cls, root: Path, bucket: str, fsync: Callable[[int], None] = os.fsync) -> SpoolFolder:
        """Creates and locks a new folder below the root; the root, too, if it is not there.

        Raises:
            OSError: it cannot be created, written or synced.
        """
        _make_root(root, fsync)
        while True:
            path = root / f"{bucket}.{secrets.token_hex(6)}"
            path.mkdir(mode=0o700)
            with contextlib.suppress(FileNotFoundError):  # another process took it over before it was locked
                if (lock := _locked(path)) is not None:
                    _sync_folder(root, fsync)  # else a power failure may remove the folder with all that is in it
                    return cls(path, lock, fsync)

    @classmethod
    def take_over(cls, root: Path, bucket: str, fsync: Callable[[int], None] = os.fsync) -> Iterator[SpoolFolder]:
        """Locks the folders of this bucket that no process has, those with groups; removes the empty ones.

        A folder that others could have written to is not taken, since its events could be anybody's.
        """
        for path in sorted(root.iterdir()):
            if path.name.rpartition(".")[0] != bucket:
                continue
            try:
                folder = _left_folder(path, fsync)
            except FileNotFoundError:  # its process has just ended and removed it
                continue
            except OSError as error:
                _logger.error("the spool folder %s cannot be read: %s; see to the disk", path, error)  # noqa: TRY400
                continue
            if folder is not None and folder.groups():
                yield folder
            elif folder is not None:
                folder.close()

    def groups(self) -> list[tuple[str, int]]:
        """Name and bytes of each group, oldest first."""
        return [(name, self._size(name)) for name in sorted(self._names()) if name.endswith(_GROUP)]

    def add(self, content: bytes) -> str:
        """Returns the name of the group's file when it is on the disk.

        Raises:
            OSError: it is not, or that is not known; the file is removed.
        """
        name = self._next_name()
        part = name.replace(_GROUP, _PART)
        try:
            self._write(part, content)
            os.rename(part, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            self._fsync(self._folder)
        except OSError:
            # A failed sync is not repeated: the system may have dropped the data, and then says that all is well.
            for each in (part, name):
                with contextlib.suppress(OSError):
                    os.unlink(each, dir_fd=self._folder)
            raise
        return name

    def try_disk(self) -> None:
        """Returns if a small file can be written through to the disk.

        Raises:
            OSError: it cannot.
        """
        name = self._next_name().replace(_GROUP, _PART)
        try:
            self._write(name, b"a test of the disk\n")
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._folder)

    def read(self, name: str) -> bytes:
        """The content of a group's file.

        Raises:
            OSError: it cannot be read.
        """
        with os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=self._folder), "rb") as file:
            return file.read()

    def remove(self, name: str) -> None:
        """Removes a group that is stored. Not synced: if the file comes back, the same object is written again."""
        os.unlink(name, dir_fd=self._folder)

    def keep_damaged(self, name: str) -> Path:
        """Renames a damaged file, so that it is kept and not read again; returns its path."""
        kept = name.replace(_GROUP, _DAMAGED)
        os.rename(name, kept, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        return self.path / kept

    def remove_parts(self) -> None:
        """Removes what a crash left of groups that were never acknowledged."""
        for name in self._names():
            if name.endswith(_PART):
                os.unlink(name, dir_fd=self._folder)

    def free_bytes(self) -> int:
        """Bytes that the disk has left for this process; 0 if it does not say, or the folder is gone."""
        try:
            if not os.fstat(self._folder).st_nlink:
                return 0
            disk = os.statvfs(self._folder)
        except OSError:
            return 0
        return 0 if disk.f_flag & os.ST_RDONLY else disk.f_bavail * disk.f_frsize

    def close(self) -> None:
        """Releases the folder; removes it if nothing is in it."""
        with contextlib.suppress(OSError):  # it stays if it has groups, or if the disk is read-only
            if self._names() == [_LOCK]:
                os.unlink(_LOCK, dir_fd=self._folder)  # while it is locked, so that nobody locks a file without a name
                self.path.rmdir()
        os.close(self._folder)
        os.close(self._lock)

    def _write(self, name: str, content: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        file = os.open(name, flags, 0o600, dir_fd=self._folder)
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(file, rest) :]
            self._fsync(file)
        finally:
            os.close(file)

    def _next_name(self) -> str:
        with self._naming:
            self._last_name = max(time.time_ns(), self._last_name + 1)  # in order, even if the clock is set back
            return f"{self._last_name:020d}{_GROUP}"

    def _names(self) -> list[str]:
        return os.listdir(self._folder)  # noqa: PTH208  pathlib has no open folders

    def _size(self, name: str) -> int:
        return os.stat(name, dir_fd=self._folder, follow_symlinks=False).st_size


def received_seconds(name: str) -> float:
    """When a group was written, in seconds since 1970, by its name."""
    return _time_of(name) / 1e9


def _time_of(name: str) -> int:
    digits = name.removesuffix(_GROUP)
    return int(digits) if digits.isdecimal() else 0


def _make_root(root: Path, fsync: Callable[[int], None]) -> None:
    if root.is_dir():
        return
    _make_root(root.parent, fsync)
    with contextlib.suppress(FileExistsError):
        root.mkdir(mode=0o700)
    _sync_folder(root.parent, fsync)


def _sync_folder(path: Path, fsync: Callable[[int], None]) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fsync(folder)
    finally:
        os.close(folder)


def _is_private(path: Path) -> bool:
    found = path.lstat()
    is_private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    if is_private and not found.st_mode & _READABLE_BY_OTHERS:
        return True
    if path in _reported:
        return False
    _reported.add(path)
    _logger.warning(
        "the spool folder %s is not used: it is not a folder of this user alone. If its events are yours: chown it to "
        "the user of the API, and chmod 700",
        path,
    )
    return False


def _left_folder(path: Path, fsync: Callable[[int], None]) -> SpoolFolder | None:
    """The folder, locked; None if it is not only this user's, or a process has it."""
    if not _is_private(path) or (lock := _locked(path)) is None:
        return None
    try:
        folder = SpoolFolder(path, lock, fsync)
    except OSError:
        os.close(lock)
        raise
    folder.remove_parts()
    return folder


def _locked(path: Path) -> int | None:
    """The open, locked lock file of a folder; None if another process has it, or has just removed the folder."""
    import fcntl  # noqa: PLC0415  Windows does not have it, and nothing else of the API needs it

    lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    if os.fstat(lock).st_nlink:
        return lock
    os.close(lock)
    return None
