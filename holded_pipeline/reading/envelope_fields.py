"""Reading the fields of a document, so that everything wrong is reported at once, each with its JSON Pointer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.identity import MAX_KEY_CHARACTERS, correlation_id_of
from holded_pipeline.model.timestamp_rules import DEFAULT_TIMESTAMPS, ImplausibleTimestampError, Timestamps
from holded_pipeline.model.values import Source, Violation

MISSING = "missing_field"
INVALID = "invalid_field"
CONFLICT = "conflicting_headers"
IMPLAUSIBLE = "implausible_timestamp"
_MOST_SEVERE_FIRST = (MISSING, CONFLICT, INVALID, IMPLAUSIBLE)
WRAPPER_MEMBERS = frozenset({"event_id", "correlation_id", "received_at"})
"""What the collecting API puts around a message, or beside its members."""

SENDER: Final = "sender"
"""What the collecting API puts around a message, and only there: the name of the API key that sent it.

A member of that name beside those of the message, or within it, is what the producer sent.
"""

_LARGEST_INTEGER = 10**MAX_KEY_CHARACTERS


class FieldReader:
    """Reads members of a document and collects a violation for each that is missing or wrong.

    Args:
        envelope: names the envelope in the message.
        timestamps: how timestamps are read, and which are accepted.

    Each reading method takes the value, its JSON Pointer and what it means, for the message. It returns None for a
    member that is absent, null or wrong. The return type is Any, since a required member cannot be None once `check`
    has returned.
    """

    def __init__(self, envelope: str, timestamps: Timestamps = DEFAULT_TIMESTAMPS) -> None:
        self._envelope = envelope
        self._timestamps = timestamps
        self._violations: list[tuple[str, Violation]] = []

    def add(self, reason: str, pointer: str, keyword: str, message: str) -> None:
        """Adds a violation."""
        self._violations.append((reason, Violation(pointer, keyword, message)))

    def missing(self, pointer: str, what: str) -> None:
        """Adds a violation for a required member that is absent or null."""
        self.add(MISSING, pointer, "required", f"{pointer} is missing: {what}")

    def mapping(self, value: Any, pointer: str, what: str, *, required: bool = True) -> Any:
        """Reads a member that is an object."""
        if value is None:
            if required:
                self.missing(pointer, what)
            return None
        if not isinstance(value, Mapping):
            self.add(INVALID, pointer, "type", f"{pointer} must be an object: {what}")
            return None
        return value

    def key(self, value: Any, pointer: str, what: str, *, required: bool = True) -> Any:
        """Reads an id: text that is not blank, or an integer, which becomes text."""
        if value is None:
            if required:
                self.missing(pointer, what)
            return None
        if isinstance(value, int) and not isinstance(value, bool) and -_LARGEST_INTEGER < value < _LARGEST_INTEGER:
            value = str(value)
        if not isinstance(value, str):
            self.add(INVALID, pointer, "type", f"{pointer} must be text or an integer: {what}")
        elif not value.strip():
            self.add(INVALID, pointer, "minLength", f"{pointer} is empty: {what}")
        elif len(value) > MAX_KEY_CHARACTERS:
            limit = f"at most {MAX_KEY_CHARACTERS} characters are accepted, it has {len(value)}"
            self.add(INVALID, pointer, "maxLength", f"{pointer} is too long: {limit}")
        else:
            return value
        return None

    def timestamp(self, value: Any, pointer: str, what: str, *, required: bool = True) -> Any:
        """Reads a timestamp in any of the forms of `parse_timestamp`, as a datetime in UTC."""
        if value is None:
            if required:
                self.missing(pointer, what)
            return None
        try:
            return self._timestamps.read(value)
        except ImplausibleTimestampError as error:
            self.add(IMPLAUSIBLE, pointer, "minimum", f"{pointer} cannot be true: {error}")
            return None
        except ValueError as error:
            self.add(INVALID, pointer, "format", f"{pointer} is not a timestamp: {error}")
            return None

    def check(self) -> None:
        """Raises if there are violations.

        Raises:
            RejectRecord: with all violations; its reason is the most severe of theirs: `missing_field`, then
                `conflicting_headers`, then `invalid_field`, then `implausible_timestamp`.
        """
        if not self._violations:
            return
        reasons = {reason for reason, _ in self._violations}
        reason = next(reason for reason in _MOST_SEVERE_FIRST if reason in reasons)
        violations = [violation for _, violation in self._violations]
        what = "; ".join(violation.message for violation in violations)
        raise RejectRecord(reason, f"the document does not fit the envelope {self._envelope!r}: {what}", violations)


def require_object(document: Any, envelope: str) -> Mapping[str, Any]:
    """Returns the document if it is a JSON object.

    Raises:
        RejectRecord: `not_an_object`.
    """
    if isinstance(document, Mapping):
        return document
    kinds = {str: "a text", list: "an array", bool: "a boolean", type(None): "null"}
    kind = kinds.get(type(document), "a number")
    message = f"the envelope {envelope!r} reads JSON objects, and the record is {kind}"
    raise RejectRecord("not_an_object", message, [Violation("", "type", message)])


def package_metadata(
    outer: Mapping[str, Any], source: Source, reader: FieldReader, *, is_wrapped: bool
) -> dict[str, Any]:
    """Reads the metadata of the package: its correlation id, when it was collected, and who sent it.

    Args:
        outer: the record.
        source: where it was read.
        reader: reads the members.
        is_wrapped: whether the message is under `event`.
    """
    given = reader.key(outer.get("correlation_id"), "/correlation_id", "the package", required=False)
    collected = reader.timestamp(outer.get("received_at"), "/received_at", "when it was collected", required=False)
    metadata = {"correlation_id": given or correlation_id_of(source)}
    if collected is not None:
        metadata["collected_at"] = collected.isoformat()
    if is_wrapped and outer.get(SENDER) is not None:
        metadata[SENDER] = reader.key(outer[SENDER], f"/{SENDER}", "the API key that sent it")
    return metadata
