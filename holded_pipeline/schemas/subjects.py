"""The subject of an event: the name of the schema it is checked against."""

from __future__ import annotations

from collections.abc import Callable

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.json_strings import has_surrogate
from holded_pipeline.model.templates import EVENT_FIELDS, parse_template
from holded_pipeline.model.values import Event
from holded_pipeline.user_code.errors import name_of, pipeline_error_for, result_or_error, truncated
from holded_pipeline.user_code.functions import require_function

Subject = Callable[[Event], str]


def subject_of(subject: str | Subject) -> Subject:
    """A function for a subject given as text, as a template such as `{type}-value`, or as a function.

    Raises:
        ValueError: the text is empty, or a template names an unknown field; the message lists the known ones.
    """
    if not isinstance(subject, str):
        require_function(subject, "subject", "(event) -> str, a text, or a template such as '{type}'")
        return _SubjectFunction(subject)
    if not subject:
        raise ValueError("subject must not be empty")
    return parse_template(subject, EVENT_FIELDS, name="subject")


def user_function_of(subject: Subject) -> Subject | None:
    """The user's function that finds a subject; None if none does."""
    return subject.function if isinstance(subject, _SubjectFunction) else None


class _SubjectFunction:
    """A user's function as a subject: an event for which it fails, or returns no subject, is rejected."""

    def __init__(self, function: Subject) -> None:
        self.function = function

    def __call__(self, event: Event) -> str:
        name = f"the subject function {name_of(self.function)}"
        subject = result_or_error(self.function, event)
        if isinstance(subject, BaseException):
            failed = "could not determine the subject of the event"
            raise pipeline_error_for("subject_error", subject, name, failed) from subject
        if not isinstance(subject, str) or not subject or has_surrogate(subject):
            text = result_or_error(repr, subject)
            shown = truncated(text) if isinstance(text, str) else type(subject).__name__
            raise RejectRecord(
                "subject_error", f"{name} returned {shown}, which is not a subject; return its name as text"
            )
        return subject
