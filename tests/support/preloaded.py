"""Processes of their own that start quickly: the library, and Beam with it, is imported once for all of them."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_PATIENCE = 170.0

Done = subprocess.CompletedProcess[str]


def run_script(
    path: Path, *arguments: object, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """What `python path arguments` prints and returns, without the seconds that its imports take."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = tuple(Path(folder, name) for name in ("stdout", "stderr"))
        words = [str(path), *map(str, arguments)]
        code = run_in_process(_run_as_main, words, dict(os.environ if env is None else env), outputs)
        return subprocess.CompletedProcess(words, code, *(each.read_text(encoding="utf-8") for each in outputs))


def run_in_process(function: Callable[..., object], *arguments: Any) -> int:
    """Calls a function of a module in a new process; returns the exit code."""
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["holded_pipeline"])
    process = context.Process(target=function, args=arguments)
    process.start()
    process.join(_PATIENCE)
    if process.exitcode is None:
        process.kill()
        raise subprocess.TimeoutExpired(f"{function.__name__}{arguments}", _PATIENCE)
    return int(process.exitcode)


def _run_as_main(words: list[str], env: dict[str, str], outputs: tuple[Path, Path]) -> None:
    for descriptor, path in enumerate(outputs, start=1):
        with path.open("wb") as file:
            os.dup2(file.fileno(), descriptor)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = words
    sys.path.insert(0, str(Path(words[0]).parent))
    runpy.run_path(words[0], run_name="__main__")
