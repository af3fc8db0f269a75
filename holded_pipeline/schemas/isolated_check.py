"""Documents checked in a process of its own, which ends when one of them costs too much."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from holded_pipeline.model.errors import ConfigurationError, RejectRecord, TransientError
from holded_pipeline.model.values import Violation
from holded_pipeline.schemas.check_cost import cpu_seconds, memory_bytes
from holded_pipeline.schemas.compiled_schema import CompiledSchema
from holded_pipeline.schemas.schema_source import ResolvedSchema

NOT_EXPLAINED: Final = "the document does not fit its schema; to find out where takes too much time or memory"
"""The message of the only violation of such a document."""

_START_SECONDS = 120.0
_WALL_PER_CPU_SECOND = 20.0  # a machine may be busy
_DEATHS = 2  # of a process by something else than its time; the first may have another cause

_PACKAGE: Final = Path(__file__).parent.parent
# Without the package's `__init__`, which imports Beam: that takes seconds and a hundred megabytes.
_PROGRAM = """
import sys, types
package = sys.modules["holded_pipeline"] = types.ModuleType("holded_pipeline")
package.__path__ = [sys.argv[2]]
from holded_pipeline.schemas.checking_process import main
main()
"""


class CheckRequest(NamedTuple):
    """A document to check, which is sent after it.

    Attributes:
        number: of its schema.
        schema: the schema, the first time.
        cpu_seconds: CPU time that the check may take, and again the search for violations.
        memory_bytes: memory that the process may use.
    """

    number: int
    schema: ResolvedSchema | None
    cpu_seconds: float
    memory_bytes: int


class IsolatedCheck:
    """Checks documents in a process that is started when it is first needed.

    The time that a document may take is CPU time, so that a busy machine rejects nothing that an idle one accepts.

    Attributes:
        cpu_seconds: the CPU time of all checks so far.
    """

    def __init__(self) -> None:
        self.cpu_seconds = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._log: IO[bytes] | None = None
        self._numbers: dict[int, tuple[CompiledSchema, int]] = {}  # of the schemas that the process knows

    def violations(self, compiled: CompiledSchema, document: Any, size: int) -> tuple[Violation, ...]:
        """Every violation of a document of so many bytes, most relevant first; empty if it is valid.

        Raises:
            RejectRecord: `too_costly`; it takes more CPU time or memory than allowed.
            TransientError: the process could not be started, or got no CPU time.
            ConfigurationError: the process ends before it can check anything.
        """
        pickled = pickle.dumps(document, pickle.HIGHEST_PROTOCOL)
        for _ in range(_DEATHS):
            try:
                verdict = self._verdict(compiled, pickled, size)
            except (EOFError, OSError):
                if self._end() == -signal.SIGPROF:
                    self.cpu_seconds += cpu_seconds(size)
                    raise _too_costly(compiled, f"takes more than {cpu_seconds(size):.1f} s of CPU time") from None
                continue
            if verdict != "memory":
                return () if verdict == "valid" else self._explanation(size)
            self._end()
            break
        raise _too_costly(compiled, f"takes more than {memory_bytes(size) >> 20:,} MB of memory")

    def close(self) -> None:
        """Ends the process."""
        self._end()

    def _verdict(self, compiled: CompiledSchema, pickled: bytes, size: int) -> Any:
        connection = self._connection or self._start()
        known = self._numbers.get(id(compiled))
        number, schema = (len(self._numbers), compiled.resolved) if known is None else (known[1], None)
        connection.send(CheckRequest(number, schema, cpu_seconds(size), memory_bytes(size)))
        connection.send_bytes(pickled)
        self._numbers[id(compiled)] = compiled, number  # no other schema gets this id, since this one is kept
        return self._receive(size)

    def _explanation(self, size: int) -> tuple[Violation, ...]:
        """The violations; one that says nothing more if they take too much to find."""
        try:
            answer = self._receive(size)
        except (EOFError, OSError):
            self.cpu_seconds += cpu_seconds(size)
            answer = "memory"
        if answer == "memory":
            self._end()
            return (Violation("", "", NOT_EXPLAINED),)
        return tuple(answer)

    def _receive(self, size: int) -> Any:
        assert self._connection is not None  # noqa: S101  something was sent
        if not self._connection.poll(_WALL_PER_CPU_SECOND * cpu_seconds(size)):
            self._end()
            raise TransientError("the process that checks large events gets no CPU time; free some, then run again")
        answer, seconds = self._connection.recv()
        self.cpu_seconds += seconds
        return answer

    def _start(self) -> Connection:
        # An error of the system here says nothing about the event, so it must not become one of its check.
        try:
            ours, theirs = Pipe()
        except OSError as error:
            raise _not_started(error) from error
        command = [sys.executable, "-c", _PROGRAM, str(theirs.fileno()), str(_PACKAGE)]
        try:
            self._log = tempfile.TemporaryFile()  # noqa: SIM115  it is closed with the process
            self._process = subprocess.Popen(  # noqa: S603  our own interpreter and program
                command,
                pass_fds=[theirs.fileno()],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                start_new_session=True,  # an interrupt from the keyboard is for this process alone
            )
        except OSError as error:
            ours.close()
            raise _not_started(error) from error
        finally:
            theirs.close()
        self._connection = ours
        with contextlib.suppress(EOFError, OSError):
            if ours.poll(_START_SECONDS) and ours.recv() == "ready":
                return ours
        self._log.seek(0)
        said = self._log.read()[-500:].decode(errors="replace").strip()
        self._end()
        raise ConfigurationError(f"the process that checks large events ends at once; see what it wrote: {said}")

    def _end(self) -> int | None:
        """Ends the process; returns what it ended with, negative for a signal."""
        process, self._process = self._process, None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._numbers.clear()
        code = None
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(0.5)
            process.kill()
            process.wait()
        if self._log is not None:
            self._log.close()
        return code


def _not_started(error: OSError) -> TransientError:
    return TransientError(f"no process to check large events could be started: {error}")


def _too_costly(compiled: CompiledSchema, why: str) -> RejectRecord:
    """The rejection of an event whose check costs too much."""
    return RejectRecord(
        "too_costly",
        f"its check against the schema {compiled.ref.subject!r} {why}; send smaller events, or simplify the schema",
    )
