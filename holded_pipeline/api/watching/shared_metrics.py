"""Counters that several workers share: each keeps its own in files that all of them read."""

from __future__ import annotations

import logging
import os

from prometheus_client import values

from holded_pipeline.api.problems import EXAMPLES, Problem
from holded_pipeline.api.this_worker import Worker

_logger = logging.getLogger("holded_pipeline.api")


def share_metrics(worker: Worker) -> None:
    """Makes the metrics that this process creates from now on part of those of all workers.

    This is the multiprocess mode of `prometheus_client`, with one change: files are named by the number of the worker,
    not by its process id. So a worker goes on counting where the one that it replaces ended: no counter falls, and
    there are never more files than workers.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(worker.folder)
    number = worker.number
    values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]


def require_shared_files(worker: Worker) -> None:
    """Sees that the files in which this worker counts are there.

    It goes on counting in files that were removed, but nobody can read them: sums without them would be too small.

    Raises:
        Problem: 500; some are missing.
    """
    missing = [kind for kind in ("counter", "histogram") if not (worker.folder / f"{kind}_{worker.number}.db").exists()]
    if missing:
        _logger.error(
            "the metrics of this worker in %s were removed; restart this server, and let what cleans temporary files "
            "leave out holded-api-*",
            worker.folder,
        )
        raise Problem(EXAMPLES["metrics_removed"][0], "metrics_removed", EXAMPLES["metrics_removed"][1])
