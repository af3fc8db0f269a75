"""Processes of their own that start quickly: the library, and Beam with it, is imported once for all of them."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import dask
from quick_beam import keep_what_beam_works_out_again

_PATIENCE = 170.0
PRELOADED = [
    "holded_pipeline",
    "holded_pipeline.api",
    "holded_pipeline.store.client",
    "s3fs",
    "distributed",
    "frozen_imports",
]

Done = subprocess.CompletedProcess[str]


class Program:
    """A program of Python that runs; it has what `subprocess.Popen` has, without the seconds that its imports take.

    Args:
        words: its file and its arguments, or -m, a module and its arguments.
        outputs: the files to which its stdout and its stderr are appended.
        env: its environment; without it that of this process.
        folder: where it runs; without it where this process does.
    """

    def __init__(
        self,
        words: Sequence[object],
        outputs: tuple[Path, Path],
        *,
        env: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self._words = [str(each) for each in words]
        given = self._words, dict(os.environ if env is None else env), outputs, folder or Path.cwd()
        self._process = _process(_run_as_main, *given)
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._words, timeout or 0)
        return int(self._process.exitcode)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()


def run_script(
    path: Path | str, *arguments: object, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """What `python path arguments` prints and returns; instead of a path -m, and a module as the first argument."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(folder, "stdout"), Path(folder, "stderr")
        program = Program([path, *arguments], outputs, env=env)
        try:
            code = program.wait(_PATIENCE)
        finally:
            program.kill()
        return subprocess.CompletedProcess(
            [str(path), *map(str, arguments)], code, *(each.read_text(encoding="utf-8") for each in outputs)
        )


def run_without(package: str, script: str) -> subprocess.CompletedProcess[str]:
    """What a script prints and returns that imports the library where a package is not installed."""
    head = (
        f"import sys\nsys.modules[{package!r}] = None\n"
        "for name in [each for each in sys.modules if each.partition('.')[0] == 'holded_pipeline']:\n"
        "    del sys.modules[name]\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "script.py")
        path.write_text(head + script, encoding="utf-8")
        return run_script(path)


def run_in_process(function: Callable[..., object], *arguments: Any) -> int:
    """Calls a function of a module in a new process; returns the exit code."""
    process = _process(function, *arguments)
    process.join(_PATIENCE)
    if process.exitcode is None:
        process.kill()
        raise subprocess.TimeoutExpired(f"{function.__name__}{arguments}", _PATIENCE)
    return int(process.exitcode)


def pool(workers: int) -> ProcessPoolExecutor:
    """A pool of new processes."""
    return ProcessPoolExecutor(workers, mp_context=_context(), initializer=keep_what_beam_works_out_again)


def _process(function: Callable[..., object], *arguments: Any) -> Any:
    process = _context().Process(target=function, args=arguments)
    process.start()
    return process


def _context() -> Any:
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _run_as_main(words: list[str], env: dict[str, str], outputs: tuple[Path, Path], folder: Path) -> None:
    for descriptor, path in enumerate(outputs, start=1):
        with path.open("ab") as file:
            os.dup2(file.fileno(), descriptor)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    tempfile.tempdir = None  # as the environment says
    keep_what_beam_works_out_again()
    if words[0] == "-m":
        dask.config.refresh()
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        return
    sys.argv = words
    sys.path.insert(0, str(Path(words[0]).parent))
    runpy.run_path(words[0], run_name="__main__")
