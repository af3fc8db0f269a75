"""Texts with fields in braces, such as `date={date}/{type_name}`, that are filled from each event."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Final

import attrs

from holded_pipeline.model.values import Event

FieldValue = Callable[[Event], str]

_SEPARATOR = re.compile(r"[\\/.]")


def type_name_of(event: Event) -> str:
    r"""The last part of the event's type: `UserUpdated` of `Holded\User\UserUpdated`, `updated` of `user.updated`."""
    return _SEPARATOR.split(event.type)[-1]


EVENT_FIELDS: Final[Mapping[str, FieldValue]] = {
    "type": attrgetter("type"),
    "type_name": type_name_of,
    "company_id": attrgetter("company_id"),
}
"""The fields that every template has."""


_MAX_TEXTS = 10_000  # that a template remembers: most events of a run have the same few


@attrs.frozen
class Template:
    """A parsed template; made by `parse_template`. A class rather than a closure, so that it can be pickled.

    Attributes:
        parts: each text with the field that follows it, if one does: `a={type}/b` is `a=` with `type`, and `/b`.
        encode: what is done to the value of a field.
    """

    parts: tuple[tuple[str, FieldValue | None], ...]
    encode: Callable[[str], str]
    _texts: dict[str | tuple[str, ...], str] = attrs.field(factory=dict, init=False, eq=False, repr=False)
    _values: tuple[FieldValue, ...] = attrs.field(init=False, eq=False, repr=False)

    @_values.default
    def _list_values(self) -> tuple[FieldValue, ...]:
        return tuple(value for _, value in self.parts if value is not None)

    def __call__(self, event: Event) -> str:
        """The text for an event."""
        if len(self._values) == 1:  # as most have; a tuple takes as long as the rest
            values: Any = self._values[0](event)
        else:
            values = tuple([value(event) for value in self._values])
        text = self._texts.get(values)
        if text is None:
            if len(self._texts) >= _MAX_TEXTS:
                self._texts.clear()
            text = self._texts[values] = self._format((values,) if isinstance(values, str) else values)
        return text

    def _format(self, values: tuple[str, ...]) -> str:
        encoded = map(self.encode, values)
        return "".join([text if value is None else text + next(encoded) for text, value in self.parts])


def parse_template(
    template: str, fields: Mapping[str, FieldValue], *, name: str, encode: Callable[[str], str] = str
) -> Template:
    """The function for a template. Its functions must be ones that can be pickled, so no lambdas.

    Args:
        template: in the syntax of `str.format`; fields have neither a format nor a conversion.
        fields: the fields that it may have, with what gives their value.
        name: of the argument, for the message.
        encode: what is done to the value of a field.

    Raises:
        ValueError: it is no template, or names an unknown field; the message lists the known ones.
    """
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"the {name} {template!r} is no template: {error}") from error
    for _, field, spec, conversion in parsed:
        if field is not None and (field not in fields or spec or conversion):
            known = ", ".join(sorted(fields))
            raise ValueError(f"the {name} {template!r} has no usable field {field!r}; the fields are: {known}")
    return Template(tuple((text, None if field is None else fields[field]) for text, field, _, _ in parsed), encode)
