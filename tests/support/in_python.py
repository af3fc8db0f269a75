"""Does without the code in C, where it is built, so that both are tested."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from unittest.mock import patch

from holded_pipeline.enriching import builtin_verdicts, document_fields
from holded_pipeline.model import carried_text
from holded_pipeline.postgres import event_row
from holded_pipeline.reading import common_records
from holded_pipeline.store import object_names
from holded_pipeline.transforms import write_minio


@contextmanager
def in_python() -> Iterator[None]:
    """Within the block, in this process, everything is done in Python."""
    with ExitStack() as stack:
        for module in (builtin_verdicts, carried_text, common_records, event_row, object_names, write_minio):
            stack.enter_context(patch.object(module, "_in_c", None))
        stack.enter_context(patch.object(carried_text, "_iso_text", datetime.isoformat))
        stack.enter_context(patch.object(builtin_verdicts, "_scan_fields", document_fields.scan_fields))
        yield
