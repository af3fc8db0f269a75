"""The end of a filesystem: its connections are closed in the event loop that they belong to."""

from __future__ import annotations

import asyncio
import gc


def test_the_last_reference_may_go_in_another_event_loop(lake):
    """An error's traceback may keep a filesystem until a server's event loop collects it."""
    gc.collect()
    errors = []

    async def forget(kept):
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        kept.clear()
        for _ in range(3):
            gc.collect()
            await asyncio.sleep(0.05)

    kept = [lake.filesystem()]
    kept[0].ls(lake.bucket)
    client = kept[0]._s3
    asyncio.run(forget(kept))
    gc.collect()
    assert errors == []
    assert client._endpoint.http_session._sessions is None
