"""The spool: groups of packages go to the local disk while the store does not answer, and to the store when it does.

A group keeps its key, so that a write that timed out, a group in the spool and a drain that was killed and repeated
are one object. While groups wait in the spool new ones go behind them, so that the store gets them in order.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import attrs

from holded_pipeline.api.collecting.spool_backlog import Backlog, SpooledGroup
from holded_pipeline.api.collecting.spool_drain import SpoolDrain, describe_driver_error
from holded_pipeline.api.collecting.spool_file import encode_group
from holded_pipeline.api.collecting.spool_folder import SpoolFolder
from holded_pipeline.model.errors import ConfigurationError, TransientError
from holded_pipeline.servers.retry import Retry
from holded_pipeline.store.client import ObjectStore
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.object_names import escape_key_level

SPOOLED: Final = "spooled"
"""What `SpoolingStore.write` returns for a group that went to the spool."""
_ONCE: Final = Retry(0.001)  # the spool is what a retry is elsewhere
_ENOUGH_ROOM: Final = 16 << 20
_logger = logging.getLogger("holded_pipeline.api")

Write = Callable[[str, bytes], object]


def _to_folder(value: str | Path) -> Path:
    if not str(value):
        raise ValueError("Spool.folder must name a folder on a local disk")
    return Path(value).absolute()


@attrs.frozen
class Spool:
    """A spool on the local disk, which accepts events while the store does not answer.

    Attributes:
        folder: on a local disk that outlives the process; created with the mode 0700 if it is not there. Several
            processes may share it.
        max_bytes: bytes on the disk for each process; beyond them the answer is 503 again.
        after: seconds after which a write that the store has not confirmed goes to the spool; less than
            `Writing.store_seconds`.
    """

    folder: Path = attrs.field(converter=_to_folder)
    max_bytes: int = attrs.field(kw_only=True, default=1 << 30, validator=attrs.validators.ge(1))
    after: float = attrs.field(kw_only=True, default=2.0, validator=attrs.validators.gt(0))

    def check(self) -> None:
        """Returns if the folder can be used; creates it if it is not there.

        Raises:
            ConfigurationError: it cannot be created, written or synced.
        """
        _create_spool_folder(self, "check", os.fsync).close()


def _create_spool_folder(spool: Spool, bucket: str, fsync: Callable[[int], None]) -> SpoolFolder:
    try:
        folder = SpoolFolder.create(spool.folder, bucket, fsync)
        try:
            folder.try_disk()
        except OSError:
            folder.close()
            raise
    except OSError as error:
        raise ConfigurationError(
            f"the spool folder {spool.folder} cannot be used: {error}; name a folder on a local disk that this user "
            "can write to"
        ) from error
    return folder


class SpoolMetrics(Protocol):
    """Counts what the spool does."""

    def count_spooled(self) -> None:
        """A group went to the spool."""
        ...

    def count_drained(self, size: int, seconds: float) -> None:
        """A group of the spool was stored."""
        ...

    def count_spool_error(self, kind: str) -> None:
        """The disk failed (`disk`), had no room (`full`), or gave other bytes (`damaged`)."""
        ...

    def count_failure(self, error: Exception) -> None:
        """The store did not take an object."""
        ...


class SpoolingStore:
    """Writes to the store, or to the spool.

    Args:
        spool: see `Spool`.
        bucket: the bucket; groups of other buckets in the same folder are left alone.
        write: writes an object once, and fails within `spool.after` seconds.
        drain_write: writes an object once, and may take longer.
        check: returns if the store answers.
        metrics: counts what goes where.
        fsync: writes a file or a folder through to the disk.
    """

    def __init__(
        self,
        spool: Spool,
        bucket: str,
        *,
        write: Write,
        drain_write: Write,
        check: Callable[[], object],
        metrics: SpoolMetrics,
        fsync: Callable[[int], None] = os.fsync,
    ) -> None:
        self._spool = spool
        self._bucket = escape_key_level(bucket)
        self._write = write
        self._metrics = metrics
        self._fsync = fsync
        self.backlog = Backlog(spool.max_bytes)
        self.drain = SpoolDrain(self.backlog, drain_write, check, metrics)
        self._is_disk_usable = True
        self._refused_size = 0
        self._stores: list[ObjectStore] = []

    @classmethod
    def of_store(cls, spool: Spool, lake: MinIO, metrics: SpoolMetrics) -> SpoolingStore:
        """The spool before a store, with connections of its own."""
        brief = ObjectStore(attrs.evolve(lake, retry=_ONCE, timeout=min(lake.timeout, spool.after)))
        thorough = ObjectStore(attrs.evolve(lake, retry=_ONCE))
        found = cls(
            spool, lake.bucket, write=brief.write, drain_write=thorough.write, check=brief.check, metrics=metrics
        )
        found._stores = [brief, thorough]
        return found

    def open(self) -> None:
        """Creates the folder of this process, and starts to drain it and what ended processes left.

        Raises:
            ConfigurationError: the folder cannot be used.
        """
        root = self._spool.folder
        self._own = _create_spool_folder(self._spool, self._bucket, self._fsync)
        self.drain.start(self._own, lambda: SpoolFolder.take_over(root, self._bucket, self._fsync))

    def close(self) -> None:
        """Stops to drain, at once; what is in the spool stays there for the next start."""
        self.drain.stop()
        for store in self._stores:
            store.close()

    def write(self, key: str, body: bytes) -> object:
        """Stores an object, or a file with it in the spool; then returns `SPOOLED`.

        Raises:
            ConfigurationError: the store rejects it.
            TransientError: the store does not answer, and the spool cannot take it.
        """
        cause: Exception | None = None
        is_refused = self.drain.is_refused
        if is_refused or self.backlog.wait_for_turn(self._spool.after):
            try:
                self._write(key, body)
            except TransientError as error:
                self._metrics.count_failure(error)
                cause = error
            else:
                if is_refused:
                    self.drain.note_other_stored()
                return None
        self._spool_group(encode_group(key, body), cause)
        return SPOOLED

    def require_store(self) -> None:
        """Returns if the store took the last group of the spool that it was given, or none waits there.

        Raises:
            ConfigurationError: the store rejected it.
            TransientError: the store did not answer.
        """
        if self.drain.is_refused:
            raise ConfigurationError("the store rejects what is in the spool; the log has its answer")
        if self.drain.is_failing and self.backlog.is_waiting:
            raise TransientError("the store does not answer, and events are in the spool")

    def has_room(self) -> bool:
        """Whether the spool can take events."""
        if not self._is_disk_usable:
            with contextlib.suppress(OSError):
                self._own.try_disk()
                self._is_disk_usable = True
        room = min(self.backlog.free_bytes, self._own.free_bytes())
        enough = max(min(_ENOUGH_ROOM, self._spool.max_bytes // 10), self._refused_size)
        return self._is_disk_usable and room >= enough

    def _spool_group(self, content: bytes, cause: Exception | None) -> None:
        size = len(content)
        why = f"the store does not answer{f' ({describe_driver_error(cause)})' if cause else ''}"
        if not self.backlog.reserve(size):
            self._refused_size = size
            self._metrics.count_spool_error("full")
            raise TransientError(
                f"{why}, and the spool {self._own.path} is full: it has {self.backlog.bytes:,} of "
                f"{self._spool.max_bytes:,} bytes; see that the store answers, or set a larger max_bytes"
            )
        try:
            name = self._own.add(content)
        except OSError as error:
            self._is_disk_usable = False
            self._metrics.count_spool_error("disk")
            raise TransientError(
                f"{why}, and the spool {self._own.path} cannot take the events: {error}; see to the disk"
            ) from error
        finally:
            self.backlog.release(size)
        self._is_disk_usable, self._refused_size = True, 0
        if cause is not None:
            _logger.error("%s: events go to the spool %s until it does", why, self._own.path)
        self.backlog.add(SpooledGroup(name, size, self._own))
        self._metrics.count_spooled()


def add_spool_gauges(add_gauge: Callable[[str, str, Callable[[], float]], None], store: Callable[[], Any]) -> None:
    """Adds gauges of the spool.

    Args:
        add_gauge: adds a gauge with a name, a description, and a function for its value.
        store: the `SpoolingStore`; None while there is none.
    """

    def gauge(name: str, description: str, value: Callable[[SpoolingStore], float]) -> None:
        add_gauge(f"spool_{name}", description, lambda: value(found) if (found := store()) is not None else 0)

    gauge("groups", "Groups in the spool", lambda found: found.backlog.groups)
    gauge("bytes", "Bytes in the spool", lambda found: found.backlog.bytes)
    gauge("oldest_seconds", "Age of the oldest group in the spool", lambda found: found.backlog.oldest_seconds())
    gauge("set_aside_groups", "Groups that the store does not take", lambda found: found.backlog.groups_set_aside)
    gauge("damaged_groups", "Damaged files found and kept", lambda found: found.drain.damaged)
