"""Lets a share end soon that nobody waits for any more: its DoFns ask before they read the next part of the plan."""

from __future__ import annotations

import threading

from holded_pipeline.model.errors import TransientError

_given_up = threading.Event()


def expect_share() -> None:
    """Says that the share that begins now is wanted; one share at a time runs in a process."""
    _given_up.clear()


def give_up_share() -> None:
    """Says that nobody waits for the share that runs in this process."""
    _given_up.set()


def require_wanted() -> None:
    """Raises if the share that runs in this process is not wanted any more.

    Raises:
        TransientError: it is not: the run failed, or another worker has the share.
    """
    if _given_up.is_set():
        raise TransientError("nobody waits for this share any more, so it ends here; what it stored is kept")
