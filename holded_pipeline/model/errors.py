"""Every exception this library raises on purpose.

The split is the one that decides what happens to data: a record's own fault (`RejectRecord`) moves that
record aside; an outage (`TransientError`) or a wrong setting (`ConfigurationError`) fails the run and leaves
the data where they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from holded_pipeline.model.values import Violation


class HoldedPipelineError(Exception):
    """The base of everything raised here on purpose."""


class ConfigurationError(HoldedPipelineError):
    """A setting, a grant, a table or a schema is wrong: trying again cannot help, changing it can."""


class TransientError(HoldedPipelineError):
    """A server did not answer within the deadline. The data were left untouched: run again."""


class ObjectVanishedError(HoldedPipelineError):
    """An object was listed, but was deleted or overwritten before it could be read."""


class EnricherError(HoldedPipelineError):
    """An enricher failed and may not: its `on_error` is `fail`. The enricher's own exception is the cause."""


class TooManyRejectedError(HoldedPipelineError):
    """More records were rejected than `WriteRejected(max_rejected=...)` allows; all of them were written first."""


class RejectRecord(HoldedPipelineError):  # noqa: N818  an instruction to the pipeline rather than a failure of it
    """Raised by an envelope, an enricher or a row function to reject the record it was given, and only that.

    Args:
        reason: a short stable code in snake_case, for filters and counts.
        message: what is wrong with the record and what would make it right.
        violations: the single faults found, if there are several.
    """

    def __init__(self, reason: str, message: str, violations: Sequence[Violation] = ()) -> None:
        super().__init__(reason, message, tuple(violations))
        self.reason = reason
        self.message = message
        self.violations = tuple(violations)

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"
