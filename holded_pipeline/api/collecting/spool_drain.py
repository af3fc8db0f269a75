"""The drain of the spool: a thread that gives its groups to the store, oldest first, and tries again while it is away.

A group is removed after the store has confirmed it. It has the same key each time, so a crash in between makes the same
object again. A group that the store does not take, while it takes the next one, is set aside and tried each minute.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from holded_pipeline.api.collecting.spool_backlog import Backlog, SpooledGroup
from holded_pipeline.api.collecting.spool_file import DamagedGroupError, decode_group
from holded_pipeline.api.collecting.spool_folder import SpoolFolder
from holded_pipeline.model.errors import ConfigurationError

_PROBE_SECONDS: Final = 1.0
_SCAN_SECONDS: Final = 5.0
_REMIND_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 2.0
_TRIES: Final = 3
_logger = logging.getLogger("holded_pipeline.api")


def describe_driver_error(error: Exception) -> str:
    """The error of the store's driver behind an error of one attempt, whose own text speaks of retries."""
    cause = error.__context__ or error
    return f"{type(cause).__name__}: {cause}"


class DrainMetrics(Protocol):
    """Counts what the drain does."""

    def count_drained(self, size: int, seconds: float) -> None:
        """A group of the spool was stored."""
        ...

    def count_spool_error(self, kind: str) -> None:
        """A file could not be read (`disk`), or had other bytes than were written (`damaged`)."""
        ...


class SpoolDrain:
    """Drains a backlog.

    Args:
        backlog: what waits.
        write: writes an object once.
        check: returns if the store answers.
        metrics: counts what is done.
    """

    def __init__(
        self,
        backlog: Backlog,
        write: Callable[[str, bytes], object],
        check: Callable[[], object],
        metrics: DrainMetrics,
    ) -> None:
        self._backlog = backlog
        self._write = write
        self._check = check
        self._metrics = metrics
        self._stopping = threading.Event()
        self._own: SpoolFolder | None = None
        self._left_groups: dict[SpoolFolder, int] = {}
        self._error: Exception | None = None
        self._failures = 0
        self._other_stored = False
        self._drained = 0
        self._scanned_at = self._reminded_at = self._tried_aside_at = float("-inf")
        self.damaged = 0

    @property
    def is_failing(self) -> bool:
        """Whether the store did not take the last group."""
        return self._error is not None

    @property
    def is_refused(self) -> bool:
        """Whether the store answered, and rejected the last group."""
        return isinstance(self._error, ConfigurationError) and self._backlog.is_waiting

    def note_other_stored(self) -> None:
        """The store has taken another object, so it is the oldest group alone that it rejects."""
        self._other_stored = True

    def start(self, own: SpoolFolder, take_over: Callable[[], Iterable[SpoolFolder]]) -> None:
        """Starts to drain.

        Args:
            own: the folder of this process.
            take_over: locks the folders with groups that no process has.
        """
        self._own = own
        self._take_over = take_over
        self._scan()  # before anything is accepted, so that new groups go behind the old ones
        self._thread = threading.Thread(target=self._run, name="holded-spool", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stops, and releases the folders; if the store does not answer, this does not wait for it."""
        self._stopping.set()
        self._backlog.wake()
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._drain_or_wait()
            except Exception:  # the drain must not end before the process
                _logger.exception("the drain of the spool failed; it goes on")
                self._stopping.wait(_PROBE_SECONDS)
        for folder in (self._own, *self._left_groups):
            if folder is not None:
                folder.close()

    def _drain_or_wait(self) -> None:
        if time.monotonic() - self._scanned_at > _SCAN_SECONDS:
            self._scan()
        if not self._backlog.is_waiting:
            self._try_set_aside()
            self._backlog.wait(_SCAN_SECONDS, self._stopping.is_set)
        elif not self._drain_oldest():
            self._stopping.wait(_PROBE_SECONDS)

    def _scan(self) -> None:
        """Takes over the folders of processes that ended."""
        self._scanned_at = time.monotonic()
        for folder in self._take_over():
            groups = folder.groups()
            self._left_groups[folder] = len(groups)
            _logger.warning("%d groups in the spool folder %s were left; they are stored now", len(groups), folder.path)
            for name, size in groups:
                self._backlog.add(SpooledGroup(name, size, folder))

    def _drain_oldest(self) -> bool:
        first, *others = self._backlog.oldest()
        if self._store(first):
            self._failures, self._other_stored = 0, False
            if not self._backlog.is_waiting:
                _logger.warning("the spool is empty again: the store has its %d groups", self._drained)
                self._drained = 0
            return True
        self._backlog.stop_draining()
        self._failures += 1
        if self._failures < _TRIES or not (self._other_stored or self._store_answers()):
            return False
        if not self._store(first):  # again: the store may have come back since
            error = self._error
            if not (self._other_stored or any(self._store(each) for each in others)):
                return False
            self._set_aside(first, error)
        self._failures, self._other_stored = 0, False
        return True

    def _store_answers(self) -> bool:
        try:
            self._check()
        except Exception:  # noqa: BLE001  whatever it is, the groups are kept
            return False
        return True

    def _store(self, group: SpooledGroup) -> bool:
        """Whether the backlog is rid of a group: it is stored, or its file is of no use."""
        began = time.monotonic()
        try:
            key, body = decode_group(group.folder.read(group.name))
        except (DamagedGroupError, FileNotFoundError) as error:
            self._give_up(group, error)
            return True
        except OSError as error:
            self._metrics.count_spool_error("disk")
            self._fail(error, f"the spool file {group.folder.path / group.name} cannot be read")
            return False
        try:
            self._write(key, body)
        except Exception as error:  # noqa: BLE001  whatever it is, the group is kept
            self._fail(error, f"the store does not take {key} from the spool")
            return False
        self._error = None
        try:
            group.folder.remove(group.name)
        except OSError as error:
            self._metrics.count_spool_error("disk")
            _logger.error(  # noqa: TRY400  the message says it all
                "%s is stored, but its spool file %s cannot be removed: %s. The next start stores the object again",
                *(key, group.folder.path / group.name, error),
            )
        self._remove(group)
        self._drained += 1
        self._metrics.count_drained(len(body), time.monotonic() - began)
        return True

    def _fail(self, error: Exception, what: str) -> None:
        self._error = error
        if time.monotonic() - self._reminded_at > _REMIND_SECONDS:
            self._reminded_at = time.monotonic()
            _logger.error(
                "%s (%s); groups in the spool: %d, with %d bytes. They are tried again",
                *(what, describe_driver_error(error), self._backlog.groups, self._backlog.bytes),
            )

    def _give_up(self, group: SpooledGroup, error: Exception) -> None:
        """Keeps a damaged file under another name, and says so: its events were acknowledged."""
        path = group.folder.path / group.name
        self._metrics.count_spool_error("damaged")
        self.damaged += 1
        try:
            if isinstance(error, DamagedGroupError):
                path = group.folder.keep_damaged(group.name)
        except OSError as failure:
            _logger.error("%s cannot be renamed: %s", path, failure)  # noqa: TRY400  the message says it all
        _logger.error(
            "acknowledged events in the spool file %s cannot be stored: %s. The file is kept if it is there; restore "
            "it from its lines, or ask their senders to send them again",
            *(path, error),
        )
        self._remove(group)

    def _set_aside(self, group: SpooledGroup, error: Exception | None) -> None:
        self._backlog.set_aside(group)
        _logger.error(
            "the spool file %s is set aside, since it is not stored while others are: %s. It is kept, and tried again "
            "each minute",
            *(group.folder.path / group.name, error and describe_driver_error(error)),
        )
        self._error = None
        self._tried_aside_at = time.monotonic()

    def _try_set_aside(self) -> None:
        if time.monotonic() - self._tried_aside_at < _REMIND_SECONDS:
            return
        self._tried_aside_at = time.monotonic()
        for group in self._backlog.all_set_aside():
            self._store(group)
        self._error = None  # it says nothing about other groups

    def _remove(self, group: SpooledGroup) -> None:
        """Removes a group from the backlog; releases the folder of an ended process after its last one."""
        self._backlog.remove(group)
        if group.folder in self._left_groups:
            self._left_groups[group.folder] -= 1
            if not self._left_groups[group.folder]:
                del self._left_groups[group.folder]
                group.folder.close()
