"""Ledger: which objects need not be read again."""

from __future__ import annotations

import attrs

from holded_pipeline.postgres.postgres import Postgres


@attrs.frozen
class Ledger:
    """Remembers in PostgreSQL which versions of objects are settled.

    Args:
        db: the database.
        name: of the ledger; a pipeline has one of its own.
    """

    db: Postgres
    name: str = attrs.field(validator=attrs.validators.min_len(1))
