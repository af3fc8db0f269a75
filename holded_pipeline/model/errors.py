"""Every exception this library raises on purpose.

The class decides what happens to the data. A fault of a record (`RejectRecord`) rejects that record. An outage
(`TransientError`) or a wrong setting (`ConfigurationError`) fails the run and leaves the data where they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from holded_pipeline.model.values import Violation


class HoldedPipelineError(Exception):
    """The base class of all errors of this library."""


class ConfigurationError(HoldedPipelineError):
    """A setting, a grant, a table or a schema is wrong: it has to be changed, a retry cannot help."""


class TransientError(HoldedPipelineError):
    """A server did not answer within the deadline. The data were left untouched: run again."""


class ObjectVanishedError(HoldedPipelineError):
    """An object was listed, but was deleted or overwritten before it could be read."""


class ObjectUnreadableError(ConfigurationError):
    """An object is there, but the store does not give it out: it is archived, or encrypted with a key out of reach."""


class EnricherError(HoldedPipelineError):
    """An enricher whose `on_error` is `fail` failed. Its exception is the cause of this one."""


class LeaseLostError(HoldedPipelineError):
    """Another process took the lease, since this one did not renew it in time. Nothing was undone."""


class TooManyRejectedError(HoldedPipelineError):
    """More records were rejected than `WriteRejected(max_rejected=...)` allows; all of them were written first."""


class UnbalancedError(HoldedPipelineError):
    """Records of an object are not accounted for: neither stored, nor duplicates, nor rejected, nor dropped."""


class AlreadySettledError(HoldedPipelineError):
    """Another run settled objects of this run in the meantime. Nothing is lost or doubled: run again."""


class RejectRecord(HoldedPipelineError):  # noqa: N818  it instructs the pipeline, which does not fail
    """Raised by an envelope, an enricher or a row function to reject the record that it was given.

    Args:
        reason: a short stable code in snake_case, for filters and counts.
        message: what is wrong with the record, and what would fix it.
        violations: each fault, if there are several.
    """

    def __init__(self, reason: str, message: str, violations: Sequence[Violation] = ()) -> None:
        super().__init__(reason, message, tuple(violations))
        self.reason = reason
        self.message = message
        self.violations = tuple(violations)

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"
