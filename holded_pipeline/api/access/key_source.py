"""The keys that a server accepts now: constant ones, or those of a file, read again when the file changes."""

from __future__ import annotations

import threading

from holded_pipeline.api.access.audit import Audit
from holded_pipeline.api.access.key_file import KeyFile
from holded_pipeline.api.access.keyring import Keyring, NamedKeys
from holded_pipeline.model.errors import ConfigurationError

INTERVAL = 1.0
"""Seconds between two looks at the file."""

Keys = NamedKeys | KeyFile
"""What `create_app` takes as keys."""


class KeySource:
    """Holds the keys, and for a file the thread that looks at it.

    Args:
        keys: the keys.
        audit: where changes of the keys are logged.
    """

    def __init__(self, keys: Keys, audit: Audit) -> None:
        self._file = keys if isinstance(keys, KeyFile) else None
        self.keyring = Keyring([]) if isinstance(keys, KeyFile) else Keyring.of(keys)
        self._audit = audit
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._used: bytes | None = None
        self._seen: bytes | None = None
        self._fault: str | None = None

    @property
    def is_set_up(self) -> bool:
        """Whether requests need a key. A file without keys lets nobody in; it does not let everybody in."""
        return self._file is not None or len(self.keyring) > 0

    def open(self) -> None:
        """Reads the file, and starts the thread that looks at it.

        Raises:
            ConfigurationError: the file cannot be used.
        """
        if self._file is None or self._thread is not None:
            return
        self._used = self._seen = self._file.read()
        self._take(self._file.parse(self._used), "read")
        self._stopping.clear()
        self._thread = threading.Thread(target=self._watch, name="holded-keys", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def look(self) -> None:
        """Takes the content of the file if it is a new one and was the same the last time.

        A file is written piece by piece, and half of it may be valid. The content is compared, not the time of the
        change: that has the same value for two changes in one tick of the clock, and for a copy with `cp -p`.
        """
        assert self._file is not None  # noqa: S101  only then there is something to look at
        try:
            content = self._file.read()
            is_settled, self._seen = content == self._seen, content
            if is_settled and content != self._used:
                keyring = self._file.parse(content)
                self._used = content
                self._take(keyring, "changed")
            if content == self._used and self._fault is not None:
                self._fault = None
                self._audit.note("the key file is as it was used last")
        except ConfigurationError as error:
            self._report(str(error))

    def _take(self, keyring: Keyring, what: str) -> None:
        assert self._file is not None  # noqa: S101  as above
        self.keyring = keyring  # one assignment: a request has the old keys or the new ones
        self._fault = None
        names = ", ".join(keyring.names()) or "none"
        self._audit.note(f"the key file {self._file.path} was {what}; keys of: {names}")
        if exposure := self._file.exposure():
            self._audit.warn(exposure)

    def _report(self, fault: str) -> None:
        """Logs why the file is not used, once for each reason."""
        if fault != self._fault:
            self._fault = fault
            self._audit.warn(f"{fault}; until then the keys stay as they were")

    def _watch(self) -> None:
        while not self._stopping.wait(INTERVAL):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001  the thread must go on, and an error of it is no key's fault
                self._report(f"the key file cannot be looked at: {type(error).__name__}: {error}")
