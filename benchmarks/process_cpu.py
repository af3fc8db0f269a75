"""CPU seconds of the local servers' processes, for benchmarks that tell the servers' share from the workers'."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import psutil


def postgres_process(data_directory: str) -> psutil.Process:
    """The first process of the PostgreSQL server with a data directory."""
    text = (Path(data_directory) / "postmaster.pid").read_text(encoding="utf-8")
    return psutil.Process(int(text.splitlines()[0]))


def store_processes() -> list[psutil.Process]:
    """The processes of the local store among the children of this one."""
    return [each for each in psutil.Process().children(recursive=True) if each.name().startswith("weed")]


def cpu_seconds(*roots: psutil.Process) -> float:
    """CPU seconds of some processes and of their children, of those that have ended too."""
    total = 0.0
    for root in roots:
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                ended: Sequence[float] = (times.children_user, times.children_system)
                total += times.user + times.system + sum(ended)
    return total
