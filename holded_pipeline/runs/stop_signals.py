"""SIGTERM and Ctrl-C finish the run that is going on, and then end."""

from __future__ import annotations

import _thread
import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_logger = logging.getLogger("holded_pipeline")


@contextlib.contextmanager
def stopping_on_signals(stop: threading.Event) -> Iterator[None]:
    """Sets `stop` on SIGTERM and SIGINT; a second SIGINT is Ctrl-C as always. Nothing outside the main thread.

    The handlers that were there before are back afterwards.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = 0

    def finish(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked += number == signal.SIGINT
        if asked > 1:
            signal.default_int_handler(number, frame)
        # Not here: the main thread may have been interrupted in `stop.wait`, with the lock that `set` takes.
        _thread.start_new_thread(_set, (stop, signal.Signals(number).name))

    before = {number: signal.signal(number, finish) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextlib.contextmanager
def finishing_on_sigterm() -> Iterator[None]:
    """Lets SIGTERM wait for the end of the block; a second one ends the process at once. In the main thread only.

    A program that handles SIGTERM already keeps its handler.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def wait(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        _thread.start_new_thread(_logger.info, ("SIGTERM: the run is finished first; a second one ends it at once",))

    signal.signal(signal.SIGTERM, wait)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _set(stop: threading.Event, name: str) -> None:
    if not stop.is_set():
        stop.set()
        _logger.info("%s: the run that is going on is finished first; Ctrl-C now ends it at once", name)
