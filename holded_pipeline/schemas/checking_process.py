"""The program of a process that checks documents for another one. `isolated_check` starts it.

The kernel ends it when a check takes more CPU time than allowed: `SIGPROF` arrives even inside the Rust validator.
There may be two answers to a request, so that a document whose violations take too long to find is known to be invalid:

    request     CheckRequest(number of the schema, …), then the pickled document
    answers     "valid", CPU seconds
    or          "invalid", CPU seconds, and then the violations, CPU seconds
    or          "memory", CPU seconds
"""

from __future__ import annotations

import contextlib
import pickle
import resource
import signal
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from holded_pipeline.schemas.compiled_schema import CompiledSchema
from holded_pipeline.schemas.isolated_check import CheckRequest

_MAX_RESIDENT = 256 << 20
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # of `ru_maxrss`, in bytes


def main() -> None:
    """Answers requests until the other process closes the connection."""
    connection = Connection(int(sys.argv[1]))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # the process that started this one may ignore or block it
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGPROF])
    compiled: dict[int, CompiledSchema] = {}
    connection.send("ready")
    while True:
        started = time.process_time()
        try:
            request: CheckRequest = connection.recv()
            if request.schema is not None:
                compiled[request.number] = CompiledSchema(request.schema)
            _limit_memory(request.memory_bytes)
            for answer in _answers(connection, compiled[request.number], request.cpu_seconds):
                connection.send((answer, time.process_time() - started))
                started = time.process_time()
            if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT > _MAX_RESIDENT:
                return  # the next request starts another process
        except MemoryError:
            connection.send(("memory", time.process_time() - started))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return


def _answers(connection: Connection, compiled: CompiledSchema, cpu_seconds: float) -> Iterator[Any]:
    document: Any = pickle.loads(connection.recv_bytes())  # noqa: S301  from the process that started this one
    with _limited_cpu(cpu_seconds):
        is_valid = compiled.is_valid(document)
    yield "valid" if is_valid else "invalid"
    if not is_valid:
        with _limited_cpu(cpu_seconds):
            violations = compiled.violations.find(document)
        yield violations


@contextlib.contextmanager
def _limited_cpu(seconds: float) -> Iterator[None]:
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _limit_memory(size: int) -> None:
    with contextlib.suppress(ValueError, OSError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_AS, (size, resource.getrlimit(resource.RLIMIT_AS)[1]))
