"""Imports Beam without its warning that a client of Google's BigQuery is missing, which nothing here uses.

Beam gives it by `logging.warning`, which also sets up the root logger: a later `logging.basicConfig` of the user would
then do nothing. Whoever imports Beam before this package gets the warning all the same.
"""

from __future__ import annotations

import logging
from typing import Any

_UNWANTED = "apitools not found"


def _import_beam() -> None:
    warn = logging.warning

    def warn_unless_unwanted(message: object, *args: Any, **kwargs: Any) -> None:
        if not str(message).startswith(_UNWANTED):
            warn(message, *args, **kwargs)

    logging.warning = warn_unless_unwanted  # type: ignore[assignment]
    try:
        import apache_beam  # noqa: F401, PLC0415
    finally:
        logging.warning = warn


_import_beam()
