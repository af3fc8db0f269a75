"""Counters that several workers share: each keeps its own in files that all of them read."""

from __future__ import annotations

import os

from prometheus_client import values

from holded_pipeline.api.this_worker import Worker


def share_metrics(worker: Worker) -> None:
    """Makes the metrics that this process creates from now on part of those of all workers.

    This is the multiprocess mode of `prometheus_client`, with one change: files are named by the number of the worker,
    not by its process id. So a worker goes on counting where the one that it replaces ended: no counter falls, and
    there are never more files than workers.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(worker.folder)
    number = worker.number
    values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]
