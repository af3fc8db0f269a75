"""The fields of a document that the built-in quality rules look at, in one pass over it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from holded_pipeline.enriching import quality_rules as rules
from holded_pipeline.model.iso_8601 import SEPARATORS

CURRENCY, COUNTRY, EMAIL, DATE = 1, 2, 4, 8
CREATED, UPDATED = ("createdAt", "created_at"), ("updatedAt", "updated_at")
ISSUED, DUE = ("date", "issuedAt", "issued_at"), ("dueDate", "due_date")
EXACT_AMOUNT: Final = 1e9  # three amounts below it add up with an error far below SURE
SURE: Final = 0.0099  # a bit less than the cent that totals may differ by
_FORMS: Final = (
    (CURRENCY, rules.CURRENCY_NAME, rules.CURRENCY_FORM),
    (COUNTRY, rules.COUNTRY_NAME, rules.COUNTRY_FORM),
    (EMAIL, rules.EMAIL_NAME, rules.EMAIL_FORM),
)
_MAX_NAMES: Final = 20_000  # of fields whose kinds are remembered
_MAX_NAME: Final = 200  # characters of a name that is remembered
_MAX_SHAPES: Final = 1_000
_MAX_SHAPE: Final = 100  # fields of an object that is remembered
_LAST_YEAR: Final = 9999

_Kind = tuple[bool, tuple[tuple[int, Callable[[str], Any]], ...]]
"""Whether a field is a date; and the other rules that look at it, each with the form that they want."""


class _KindsByName(dict[str, _Kind | None]):
    """Which rules look at a field, by its name; None for most names."""

    def __missing__(self, name: str) -> _Kind | None:
        if len(self) >= _MAX_NAMES:
            self.clear()
        forms = tuple((bit, form.fullmatch) for bit, names, form in _FORMS if names.fullmatch(name))
        is_date = rules.DATE_NAME.fullmatch(name) is not None
        kind = (is_date, forms) if is_date or forms else None
        if len(name) <= _MAX_NAME:
            self[name] = kind
        return kind


kinds_of_names = _KindsByName()


class _NamesByShape(dict[tuple[str, ...], tuple[tuple[str, _Kind], ...]]):
    """The fields that a rule looks at, by the names of all fields of an object: most objects have names of others."""

    def __missing__(self, names: tuple[str, ...]) -> tuple[tuple[str, _Kind], ...]:
        found = tuple([(name, kind) for name in names if (kind := kinds_of_names[name]) is not None])
        if len(names) < _MAX_SHAPE and all(len(name) <= _MAX_NAME for name in names):
            if len(self) >= _MAX_SHAPES:
                self.clear()
            self[names] = found
        return found


_looked_at = _NamesByShape()
_SCALARS: Final = frozenset(rules.SCALARS)


_Fields = tuple[int, int, dict[str, Any], int]


def scan_fields(data: dict[str, Any]) -> _Fields | None:  # noqa: C901  a call for each field would double its time
    """Looks at the named fields of a document, those of inner objects too.

    Returns:
        A bit for each rule about fields of certain names that has one to look at, a bit for each that one of them may
        fail, the times of the document's own dates, which can be compared with each other, and how many of its own
        fields are empty. None if the document is too large, or has values that decoding does not give.
    """
    seen = failed = count = 0
    times: dict[str, datetime] = {}
    pending: list[Any] = [data]
    for current in pending:
        values = current
        if type(current) is dict:
            for name, (is_date, forms) in _looked_at[tuple(current)]:
                if (value := current[name]) is not None:
                    if is_date and type(value) is not dict and type(value) is not list:
                        seen |= DATE
                        moment = quick_time(value)
                        if moment is None:
                            failed |= DATE
                        elif current is data:
                            times[name] = moment
                    for bit, matches in forms:
                        seen |= bit
                        if type(value) is not str or not matches(value):
                            failed |= bit
            values = current.values()
        elif type(current) is not list:
            return None
        count += len(current)
        if count > rules.MAX_FIELDS:
            return None
        pending += [value for value in values if type(value) not in _SCALARS]  # those may have fields
    empty = sum([1 for value in data.values() if not value and (value is None or value in ("", [], {}))])
    return seen, failed, times, empty


def quick_time(value: Any) -> datetime | None:
    """What `quality_rules.parse_time` gives."""
    if value is None:
        return None
    if type(value) is str and value[4:5] == "-" and value[10:11] in SEPARATORS:  # fromisoformat takes any
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return rules.parse_time(value)
        if 1 < moment.year < _LAST_YEAR:
            return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return rules.parse_time(value)
