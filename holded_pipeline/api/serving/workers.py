"""Several processes that serve one app from the same listening sockets.

The supervisor listens, and each worker inherits its sockets. With a socket for each worker (SO_REUSEPORT) the kernel
would assign connections to a worker before that accepts them, and those of a worker that is killed would be lost; and
another process of the same user could take a part of the connections for itself.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Final, NoReturn

from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE

from holded_pipeline.api.app_recipe import AppSource, make_app, pickled_recipe
from holded_pipeline.api.serving.shared_folder import (
    hold_folder,
    remove_folder_of_the_dead,
    require_private_folder,
    shared_folder,
)
from holded_pipeline.api.serving.supervisor import StartedWorker, Supervisor
from holded_pipeline.api.this_worker import Worker, become_worker
from holded_pipeline.api.watching.json_logging import LogFormat, process_logging
from holded_pipeline.api.watching.shared_metrics import share_metrics
from holded_pipeline.model.errors import HoldedPipelineError

Run = Callable[[FastAPI, Sequence[socket.socket], Callable[[], None]], None]
"""Serves an app on listening sockets until a signal arrives; calls the function when it is ready."""
_Work = tuple[bytes, Run, list[socket.socket], LogFormat]
"""What makes the app, what serves it, the listening sockets, and how to log."""
_MAIN: Final = b"__main__"
_logger = logging.getLogger("holded_pipeline.api")


def require_no_import() -> None:
    """Sees that this is not a worker that imports the script which started it.

    Raises:
        SystemExit: it is; the message says what the script lacks.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        sys.exit(
            "serve(workers=…) was called again while a worker process imported this script; put the call under "
            '`if __name__ == "__main__":`'
        )


def serve_with_workers(
    source: AppSource,
    run: Run,
    *,
    workers: int,
    listeners: Sequence[socket.socket],
    log_format: LogFormat = "text",
) -> None:
    """Serves an app by several processes until SIGTERM or Ctrl-C.

    Args:
        source: see `AppSource`.
        run: serves the app in a worker; it is pickled.
        workers: how many processes.
        listeners: the listening sockets; closed when it stops.
        log_format: how a worker logs until it has made the app.

    Raises:
        ConfigurationError: the app cannot be made in another process, or the first worker does not start.
    """

    def close_listeners() -> None:
        for each in listeners:
            each.close()

    with shared_folder() as folder:
        recipe = pickled_recipe(source)

        def start(number: int, is_replacement: bool) -> StartedWorker:  # noqa: FBT001  a protocol of two arguments
            worker = Worker(number, workers, folder, is_replacement)
            return _start_worker(worker, (recipe, run, list(listeners), log_format))

        host, port = listeners[0].getsockname()[:2]
        _logger.info("listening on %s:%d with %d workers", host, port, workers)
        ended_by = Supervisor(start, workers).run(close_listeners)
    with contextlib.suppress(KeyboardInterrupt):  # as with one process
        signal.raise_signal(ended_by)


def _start_worker(worker: Worker, work: _Work) -> StartedWorker:
    require_private_folder(worker.folder)
    # Spawned, not forked: this process may have threads and event loops, which a fork would copy half.
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_run_worker, args=(worker, work, sending), name=f"api-worker-{worker.number}")
    with _no_terminal_signals(), contextlib.nullcontext() if _MAIN in work[0] else _without_main():
        process.start()
    sending.close()
    return StartedWorker(process, receiving)


@contextlib.contextmanager
def _no_terminal_signals() -> Iterator[None]:
    """Ctrl-C ends the supervisor, which then ends the workers. A new process begins with the mask of its parent."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Keeps a new process from importing the script of this one, which the app does not need: it may be large."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def _run_worker(worker: Worker, work: _Work, ready: Connection) -> None:
    """Runs in the worker process."""
    recipe, run, listeners, log_format = work
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGHUP})
    os.setsid()  # uvicorn handles SIGINT; from its own session the terminal does not send any
    signal.signal(signal.SIGTERM, _exit_well)
    threading.Thread(target=_end_with_parent, name="holded-parent", daemon=True).start()
    hold_folder(worker.folder)
    share_metrics(worker)
    become_worker(worker)
    with process_logging(log_format, "warning"):
        try:
            run(make_app(recipe), listeners, partial(_say_ready, ready))
        except HoldedPipelineError as error:
            _logger.error("worker %d does not start: %s", worker.number, error)  # noqa: TRY400  the message says it all
            sys.exit(STARTUP_FAILURE)
        finally:
            remove_folder_of_the_dead(worker)


def _exit_well(_: int, __: object) -> NoReturn:
    sys.exit(0)


def _say_ready(ready: Connection) -> None:
    with contextlib.suppress(OSError):
        ready.send(True)
        ready.close()


def _end_with_parent() -> None:
    """Ends this process as SIGTERM does when its parent has ended, however that was."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
