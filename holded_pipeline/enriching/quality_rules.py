"""The built-in quality rules. They accept any document: an unusual one fails a rule, or the rule does not apply."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from holded_pipeline.enriching.quality import NOT_APPLICABLE, QualityRule, RuleVerdict, ruleset_of
from holded_pipeline.model.timestamps import parse_timestamp
from holded_pipeline.model.values import Event
from holded_pipeline.user_code.read_only import FrozenDict, FrozenList

LATE = timedelta(hours=1)
AHEAD = timedelta(minutes=5)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
EMPTY_SHARE = 0.25
NO_USER = "there is no user id"
_CENT = Decimal("0.01")
_MAX_AMOUNT = 10**15  # no business amount is larger
MAX_FIELDS = 2_000  # fields of one document that are checked, so that a giant one costs no more
_MAX_NAME = 200  # characters of a name that is remembered
_MAX_SHOWN = 60  # characters of a name that a reason repeats
CURRENCY_FORM = re.compile(r"[A-Z]{3}")
COUNTRY_FORM = re.compile(r"[A-Z]{2}")
EMAIL_FORM = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")
EMAIL_NAME = re.compile(r"(?:.*_)?e_?mail|.*E[Mm]ail")
SCALARS: Final[frozenset[type]] = frozenset({str, int, float, bool, type(None), Decimal})
CURRENCY_NAME = re.compile("currency")
COUNTRY_NAME = re.compile("country|nationality")
DATE_NAME = re.compile(r"(?:.*_)?date|.*Date|.*[a-z]At|.*_at")


def _named_fields(data: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The named fields of a document, those of inner objects too, outermost first, and no more than `MAX_FIELDS`.

    `{"a": 1, "lines": [{"b": 2}]}` gives `[("a", 1), ("lines", [...]), ("b", 2)]`.
    """
    found: list[tuple[str, Any]] = []
    pending: list[Any] = [data]
    for current in pending:
        if isinstance(current, list | tuple):
            values: Iterable[Any] = current[:MAX_FIELDS]
        else:
            found.extend(islice(current.items(), MAX_FIELDS))
            values = islice(current.values(), MAX_FIELDS)
        pending.extend([value for value in values if type(value) not in SCALARS and _may_have_fields(value)])
        if len(pending) > MAX_FIELDS:
            break
    return found[:MAX_FIELDS]


def _may_have_fields(value: Any) -> bool:
    kind = type(value)
    return kind is FrozenDict or kind is FrozenList or isinstance(value, Mapping | list | tuple)


def _is_named(name: str, names: re.Pattern[str]) -> bool:
    return _is_known_name(name, names) if len(name) <= _MAX_NAME else names.fullmatch(name) is not None


@lru_cache(maxsize=10_000)  # field names are few, and the same in every event
def _is_known_name(name: str, names: re.Pattern[str]) -> bool:
    return names.fullmatch(name) is not None


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return False
    return Decimal(value).is_finite() if isinstance(value, float | Decimal) else True


def parse_time(value: Any) -> datetime | None:
    """The time that a value means; None if it means none."""
    try:
        return parse_timestamp(value)
    except ValueError:
        return None


def _first_present(data: Mapping[str, Any], *names: str) -> Any:
    return next((data[name] for name in names if data.get(name) is not None), None)


def _document_has_id(event: Event) -> RuleVerdict:
    value = event.data.get("id")
    return None if isinstance(value, str) and value.strip() else "data.id is not a text that names the document"


def _document_has_content(event: Event) -> RuleVerdict:
    return None if len(event.data) > 1 else "the document has nothing but its id"


def _document_is_filled(event: Event) -> RuleVerdict:
    if not event.data:
        return NOT_APPLICABLE
    empty = [name for name, value in event.data.items() if value is None or value in ("", [], {})]
    if len(empty) <= EMPTY_SHARE * len(event.data):
        return None
    return f"{len(empty)} of {len(event.data)} fields are empty: {', '.join(name[:_MAX_SHOWN] for name in empty[:5])}"


def _user_is_known(event: Event) -> RuleVerdict:
    return None if event.user_id else NO_USER


def _amount_has_currency(event: Event) -> RuleVerdict:
    if event.data.get("amount") is None:
        return NOT_APPLICABLE
    return None if event.data.get("currency") else "there is an amount, but no currency"


def _amount_is_a_number(event: Event) -> RuleVerdict:
    if "amount" not in event.data:
        return NOT_APPLICABLE
    return None if _is_number(event.data["amount"]) else "amount is not a number"


def _currencies_are_codes(event: Event) -> RuleVerdict:
    return _all_match(event, CURRENCY_NAME, CURRENCY_FORM, "a currency code of three capitals")


def _countries_are_codes(event: Event) -> RuleVerdict:
    return _all_match(event, COUNTRY_NAME, COUNTRY_FORM, "a country code of two capitals")


def _emails_are_addresses(event: Event) -> RuleVerdict:
    return _all_match(event, EMAIL_NAME, EMAIL_FORM, "an e-mail address")


def _all_match(event: Event, names: re.Pattern[str], form: re.Pattern[str], what: str) -> RuleVerdict:
    applies = False
    for name, value in _named_fields(event.data):
        if value is not None and _is_named(name, names):
            applies = True
            if not (isinstance(value, str) and form.fullmatch(value)):
                return f"{name[:_MAX_SHOWN]} is not {what}"
    return None if applies else NOT_APPLICABLE


def _dates_are_dates(event: Event) -> RuleVerdict:
    applies = False
    for name, value in _named_fields(event.data):
        if value is not None and _is_named(name, DATE_NAME) and not isinstance(value, Mapping | list):
            applies = True
            if parse_time(value) is None:
                return f"{name[:_MAX_SHOWN]} is not a date"
    return None if applies else NOT_APPLICABLE


def _time_is_plausible(event: Event) -> RuleVerdict:
    if EARLIEST <= event.occurred_at < LATEST:
        return None
    return f"it occurred in the year {event.occurred_at.year}; were seconds sent for milliseconds?"


def _delay(event: Event) -> timedelta | None:
    """From the event's occurrence to its collection."""
    collected = parse_time(event.metadata.get("collected_at"))
    return None if collected is None else collected - event.occurred_at


def _collected_in_time(event: Event) -> RuleVerdict:
    delay = _delay(event)
    if delay is None:
        return NOT_APPLICABLE
    return None if delay <= LATE else f"late: collected {delay} after it occurred, more than {LATE}"


def _not_collected_before(event: Event) -> RuleVerdict:
    delay = _delay(event)
    if delay is None:
        return NOT_APPLICABLE
    return None if delay >= -AHEAD else f"from the future: it occurred {-delay} after it was collected"


def _company_is_the_same(event: Event) -> RuleVerdict:
    company = _first_present(event.data, "companyId", "company_id")
    if not isinstance(company, str | int) or isinstance(company, bool):
        return NOT_APPLICABLE if company is None else "the document's company is not an id"
    same = company == event.company_id if isinstance(company, str) else f"{company:x}" == _hex(event.company_id)
    return None if same else "the document names another company than its headers"


def _hex(company_id: str) -> str | None:
    return f"{int(company_id):x}" if re.fullmatch(r"-?[0-9]{1,255}", company_id) else None


def _updated_after_created(event: Event) -> RuleVerdict:
    return _in_order(event, ("createdAt", "created_at"), ("updatedAt", "updated_at"))


def _due_after_issued(event: Event) -> RuleVerdict:
    return _in_order(event, ("date", "issuedAt", "issued_at"), ("dueDate", "due_date"))


def _in_order(event: Event, earlier: tuple[str, ...], later: tuple[str, ...]) -> RuleVerdict:
    first, second = parse_time(_first_present(event.data, *earlier)), parse_time(_first_present(event.data, *later))
    if first is None or second is None:
        return NOT_APPLICABLE
    return None if second >= first else f"{later[0]} is before {earlier[0]}"


def _totals_add_up(event: Event) -> RuleVerdict:
    parts = [event.data.get(name) for name in ("subtotal", "tax", "total")]
    if not all(_is_number(part) and -_MAX_AMOUNT < part < _MAX_AMOUNT for part in parts if part is not None):
        return NOT_APPLICABLE
    if None in parts:
        return NOT_APPLICABLE
    subtotal, tax, total = (Decimal(str(part)) for part in parts)
    return None if abs(subtotal + tax - total) <= _CENT else "subtotal and tax do not add up to total"


RULES: Final[tuple[QualityRule, ...]] = (
    QualityRule("id.present", "completeness", 2, _document_has_id),
    QualityRule("document.content", "completeness", 1, _document_has_content),
    QualityRule("document.filled", "completeness", 1, _document_is_filled),
    QualityRule("user.known", "completeness", 1, _user_is_known),
    QualityRule("amount.currency", "completeness", 1, _amount_has_currency),
    QualityRule("amount.number", "validity", 2, _amount_is_a_number),
    QualityRule("currency.code", "validity", 1, _currencies_are_codes),
    QualityRule("country.code", "validity", 0.5, _countries_are_codes),
    QualityRule("email.address", "validity", 1, _emails_are_addresses),
    QualityRule("dates.readable", "validity", 1, _dates_are_dates),
    QualityRule("time.plausible", "validity", 1, _time_is_plausible),
    QualityRule("collected.in_time", "timeliness", 2, _collected_in_time),
    QualityRule("collected.not_before", "timeliness", 2, _not_collected_before),
    QualityRule("company.same", "consistency", 2, _company_is_the_same),
    QualityRule("updated.after_created", "consistency", 1, _updated_after_created),
    QualityRule("due.after_issued", "consistency", 1, _due_after_issued),
    QualityRule("totals.add_up", "consistency", 1, _totals_add_up),
)
"""The built-in rules."""

RULESET: Final = ruleset_of(RULES, "holded-1")
"""The version of the built-in rules."""
