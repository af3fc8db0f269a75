"""A call in a thread that nobody has to wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def call_in_background(call: Callable[[], T], name: str) -> Future[T]:
    """Makes a call in a thread that keeps neither who stops waiting for it nor the end of the process.

    Args:
        call: what is called.
        name: of the thread.

    Returns:
        What the call returns, or raises.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:  # noqa: BLE001  it is raised where the result is asked for
            outcome.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return outcome
