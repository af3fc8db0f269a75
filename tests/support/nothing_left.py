"""Hooks of pytest that fail a run which leaves a file or a process behind.

Everything that a run puts into the temporary folder goes into one of its own, which is removed at the end. Processes of
the run are known by the variable TMPDIR, which names that folder.
"""

from __future__ import annotations

import multiprocessing.util
import os
import re
import shutil
import tempfile
import time
from pathlib import Path

import psutil
import pytest

_PREFIX = "holded-tests-"
_OF_MULTIPROCESSING = "pymp-"  # its folder and its processes end with this process
_KEPT_FOR_THE_NEXT_RUN = {"beam-requirements-cache", "dask-scratch-space"}  # by Beam and Dask, in any process
# The names that Python and Beam give: a process that a test kills, or that is forked, has no end in which it removes
# them. They go with the folder of the run.
_OF_KILLED_PROCESSES = re.compile(r"(tmp|beam-pipeline-temp)\w{8}")
_PATIENCE = 20.0  # seconds in which the last processes may end
_folder = pytest.StashKey[Path]()
_left = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Makes the folder of the run, in the process that starts the others."""
    place = Path(tempfile.gettempdir())
    if hasattr(config, "workerinput"):
        return  # its environment is that of the process that started it
    # pytest keeps the folders of tests that failed. They stay where people look for them.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(place))
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    folder.chmod(0o711)  # PostgreSQL as another user passes through
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    config.stash[_folder] = folder
    # After multiprocessing has removed its own folder, which is inside.
    multiprocessing.util.Finalize(None, shutil.rmtree, (folder,), {"ignore_errors": True}, exitpriority=-200)


@pytest.hookimpl(trylast=True)  # after xdist has ended its workers
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Looks what is left, and fails the run."""
    folder = session.config.stash.get(_folder, None)
    if folder is None:
        return
    processes = left_processes(folder)
    files = [path.name for path in folder.iterdir() if not _is_of_others(path)]
    left = [*processes, *sorted(f"the file or folder {name}" for name in files)]
    session.config.stash[_left] = left
    if left and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says what is left."""
    for each in config.stash.get(_left, []):
        terminalreporter.write_line(f"ERROR left behind by this run: {each}", red=True)


def _is_of_others(path: Path) -> bool:
    name = path.name
    known = name.startswith(_OF_MULTIPROCESSING) or name in _KEPT_FOR_THE_NEXT_RUN
    return known or _OF_KILLED_PROCESSES.fullmatch(name) is not None


def left_processes(folder: Path) -> list[str]:
    """The processes of the run whose temporary folder this is, after those that are ending have ended."""
    until = time.monotonic() + _PATIENCE
    while (found := _processes_of(folder)) and time.monotonic() < until:
        time.sleep(0.2)
    return found


def _processes_of(folder: Path) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            of_this_run = process.pid != os.getpid() and process.environ().get("TMPDIR", "").startswith(str(folder))
            command = " ".join(process.cmdline())
            if of_this_run and command and "from multiprocessing." not in command:  # a zombie has none
                found.append(f"the process {process.pid}: {command[:200]}")
        except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            continue
    return found
