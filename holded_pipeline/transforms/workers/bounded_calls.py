"""Calls that may hang: made in a thread of their own, with a timeout."""

from __future__ import annotations

import ctypes
import queue
import threading
import weakref
from collections.abc import Callable
from typing import Any

import attrs

from holded_pipeline.model.errors import TransientError
from holded_pipeline.user_code.errors import EnricherFault, result_or_error

MAX_HANGING = 10
"""Threads of one enricher that may hang at the same time before the run fails: a thread that waits cannot be ended."""


class BoundedCalls:
    """Calls a function of one argument with a timeout.

    Not for several threads at once: each instance of a DoFn has one for each enricher.

    Args:
        name: what is called, for messages.
        seconds: that one call may take.
    """

    def __init__(self, name: str, seconds: float) -> None:
        self._name = name
        self._seconds = seconds
        self._hanging: list[threading.Thread] = []
        self._worker: _WorkerThread | None = None

    def result_or_error(self, call: Callable[[Any], Any], argument: Any) -> Any:
        """What the call returned, or the exception that it raised; a fault `enricher_timeout` if it took too long.

        Raises:
            TransientError: too many calls hang at the same time.
        """
        if self._worker is None:
            self._worker = _WorkerThread.start(self._name)
            weakref.finalize(self, self._worker.jobs.put, None)  # if close() is never called
        worker = self._worker
        worker.jobs.put((call, argument))
        try:
            outcome = worker.outcomes.get(timeout=self._seconds)
        except queue.Empty:
            self._abandon(worker)
            return EnricherFault("enricher_timeout", f"did not answer within {self._seconds:g} s")
        if isinstance(outcome, KeyboardInterrupt):
            raise outcome
        return outcome

    def close(self) -> None:
        """Lets the thread end."""
        if self._worker is not None:
            self._worker.jobs.put(None)
            self._worker = None

    def _abandon(self, worker: _WorkerThread) -> None:
        _interrupt(worker.thread)  # before it may end: afterwards another thread may have its id
        worker.jobs.put(None)  # if the call returns after all, the thread ends
        self._worker = None
        self._hanging = [thread for thread in (*self._hanging, worker.thread) if thread.is_alive()]
        if len(self._hanging) >= MAX_HANGING:
            raise TransientError(
                f"{len(self._hanging)} calls of the enricher {self._name} hang at the same time, each for longer than "
                f"its timeout of {self._seconds:g} s: what it waits for does not answer, or the timeout is too short. "
                "Fix that and run again"
            )


@attrs.frozen
class _WorkerThread:
    """A thread that makes one call after the other, and the queues to and from it."""

    thread: threading.Thread
    jobs: queue.SimpleQueue[Any]
    outcomes: queue.SimpleQueue[Any]

    @classmethod
    def start(cls, name: str) -> _WorkerThread:
        jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        outcomes: queue.SimpleQueue[Any] = queue.SimpleQueue()
        # A daemon, since the process must not wait at its end for a call that hangs, as it does for a thread pool.
        thread = threading.Thread(target=_work, args=(jobs, outcomes), name=f"enricher {name}", daemon=True)
        thread.start()
        return cls(thread, jobs, outcomes)


def _interrupt(thread: threading.Thread) -> None:
    """Ends a thread that runs Python code, so that an endless loop stops using the CPU; Python has no other way."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit))


def _work(jobs: queue.SimpleQueue[Any], outcomes: queue.SimpleQueue[Any]) -> None:
    while (job := jobs.get()) is not None:
        call, argument = job
        try:
            outcome = result_or_error(call, argument)
        except KeyboardInterrupt as interrupt:
            outcome = interrupt
        outcomes.put(outcome)
