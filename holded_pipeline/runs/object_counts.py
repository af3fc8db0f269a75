"""Records counted by the object that they were read from."""

from __future__ import annotations

import attrs


@attrs.frozen
class ObjectCount:
    """How many records of one version of an object came to a step.

    Attributes:
        bucket: of the object.
        key: of the object.
        etag: the version.
        records: all of them, duplicates and rejected ones included.
        duplicates: those that changed nothing, of a step that can tell.
        rejected: those that the step rejected.
    """

    bucket: str
    key: str
    etag: str
    records: int
    duplicates: int = 0
    rejected: int = 0
