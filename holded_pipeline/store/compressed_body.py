"""The bytes of an object that is being filled, compressed and digested on a thread beside the one that fills it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from io import BytesIO

from holded_pipeline.store.compression import Compression, Compressor, new_compressor
from holded_pipeline.store.object_names import ObjectIdentity

Piece = tuple[bytes, bytes, bytes]
"""Lines that leave out the same member of their text in the identity: the text, that member, and their origins."""


class CompressedBody:
    """Takes an object's text a block at a time; a block is compressed while the next one is gathered.

    Compression and digests release Python's global lock, so the thread of the pipeline goes on meanwhile. It waits for
    a block before it gives the next: so an object ends at the same line however fast the threads are.

    Args:
        compression: the name of a codec, or None.
        identity: gets the text of the lines.
        executor: runs the work; None to do it at once.
    """

    def __init__(self, compression: Compression | None, identity: ObjectIdentity, executor: Executor | None) -> None:
        self._compressor: Compressor = new_compressor(compression)
        self._identity = identity
        self._executor = executor
        self._running: Future[None] | None = None
        self._body = BytesIO()  # gives its bytes without a copy

    def add(self, pieces: Sequence[Piece]) -> int:
        """Adds a block; returns the size of the body with the blocks before it, or with it if that is known."""
        size = self._wait()
        if self._executor is None:
            self._compress(pieces)
            return self._body.tell()
        self._running = self._executor.submit(self._compress, pieces)
        return size

    def finish(self, pieces: Sequence[Piece]) -> bytes:
        """Adds the last block; returns the whole body."""
        self._wait()
        self._compress(pieces)
        self._body.write(self._compressor.flush())
        return self._body.getvalue()

    def _wait(self) -> int:
        if self._running is not None:
            self._running.result()
            self._running = None
        return self._body.tell()

    def _compress(self, pieces: Sequence[Piece]) -> None:
        for text, time_member, origins in pieces:
            self._identity.add(text, time_member, origins)
        # As a whole: pieces end where the clock went on, and an object must not end by the clock.
        self._body.write(self._compressor.compress(b"".join([text for text, _, _ in pieces])))
