"""Which built-in envelope reads records that another one rejects: for whoever forgets `envelope=`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from holded_pipeline.model import json_codec
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.timestamp_rules import ANY_TIMESTAMPS
from holded_pipeline.model.values import Source
from holded_pipeline.reading.envelopes import ENVELOPES

ENVELOPE_REASONS: Final = frozenset(
    {"not_an_object", "missing_field", "conflicting_headers", "invalid_field", "implausible_timestamp"}
)
"""The reasons of the built-in envelopes: the record is JSON, and another envelope may read it."""

FIRST_RECORDS: Final = 20
_LONGEST: Final = 1 << 20  # bytes of a record that is tried
_NOWHERE: Final = Source("", "", "", 1)


def fitting_envelope(envelope: Any, records: Sequence[bytes]) -> str | None:
    """The name of another built-in envelope that reads all these records; None if there is none.

    Args:
        envelope: the envelope that rejected them.
        records: the records, as they were read.
    """
    others = ((name, known) for name, known in ENVELOPES.items() if known is not envelope)
    return next((name for name, known in others if all(_fits(known, raw) for raw in records)), None)


def _fits(envelope: Callable[..., Any], raw: bytes) -> bool:
    if len(raw) > _LONGEST:
        return False
    try:
        envelope(json_codec.decode(raw, max_depth=json_codec.DEEPEST), _NOWHERE, timestamps=ANY_TIMESTAMPS)
    except RejectRecord:
        return False
    return True


class FirstRecords:
    """The first records that a step reads, as long as all of them are rejected by its envelope.

    Args:
        envelope: the step's.
    """

    def __init__(self, envelope: Any) -> None:
        self._envelope = envelope
        self._rejected: list[bytes] = []
        self._first_fault = ""
        self.is_settled = not any(envelope is known for known in ENVELOPES.values())

    def passed(self) -> None:
        """One record passed, so the envelope fits."""
        self.is_settled = True
        self._rejected.clear()

    def rejected(self, fault: RejectRecord, raw: bytes) -> str | None:
        """One record was rejected; returns the advice when enough of them were."""
        if self.is_settled:
            return None
        if fault.reason not in ENVELOPE_REASONS:
            return None  # a broken record says nothing about the envelope
        self._first_fault = self._first_fault or str(fault)
        self._rejected.append(raw)
        return self.advice() if len(self._rejected) == FIRST_RECORDS else None

    def advice(self) -> str | None:
        """The advice, once, if all records up to now were rejected."""
        if self.is_settled or not self._rejected:
            return None
        self.is_settled = True
        records, self._rejected = self._rejected, []
        number = len(records)
        given = next(name for name, known in ENVELOPES.items() if known is self._envelope)
        what = "the first record was" if number == 1 else f"all of the first {number} records were"
        if all(_fits(self._envelope, raw) for raw in records):
            advice = f"it would read them with other timestamps; of the first: {self._first_fault}"
        elif (fitting := fitting_envelope(self._envelope, records)) is not None:
            advice = f'the envelope "{fitting}" reads them: pass envelope="{fitting}"'
        else:
            advice = "no built-in envelope reads them: pass a function, which makes an hp.Event of (document, source)"
        return f'{what} rejected by the envelope "{given}"; {advice}'
