"""Which of several worker processes this one is: they divide the limits and add up the metrics."""

from __future__ import annotations

from pathlib import Path

import attrs

from holded_pipeline.api.settings import Limits


@attrs.frozen
class Worker:
    """The place of one worker process among all of them.

    Attributes:
        number: from 0; a worker that replaces another one has its number.
        count: how many workers there are.
        folder: what they share: files of metrics, and the sockets by which they ask each other. Their user alone may
            open it.
        is_replacement: whether it replaces a worker that ended.
    """

    number: int
    count: int
    folder: Path
    is_replacement: bool = False

    def socket_of(self, number: int) -> Path:
        """The Unix socket of a worker."""
        return self.folder / f"{number}.sock"


class _Process:
    worker: Worker | None = None


def this_worker() -> Worker | None:
    """The place of this process; None if it is not a worker of `serve`."""
    return _Process.worker


def become_worker(worker: Worker) -> None:
    """Makes this process a worker. Call it before the app is built."""
    _Process.worker = worker


def limits_of_process(limits: Limits) -> Limits:
    """This worker's part of the limits, all of them if there is one process only."""
    worker = this_worker()
    return limits if worker is None else limits.divided_by(worker.count)
