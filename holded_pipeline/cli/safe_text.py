"""Text for a terminal: what a record or a key has in it cannot move the cursor or turn other text around."""

from __future__ import annotations

import logging
import re
from typing import Final

# Control characters but for the tab and the new line, those that change the direction of text, and halves of a pair.
_UNSAFE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def safe_text(text: str) -> str:
    r"""The text with `\x1b` and the like in place of characters that a terminal would obey, or cannot be written."""
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


def safe_json(text: str) -> str:
    r"""The same for JSON, whose values stay as they are: `\u009b`."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class SafeFormatter(logging.Formatter):
    """Formats lines of the log, which may name keys and values of records."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return safe_text(super().format(record))
