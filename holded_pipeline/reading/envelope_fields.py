"""Reading the fields of an envelope, so that all that is wrong comes out at once, each with its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.identity import MAX_KEY_CHARACTERS, correlation_id_of
from holded_pipeline.model.timestamps import parse_timestamp
from holded_pipeline.model.values import Source, Violation

MISSING = "missing_field"
INVALID = "invalid_field"
CONFLICT = "conflicting_headers"
_GRAVEST_FIRST = (MISSING, CONFLICT, INVALID)
WRAPPER_MEMBERS = frozenset({"event_id", "correlation_id", "received_at"})
"""What the collecting API puts around a message."""

_LARGEST_INTEGER = 10**MAX_KEY_CHARACTERS


class Faults:
    """Reads members of a document and remembers all that is wrong with them.

    Args:
        envelope: names the envelope in the message.

    Each reading method returns None for a member that is absent, null or wrong. It is typed as Any, since a
    required one cannot be None once `check` has returned.
    """

    def __init__(self, envelope: str) -> None:
        self._envelope = envelope
        self._found: list[tuple[str, Violation]] = []

    def add(self, reason: str, place: str, keyword: str, message: str) -> None:
        """Remembers a fault."""
        self._found.append((reason, Violation(place, keyword, message)))

    def missing(self, place: str, what: str) -> None:
        """Remembers that something is not there."""
        self.add(MISSING, place, "required", f"{place} is missing: {what}")

    def mapping(self, value: Any, place: str, what: str, *, required: bool = True) -> Any:
        """A member that is an object."""
        if value is None:
            if required:
                self.missing(place, what)
            return None
        if not isinstance(value, Mapping):
            self.add(INVALID, place, "type", f"{place} must be an object: {what}")
            return None
        return value

    def key(self, value: Any, place: str, what: str, *, required: bool = True) -> Any:
        """A member that identifies something: text that is not blank, or an integer, which becomes text."""
        if value is None:
            if required:
                self.missing(place, what)
            return None
        if isinstance(value, int) and not isinstance(value, bool) and -_LARGEST_INTEGER < value < _LARGEST_INTEGER:
            value = str(value)
        if not isinstance(value, str):
            self.add(INVALID, place, "type", f"{place} must be text or an integer: {what}")
        elif not value.strip():
            self.add(INVALID, place, "minLength", f"{place} is empty: {what}")
        elif len(value) > MAX_KEY_CHARACTERS:
            limit = f"at most {MAX_KEY_CHARACTERS} characters are accepted, it has {len(value)}"
            self.add(INVALID, place, "maxLength", f"{place} is too long: {limit}")
        else:
            return value
        return None

    def moment(self, value: Any, place: str, what: str, *, required: bool = True) -> Any:
        """A member that is a moment in any of the forms of `parse_timestamp`, as a datetime in UTC."""
        if value is None:
            if required:
                self.missing(place, what)
            return None
        try:
            return parse_timestamp(value)
        except ValueError as error:
            self.add(INVALID, place, "format", f"{place} is no moment: {error}")
            return None

    def check(self) -> None:
        """Raises for all that was remembered, and returns if that is nothing.

        Raises:
            RejectRecord: `missing_field`, `conflicting_headers` or `invalid_field`, the first of them that
                occurred, with every fault as a violation.
        """
        if not self._found:
            return
        reasons = {reason for reason, _ in self._found}
        reason = next(reason for reason in _GRAVEST_FIRST if reason in reasons)
        violations = [violation for _, violation in self._found]
        what = "; ".join(violation.message for violation in violations)
        raise RejectRecord(reason, f"the document does not fit the envelope {self._envelope!r}: {what}", violations)


def require_object(document: Any, envelope: str) -> Mapping[str, Any]:
    """The document, if it is a JSON object.

    Raises:
        RejectRecord: `not_an_object`.
    """
    if isinstance(document, Mapping):
        return document
    kinds = {str: "a text", list: "an array", bool: "a boolean", type(None): "null"}
    kind = kinds.get(type(document), "a number")
    message = f"the envelope {envelope!r} reads JSON objects, and the record is {kind}"
    raise RejectRecord("not_an_object", message, [Violation("", "type", message)])


def package_metadata(outer: Mapping[str, Any], source: Source, faults: Faults) -> dict[str, Any]:
    """What is known of the package: its correlation id, and when it was collected."""
    given = faults.key(outer.get("correlation_id"), "/correlation_id", "the package", required=False)
    collected = faults.moment(outer.get("received_at"), "/received_at", "when it was collected", required=False)
    known = {"correlation_id": given or correlation_id_of(source)}
    return known if collected is None else known | {"collected_at": collected.isoformat()}
