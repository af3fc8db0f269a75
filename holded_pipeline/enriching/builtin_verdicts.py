"""The verdicts of all built-in quality rules on one event, in one pass over its document.

Each rule of `quality_rules` by itself looks through the whole document and parses the dates that it needs. Here the
document is looked through once, and a date is parsed once. The verdicts are the same; a test compares them. A document
of unusual size or with values that decoding does not give is left to the rules themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import attrs

from holded_pipeline.enriching import quality_rules as rules
from holded_pipeline.enriching.quality import NOT_APPLICABLE, RuleVerdict
from holded_pipeline.model.carried_text import data_of, metadata_value
from holded_pipeline.model.values import Event

_CHECKS: Final[dict[str, Callable[[Any], RuleVerdict]]] = {rule.id: rule.check for rule in rules.RULES}
_CURRENCY, _COUNTRY, _EMAIL, _DATE = 1, 2, 4, 8
_FORMS: Final = (
    (_CURRENCY, rules.CURRENCY_NAME, rules.CURRENCY_FORM),
    (_COUNTRY, rules.COUNTRY_NAME, rules.COUNTRY_FORM),
    (_EMAIL, rules.EMAIL_NAME, rules.EMAIL_FORM),
)
_MAX_NAMES: Final = 20_000  # of fields whose kinds are remembered
_MAX_NAME: Final = 200  # characters of a name that is remembered
_MAX_SHAPES: Final = 1_000
_MAX_SHAPE: Final = 100  # fields of an object that is remembered
_LAST_YEAR: Final = 9999
_EXACT_AMOUNT: Final = 1e9  # three amounts below it add up with an error far below _SURE
_SURE: Final = 0.0099  # a bit less than the cent that totals may differ by

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


_kinds = _KindsByName()


class _NamesByShape(dict[tuple[str, ...], tuple[tuple[str, _Kind], ...]]):
    """The fields that a rule looks at, by the names of all fields of an object: most objects have names of others."""

    def __missing__(self, names: tuple[str, ...]) -> tuple[tuple[str, _Kind], ...]:
        found = tuple([(name, kind) for name in names if (kind := _kinds[name]) is not None])
        if len(names) < _MAX_SHAPE and all(len(name) <= _MAX_NAME for name in names):
            if len(self) >= _MAX_SHAPES:
                self.clear()
            self[names] = found
        return found


_looked_at = _NamesByShape()


_SCALARS: Final = frozenset(rules.SCALARS)


@attrs.define
class RatedEvent:
    """What the built-in rules look at, in place of an event."""

    data: Mapping[str, Any]
    occurred_at: datetime
    metadata: Mapping[str, Any]
    user_id: str | None
    company_id: str

    @classmethod
    def of(cls, event: Event) -> RatedEvent:
        """What the rules look at of an event, without making its fields."""
        collected = {"collected_at": metadata_value(event, "collected_at")}
        return cls(data_of(event), event.occurred_at, collected, event.user_id, event.company_id)


def builtin_verdicts(event: Event) -> tuple[RuleVerdict, ...]:
    """The verdicts of `quality_rules.RULES`, in their order; for an event whose data and metadata are JSON.

    Here is found which rules an event passes, and which do not apply. A rule that it may fail is asked itself.
    """
    data = data_of(event)
    fields = _scan_fields(data) if type(data) is dict else None
    if fields is None:
        rated = RatedEvent.of(event)
        return tuple([check(rated) for check in _CHECKS.values()])
    seen, failed, times = fields
    identity = data.get("id")
    collected = metadata_value(event, "collected_at")
    return (
        None if type(identity) is str and identity.strip() else _ask("id.present", event),
        None if len(data) > 1 else _ask("document.content", event),
        None if data and _is_filled(data) else _ask("document.filled", event),
        None if event.user_id else _ask("user.known", event),
        *(_NO_AMOUNT if "amount" not in data else _amount_verdicts(event, data)),
        _ask("currency.code", event) if failed & _CURRENCY else None if seen & _CURRENCY else NOT_APPLICABLE,
        _ask("country.code", event) if failed & _COUNTRY else None if seen & _COUNTRY else NOT_APPLICABLE,
        _ask("email.address", event) if failed & _EMAIL else None if seen & _EMAIL else NOT_APPLICABLE,
        _ask("dates.readable", event) if failed & _DATE else None if seen & _DATE else NOT_APPLICABLE,
        None if rules.EARLIEST <= event.occurred_at < rules.LATEST else _ask("time.plausible", event),
        *(_NOT_COLLECTED if collected is None else _delay_verdicts(event, collected)),
        None if data.get("companyId") == event.company_id else _ask("company.same", event),
        _order_verdict(event, times, "updated.after_created", _CREATED, _UPDATED)
        if _UPDATED[0] in data or _UPDATED[1] in data
        else NOT_APPLICABLE,
        _order_verdict(event, times, "due.after_issued", _ISSUED, _DUE)
        if _DUE[0] in data or _DUE[1] in data
        else NOT_APPLICABLE,
        NOT_APPLICABLE if data.get("total") is None else _totals_verdict(event, data),
    )


def _ask(rule: str, event: Event) -> RuleVerdict:
    return _CHECKS[rule](RatedEvent.of(event))


_Fields = tuple[int, int, dict[str, datetime]]


def _scan_fields(data: dict[str, Any]) -> _Fields | None:  # noqa: C901  a call for each field would double its time
    """Looks at the named fields of a document, those of inner objects too.

    Returns:
        A bit for each rule about fields of certain names that has one to look at, a bit for each that one of them may
        fail, and the times of the document's own dates. None if the document is too large, or has values that decoding
        does not give.
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
                        seen |= _DATE
                        moment = _quick_time(value)
                        if moment is None:
                            failed |= _DATE
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
    return seen, failed, times


def _is_filled(data: Mapping[str, Any]) -> bool:
    empty = sum([1 for value in data.values() if not value and (value is None or value in ("", [], {}))])
    return empty <= rules.EMPTY_SHARE * len(data)


_NO_AMOUNT: Final = (NOT_APPLICABLE, NOT_APPLICABLE)


def _amount_verdicts(event: Event, data: Mapping[str, Any]) -> tuple[RuleVerdict, RuleVerdict]:
    amount = data["amount"]
    is_number = type(amount) is int or (type(amount) is float and math.isfinite(amount))
    return (
        None if is_number and data.get("currency") else _ask("amount.currency", event),
        None if is_number else _ask("amount.number", event),
    )


_NOT_COLLECTED: Final = (NOT_APPLICABLE, NOT_APPLICABLE)


def _delay_verdicts(event: Event, collected_at: Any) -> tuple[RuleVerdict, RuleVerdict]:
    collected = _quick_time(collected_at)
    if collected is None:
        return _NOT_COLLECTED
    delay = collected - event.occurred_at
    return (
        None if delay <= rules.LATE else _ask("collected.in_time", event),
        None if delay >= -rules.AHEAD else _ask("collected.not_before", event),
    )


def _totals_verdict(event: Event, data: Mapping[str, Any]) -> RuleVerdict:
    subtotal, tax, total = data.get("subtotal"), data.get("tax"), data["total"]
    if (
        (type(subtotal) is float or type(subtotal) is int)
        and (type(tax) is float or type(tax) is int)
        and (type(total) is float or type(total) is int)
        and max(abs(subtotal), abs(tax), abs(total)) < _EXACT_AMOUNT
        and abs(subtotal + tax - total) < _SURE
    ):
        return None
    return _ask("totals.add_up", event)


_CREATED, _UPDATED = ("createdAt", "created_at"), ("updatedAt", "updated_at")
_ISSUED, _DUE = ("date", "issuedAt", "issued_at"), ("dueDate", "due_date")


def _order_verdict(
    event: Event, times: Mapping[str, datetime], rule: str, earlier: tuple[str, ...], later: tuple[str, ...]
) -> RuleVerdict:
    first, second = times.get(earlier[0]), times.get(later[0])
    if first is not None and second is not None and second >= first:
        return None
    data = data_of(event)
    if (first is None and _has_none(data, earlier)) or (second is None and _has_none(data, later)):
        return NOT_APPLICABLE
    return _ask(rule, event)


def _has_none(data: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    for name in names:  # noqa: SIM110  a generator would take as long as the rest of the rule
        if data.get(name) is not None:
            return False
    return True


def _quick_time(value: Any) -> datetime | None:
    """What `quality_rules.parse_time` gives."""
    if value is None:
        return None
    if type(value) is str and value[4:5] == "-":
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return rules.parse_time(value)
        if 1 < moment.year < _LAST_YEAR:
            return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return rules.parse_time(value)
