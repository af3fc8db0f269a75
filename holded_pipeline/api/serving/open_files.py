"""How many files a process may have open: each connection is one."""

from __future__ import annotations

import logging
import resource

import attrs

from holded_pipeline.api.settings import Limits

_OTHER_FILES = 256  # connections to the store, files, and those of the listener for health
_logger = logging.getLogger("holded_pipeline.api")


def fit_open_files(limits: Limits) -> Limits:
    """The limits, with as many connections as the process may have open files (`RLIMIT_NOFILE`).

    Raises the soft limit of the process up to its hard limit, if that is needed.
    """
    needed = limits.connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return limits
    connections = max(1, soft - _OTHER_FILES)
    _logger.warning(
        "the process may open %d files, so the API has at most %d connections instead of %d; allow %d (ulimit -n)",
        soft,
        connections,
        limits.connections,
        needed,
    )
    return attrs.evolve(limits, connections=connections)
