"""Calls that may hang: made in a thread of their own, and waited for no longer than allowed."""

from __future__ import annotations

import ctypes
import queue
import threading
import weakref
from collections.abc import Callable
from contextvars import Context
from typing import Any

import attrs

from holded_pipeline.model.errors import TransientError
from holded_pipeline.user_code.errors import EnricherFault, result_or_error
from holded_pipeline.user_code.in_hand import IN_HAND

MOST_STUCK = 10
"""Threads of one enricher that may hang at the same time before the run fails: one that waits cannot be ended."""


class BoundedCalls:
    """Calls a function of one argument within a time.

    Not for several threads at once: a DoFn's instance has one for each enricher.

    Args:
        name: what is called, for messages.
        seconds: what a call may take.
    """

    def __init__(self, name: str, seconds: float) -> None:
        self._name = name
        self._seconds = seconds
        self._stuck: list[threading.Thread] = []
        self._lane: _Lane | None = None

    def result_or_error(self, call: Callable[[Any], Any], argument: Any) -> Any:
        """What the call returned, or the exception that it raised; a fault `enricher_timeout` if it did not end.

        Raises:
            TransientError: too many calls hang at the same time.
        """
        if self._lane is None:
            self._lane = _Lane.begun(self._name)
            weakref.finalize(self, self._lane.jobs.put, None)  # should nobody close it
        lane = self._lane
        lane.jobs.put((call, argument))
        try:
            outcome = lane.outcomes.get(timeout=self._seconds)
        except queue.Empty:
            at = lane.context.get(IN_HAND)  # before it is ended, and notes no more
            being_at = "" if at is None else f", being at {at}"
            self._abandon(lane, being_at)
            return EnricherFault("enricher_timeout", f"did not answer within {self._seconds:g} s{being_at}")
        if isinstance(outcome, KeyboardInterrupt):
            raise outcome
        return outcome

    def close(self) -> None:
        """Lets the thread end."""
        if self._lane is not None:
            self._lane.jobs.put(None)
            self._lane = None

    def _abandon(self, lane: _Lane, being_at: str) -> None:
        _interrupt(lane.thread)  # before it is told to end: when it has ended, another thread may bear its number
        lane.jobs.put(None)  # should it ever come back, it ends
        self._lane = None
        self._stuck = [thread for thread in (*self._stuck, lane.thread) if thread.is_alive()]
        if len(self._stuck) >= MOST_STUCK:
            raise TransientError(
                f"{len(self._stuck)} calls of the enricher {self._name} hang at the same time, each for longer than "
                f"its timeout of {self._seconds:g} s{being_at}: "
                f"what it waits for is away, or its timeout is too short. "
                "Mend that and run again"
            )


@attrs.frozen
class _Lane:
    """A thread that makes one call after the other, its context, and the ways to it and back."""

    thread: threading.Thread
    context: Context
    jobs: queue.SimpleQueue[Any]
    outcomes: queue.SimpleQueue[Any]

    @classmethod
    def begun(cls, name: str) -> _Lane:
        jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        outcomes: queue.SimpleQueue[Any] = queue.SimpleQueue()
        context = Context()
        # A daemon, since the end of the process must not wait for a call that hangs, as a thread pool's would.
        thread = threading.Thread(
            target=context.run, args=(_work, jobs, outcomes), name=f"enricher {name}", daemon=True
        )
        thread.start()
        return cls(thread, context, jobs, outcomes)


def _interrupt(thread: threading.Thread) -> None:
    """Ends a thread that runs Python code, so that an endless loop does not burn on; no other way is to be had."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit))


def _work(jobs: queue.SimpleQueue[Any], outcomes: queue.SimpleQueue[Any]) -> None:
    while (job := jobs.get()) is not None:
        call, argument = job
        try:
            outcome = result_or_error(call, argument)
        except KeyboardInterrupt as wish:
            outcome = wish
        outcomes.put(outcome)
