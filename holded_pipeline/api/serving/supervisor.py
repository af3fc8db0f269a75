"""Starts worker processes, starts those again that end, and ends all of them with itself."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, Final

import attrs

from holded_pipeline.model.errors import ConfigurationError

_STABLE_SECONDS: Final = 10.0  # a worker that was ready and ran for so long is replaced at once when it ends
_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 30.0
_logger = logging.getLogger("holded_pipeline.api")


@attrs.define(eq=False)
class StartedWorker:
    """A worker process, and the connection by which it says that it is ready."""

    process: BaseProcess
    ready: Connection


@attrs.define(eq=False)
class _Place:
    """The place of one worker.

    Attributes:
        number: from 0.
        worker: the one that runs; None while the next one has to wait.
        started_at: when it started.
        was_ready: whether that one became ready.
        starts: how many workers this place had.
        early_ends: how many of the last ones ended soon after their start.
        next_start: when the next one starts.
    """

    number: int
    worker: StartedWorker | None = None
    started_at: float = 0.0
    was_ready: bool = False
    starts: int = 0
    early_ends: int = 0
    next_start: float = 0.0


class Supervisor:
    """Runs a number of workers until SIGTERM or SIGINT; SIGHUP is ignored.

    uvicorn has a supervisor, too. It starts a worker again without any wait, and its workers outlive it when it is
    killed.

    Args:
        start: starts the worker of a number; the second argument says whether it replaces another one.
        count: how many workers there are.
    """

    def __init__(self, start: Callable[[int, bool], StartedWorker], count: int) -> None:
        self._start_worker = start
        self._places = [_Place(number) for number in range(count)]
        self._signals: list[int] = []

    def run(self, stop_listening: Callable[[], None]) -> int:
        """Runs the workers, and returns the signal that ended them.

        The first one has to be ready before the others start, so that a mistake in the configuration is said once.

        Args:
            stop_listening: closes the listening socket of this process, before the workers end: a connection that
                arrives later is refused, instead of waiting for a worker that is not there.

        Raises:
            ConfigurationError: the first worker does not start, or this is not the main thread.
        """
        with self._caught_signals() as wakeup:
            try:
                if self._first_is_ready(wakeup):
                    for place in self._places[1:]:
                        self._try_start(place)
                    while not self._signals:
                        self._wait(wakeup)
                        self._replace_ended()
            finally:
                stop_listening()
                self._end_all(wakeup)
        return self._signals[0]

    def _start(self, place: _Place) -> None:
        place.worker = self._start_worker(place.number, place.starts > 0)
        place.started_at, place.was_ready = time.monotonic(), False
        place.starts += 1

    def _try_start(self, place: _Place) -> None:
        """Starts a worker, or later if the system has no memory, processes or files for it: the others go on."""
        try:
            self._start(place)
        except OSError as error:
            seconds = self._let_wait(place, time.monotonic(), is_early=True)
            _logger.error(  # noqa: TRY400  the message says it all
                "worker %d cannot be started: %s; it is tried again in %g s", place.number, error, seconds
            )

    def _first_is_ready(self, wakeup: int) -> bool:
        """Whether the first worker became ready; False if a signal came before."""
        self._start(first := self._places[0])
        assert first.worker is not None  # noqa: S101  it has just been started
        ready = first.worker.ready
        while not self._signals:
            if ready in wait([ready, wakeup]):
                with contextlib.suppress(EOFError):
                    ready.recv()
                    first.was_ready = True
                    return True
                first.worker.process.join()
                raise ConfigurationError(
                    f"a worker process {_how_it_ended(first.worker.process)} before it was ready; it wrote why"
                )
        return False

    def _wait(self, wakeup: int) -> None:
        """Returns when a worker ends, the next one may start, or a signal arrives."""
        starts = [place.next_start for place in self._places if place.worker is None]
        seconds = max(0.0, min(starts) - time.monotonic()) if starts else None
        wait([*self._sentinels(), wakeup], seconds)

    def _sentinels(self) -> list[int]:
        return [place.worker.process.sentinel for place in self._places if place.worker is not None]

    def _replace_ended(self) -> None:
        now = time.monotonic()
        for place in self._places:
            if place.worker is not None and place.worker.process.exitcode is not None:
                self._note_end(place, place.worker.process, now)
            if place.worker is None and place.next_start <= now and not self._signals:
                self._try_start(place)

    def _note_end(self, place: _Place, process: BaseProcess, now: float) -> None:
        is_early = now - place.started_at < _STABLE_SECONDS or not _became_ready(place)
        seconds = self._let_wait(place, now, is_early=is_early)
        place.worker = None
        when = f"in {seconds:g} s" if seconds else "now"
        _logger.warning(
            "worker %d (process %s) %s; another one starts %s", place.number, process.pid, _how_it_ended(process), when
        )

    def _let_wait(self, place: _Place, now: float, *, is_early: bool) -> float:
        """Sets when the next worker of a place starts; returns in how many seconds that is."""
        place.early_ends = place.early_ends + 1 if is_early else 0
        seconds = min(_FIRST_WAIT * 2 ** min(place.early_ends - 1, 10), _LONGEST_WAIT) if is_early else 0.0
        place.next_start = now + seconds
        return seconds

    def _end_all(self, wakeup: int) -> None:
        """Asks all workers to end, and returns when they have: what they accepted is stored."""
        forwarded = 1
        self._signal_all(signal.SIGTERM)
        while sentinels := self._running():
            wait([*sentinels, wakeup])
            _empty(wakeup)
            interrupts = self._signals.count(signal.SIGINT)
            if interrupts > forwarded:  # a second Ctrl-C: uvicorn does not wait for requests any more
                forwarded = interrupts
                self._signal_all(signal.SIGINT)

    def _running(self) -> list[int]:
        return [
            place.worker.process.sentinel
            for place in self._places
            if place.worker is not None and place.worker.process.exitcode is None
        ]

    def _signal_all(self, number: int) -> None:
        for place in self._places:
            if place.worker is not None and place.worker.process.exitcode is None:
                assert place.worker.process.pid is not None  # noqa: S101  it was started
                with contextlib.suppress(ProcessLookupError):
                    os.kill(place.worker.process.pid, number)

    @contextlib.contextmanager
    def _caught_signals(self) -> Iterator[int]:
        """Notes signals until the end of the block; yields a file that can be read when one has arrived."""
        if threading.current_thread() is not threading.main_thread():
            raise ConfigurationError("serve with workers needs the main thread of the process, which gets its signals")
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)

        def note(number: int, _: FrameType | None) -> None:
            self._signals.append(number)
            with contextlib.suppress(BlockingIOError):
                os.write(writing, b".")

        before: dict[int, Any] = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            yield reading
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(reading)
            os.close(writing)


def _empty(wakeup: int) -> None:
    with contextlib.suppress(BlockingIOError):
        os.read(wakeup, 64)


def _became_ready(place: _Place) -> bool:
    """Whether the worker of a place, which has ended, was ready before: a start may take longer than it then runs."""
    if place.worker is not None and not place.was_ready:
        with contextlib.suppress(EOFError, OSError):
            place.was_ready = place.worker.ready.poll() and bool(place.worker.ready.recv())
    return place.was_ready


def _how_it_ended(process: BaseProcess) -> str:
    code = process.exitcode or 0
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
