"""Code in C, written in Cython, for what is done with each byte of a record and each field of a document.

It is built where pip finds a C compiler. Without it Python does the same work and a run takes longer. Each module here
stands beside one in Python, gives what that gives, and leaves to it whatever is rare: so all reasons and messages are
made in Python, and this code answers only "this is it" or "not sure".

    json_scan        one pass over a JSON text: is it valid, is a name in it twice, where are its members
    iso_times        times of the forms that most producers write, read and written
    common_message   beside `reading.common_message`
    metadata_entries beside `model.carried_text`
    quality_fields   beside `enriching.document_fields` and `enriching.builtin_verdicts`
    event_lines      beside `postgres.event_row`, `transforms.write_minio` and `store.object_names`
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import Any, Final

_PURE = "HOLDED_PIPELINE_PURE"
MODULES: Final = ("common_message", "event_lines", "iso_times", "json_scan", "metadata_entries", "quality_fields")


def compiled(name: str) -> Any:
    """A module of this package; None where one was not built, or `HOLDED_PIPELINE_PURE` in the environment is not `0`.

    Raises:
        ImportError: it was built from other sources than the Python beside it, or for another machine.
    """
    qualified = f"{__name__}.{name}"
    if os.environ.get(_PURE, "0") not in ("", "0"):
        return None
    if any(importlib.util.find_spec(f"{__name__}.{each}") is None for each in MODULES):  # they import each other
        return None
    try:
        return importlib.import_module(qualified)
    except ImportError as error:
        advice = f"build it again: pip install --no-deps -e . in the clone; or set {_PURE}=1 to do without it"
        raise ImportError(
            f"{qualified} was built from other sources than those that are here, or for another machine ({error}); "
            f"{advice}"
        ) from error


def is_compiled() -> bool:
    """Whether the code in C is used."""
    return compiled("json_scan") is not None
