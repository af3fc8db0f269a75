"""A response whose bytes count as memory until the client has taken them."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from holded_pipeline.api.collecting.request_budget import MemoryBudget
from holded_pipeline.api.problems import Problem

_PART_BYTES = 64 << 10  # the server keeps about this much unsent, and lets `send` wait for the rest


class HeldResponse(Response):
    """JSON that is sent in parts, as fast as the client takes them; it holds its bytes of the memory meanwhile.

    A response that is sent as one part leaves the app at once, and then waits in the server's buffer, which nobody
    counts. If the memory does not suffice, the answer is 429 or 503 instead.

    Args:
        body: the bytes to send.
        memory: the memory that they count against.
        key: the name of the request's API key.
    """

    def __init__(self, body: bytes, memory: MemoryBudget, key: str) -> None:
        super().__init__(body, media_type="application/json")
        self._memory = memory
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response."""
        host = scope["client"][0] if scope.get("client") else ""
        try:
            with self._memory.share(self._key, host) as share:
                share.reserve(len(self.body))
                await self._send_in_parts(send)
        except Problem as problem:
            await problem.response()(scope, receive, send)

    async def _send_in_parts(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        whole = memoryview(self.body)
        for start in range(0, max(1, len(whole)), _PART_BYTES):
            part = bytes(whole[start : start + _PART_BYTES])
            more = start + _PART_BYTES < len(whole)
            await send({"type": "http.response.body", "body": part, "more_body": more})
