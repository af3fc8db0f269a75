"""`GET /health`: whether each dependency answers, in a word, and soon enough for a liveness check."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Literal

import attrs

from holded_pipeline.api.watching.readiness import Readiness
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.schemas.registry import SchemaRegistry
from holded_pipeline.servers.retry import Retry

Word = Literal["healthy", "unavailable"]
_SECONDS = 0.5  # a liveness check waits one second by default, and must not restart a process whose store is slow
_NO_SUBJECT = "holded-pipeline-check"


async def dependency_words(checks: Mapping[str, Readiness | None]) -> dict[str, Word]:
    """A word for each dependency; one that does not answer within half a second is `unavailable`.

    Args:
        checks: by name; None for one that is in memory, and so needs no check.
    """
    words = await asyncio.gather(*map(_word_for, checks.values()))
    return dict(zip(checks, words, strict=True))


async def _word_for(check: Readiness | None) -> Word:
    if check is None:
        return "healthy"
    try:
        async with asyncio.timeout(_SECONDS):
            await check.check()
    except Exception:  # noqa: BLE001  any error means that it cannot be used
        return "unavailable"
    return "healthy"


def registry_check(schemas: Any, seconds: float) -> Callable[[], None] | None:
    """A function that returns if the schema registry answers; None for schemas that are in memory.

    Args:
        schemas: the source of the schemas; None for none.
        seconds: until a request is given up.
    """
    if not isinstance(schemas, SchemaRegistry):
        return None
    once = Retry(_SECONDS, first_wait=_SECONDS, longest_wait=_SECONDS)
    source = attrs.evolve(schemas, timeout=min(schemas.timeout, seconds), retry=once)

    def check() -> None:
        # With a client of its own: one that is kept would answer from its memory.
        with contextlib.closing(source.prepare().open()) as client, contextlib.suppress(RejectRecord):
            client.resolve(_NO_SUBJECT, None)

    return check
