"""Files and folders that only their owner may read and write, whatever the process's umask is."""

from __future__ import annotations

import os
from pathlib import Path

from holded_pipeline.model.errors import ConfigurationError

UMASK = 0o077
"""For the servers: what they create is their owner's alone."""


def private_folder(folder: Path) -> Path:
    """Creates a folder, or takes away what others may do in it.

    Raises:
        ConfigurationError: it belongs to another user, who could change what is in it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = folder.stat().st_uid
    if owner != os.geteuid():  # root could take it, and lock its owner out
        raise ConfigurationError(
            f"{folder} belongs to another user (id {owner}), who could read and change what is in it; give a folder of "
            "your own, or a new one in it"
        )
    folder.chmod(0o700)
    return folder


def describe_file_error(error: Exception) -> str:
    """What is wrong with a file of JSON, without its content."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "it is empty or damaged" if isinstance(error, ValueError) else "it is of another form"


def open_private(path: str | Path, flags: int) -> int:
    """Opens a file, created for its owner alone; to be given to `open` as its `opener`."""
    descriptor = os.open(path, flags, 0o600)
    if os.fstat(descriptor).st_mode & UMASK:
        os.fchmod(descriptor, 0o600)  # an earlier version created it for all to read
    return descriptor


def write_private(path: Path, text: str, *, owner: int | None = None) -> None:
    """Writes a file at once: who reads it finds the old text or the new one. A link of this name is replaced.

    Args:
        path: the file.
        text: what it says then.
        owner: the id of the user and the group it is given to; None for those of this process.
    """
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with open(new, "x", encoding="utf-8", errors="surrogateescape", opener=open_private) as file:
        file.write(text)
        if owner is not None:
            os.fchown(file.fileno(), owner, owner)
        file.flush()
        os.fsync(file.fileno())  # else a power loss may leave an empty file of this name
    new.replace(path)
