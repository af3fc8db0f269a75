"""What a call is at, noted where strangers are called one after the other, so that one that hangs can be named."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final

IN_HAND: Final[ContextVar[Any]] = ContextVar("in_hand", default=None)
"""The rule that is being asked, say; its `str` names it in messages. A context can be read from another thread."""
