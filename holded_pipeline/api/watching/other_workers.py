"""Workers ask each other for what is in the memory of one of them: recent events, and gauges."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from holded_pipeline.api.this_worker import Worker

_SECONDS: Final = 2.0
_LENGTH_BYTES: Final = 4
_QUESTION_BYTES: Final = 1 << 16
_logger = logging.getLogger("holded_pipeline.api")


class OtherWorkers:
    """Asks the other workers, and answers them, over Unix sockets in a folder that only their user can open.

    A message is its length in 4 bytes and then msgpack. A worker that does not answer within 2 seconds, because it
    starts or ended, is left out.

    Args:
        worker: the place of this one.
        find_event: gives the line of a recent event of this process.
        gauges: gives the gauges of this process.
    """

    def __init__(
        self,
        worker: Worker,
        find_event: Callable[[str], bytes | None],
        gauges: Callable[[], Mapping[str, float]],
    ) -> None:
        self._worker = worker
        self._find_event = find_event
        self._gauges = gauges
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Starts to answer."""
        path = self._worker.socket_of(self._worker.number)
        path.unlink(missing_ok=True)  # of a worker that was killed
        self._server = await asyncio.start_unix_server(self._answer, path)

    async def close(self) -> None:
        """Ends to answer."""
        if self._server is not None:
            self._server.close()
            self._worker.socket_of(self._worker.number).unlink(missing_ok=True)

    async def find_event(self, event_id: str) -> bytes | None:
        """The line of an event that another worker accepted lately; None if none of them has it."""
        answers = await self._ask_all(("event", event_id))
        return next((line for line in answers if isinstance(line, bytes)), None)

    async def gauges(self) -> list[dict[str, float]]:
        """The gauges of each other worker."""
        return [each for each in await self._ask_all(("gauges", "")) if isinstance(each, dict)]

    async def _ask_all(self, question: tuple[str, str]) -> list[Any]:
        others = [number for number in range(self._worker.count) if number != self._worker.number]
        return await asyncio.gather(*(self._ask(number, question) for number in others))

    async def _ask(self, number: int, question: tuple[str, str]) -> Any:
        """The answer of a worker, None if it has none."""
        try:
            async with asyncio.timeout(_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._worker.socket_of(number))
                with contextlib.closing(writer):
                    await _send(writer, question)
                    return msgspec.msgpack.decode(await _receive(reader))
        except (OSError, TimeoutError, asyncio.IncompleteReadError, msgspec.MsgspecError) as error:
            _logger.debug("worker %d does not answer: %s", number, error)
            return None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_SECONDS):
                what, event_id = msgspec.msgpack.decode(await _receive(reader, _QUESTION_BYTES), type=tuple[str, str])
                await _send(writer, self._find_event(event_id) if what == "event" else dict(self._gauges()))


async def _send(writer: asyncio.StreamWriter, message: Any) -> None:
    body = msgspec.msgpack.encode(message)
    writer.write(len(body).to_bytes(_LENGTH_BYTES, "big") + body)
    await writer.drain()


async def _receive(reader: asyncio.StreamReader, most: int | None = None) -> bytes:
    length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
    if most is not None and length > most:
        raise asyncio.IncompleteReadError(b"", length)
    return await reader.readexactly(length)
