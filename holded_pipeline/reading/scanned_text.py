"""The part of a text that is in memory while its records are framed."""

from __future__ import annotations

from holded_pipeline.reading.broken_strings import BLANKS
from holded_pipeline.reading.framed_records import KEEP_BYTES
from holded_pipeline.reading.layout import BOM, skip_blanks

_MAY_BE_SKIPPED = BLANKS + BOM[:1]


class ScannedText:
    """A buffer that is cut where a record ends. Of a record that is too large only the beginning is held.

    Attributes:
        buffer: the text from the current record on.
        at: scanned up to here.
        start: the current record begins here.
        string_at: where the string that is open begins, behind its quote; None if none is.
    """

    def __init__(self, first_line: int) -> None:
        self.buffer = b""
        self.at = self.start = 0
        self.string_at: int | None = None
        self._line = first_line  # the number of the line at `_counted`
        self._counted = 0
        self._kept = b""  # the beginning of a record that is too large
        self._removed = 0  # how many bytes of it are no longer in the buffer

    def add(self, chunk: bytes) -> None:
        """Removes what was taken, and what is not kept, and appends the chunk."""
        self._skip_blanks()
        self._remove_excess()
        self.line_at(self.start)
        cut = self.start
        self.buffer = self.buffer[cut:] + chunk
        self.at -= cut
        self._counted -= cut
        self.start = 0
        if self.string_at is not None:
            self.string_at = max(self.string_at - cut, 0)

    def _skip_blanks(self) -> None:
        if not self._removed:
            self.start = skip_blanks(self.buffer, self.start, self.at)

    def _remove_excess(self) -> None:
        if self._removed + self.at - self.start <= KEEP_BYTES:
            return
        if not self._removed:
            seen = self.buffer[self.start : self.at].rstrip(BLANKS)
            if len(seen) <= KEEP_BYTES:
                return
            self._kept = seen[:KEEP_BYTES]
        self._removed += self.at - self.start
        self.start = self.at

    def line_at(self, at: int) -> int:
        """The number of the line at a position; each is asked for in the text's order."""
        if at > self._counted:
            self._line += self.buffer.count(b"\n", self._counted, at)
            self._counted = at
        return self._line

    def first_visible(self) -> int:
        """Where the current record begins, behind blanks."""
        return skip_blanks(self.buffer, self.start, len(self.buffer))

    def began_on_the_line_that_ends(self, at: int) -> bool:
        """Whether the current record began on the line that ends here."""
        return not self._removed and self.buffer.find(b"\n", self.first_visible(), at) < 0

    def take(self, end: int) -> tuple[bytes, bool]:
        """The current record, which ends here, and whether it is whole; the next one begins here."""
        raw = self.buffer[self.start : end]
        self.start = end
        if self._removed:
            kept, self._kept, self._removed = self._kept, b"", 0
            return kept, False
        raw = raw.rstrip(BLANKS)
        if raw[:1] in _MAY_BE_SKIPPED:
            raw = raw[skip_blanks(raw, 0, len(raw)) :]
        return (raw, True) if len(raw) <= KEEP_BYTES else (raw[:KEEP_BYTES], False)
