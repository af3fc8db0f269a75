"""The verdicts of all built-in quality rules on one event, in one pass over its document.

Each rule of `quality_rules` by itself looks through the whole document and parses the dates that it needs. Here the
document is looked through once, and a date is parsed once. The verdicts are the same; a test compares them. A document
of unusual size or with values that decoding does not give is left to the rules themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import attrs

from holded_pipeline.compiled import compiled
from holded_pipeline.enriching import document_fields
from holded_pipeline.enriching import quality_rules as rules
from holded_pipeline.enriching.document_fields import (
    COUNTRY,
    CREATED,
    CURRENCY,
    DATE,
    DUE,
    EMAIL,
    EXACT_AMOUNT,
    ISSUED,
    SURE,
    UPDATED,
    quick_time,
)
from holded_pipeline.enriching.quality import NOT_APPLICABLE, RuleVerdict
from holded_pipeline.model.carried_text import data_of, metadata_value
from holded_pipeline.model.values import Event

_CHECKS: Final[dict[str, Callable[[Any], RuleVerdict]]] = {rule.id: rule.check for rule in rules.RULES}
_in_c: Final = compiled("quality_fields")
_scan_fields: Final = (_in_c or document_fields).scan_fields


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
    collected = metadata_value(event, "collected_at")
    if _in_c is not None and type(data) is dict:
        passed: tuple[RuleVerdict, ...] | None = _in_c.passed_verdicts(event, data, collected)
        if passed is not None:
            return passed
    fields = _scan_fields(data) if type(data) is dict else None
    if fields is None:
        rated = RatedEvent.of(event)
        return tuple([check(rated) for check in _CHECKS.values()])
    seen, failed, times, empty = fields
    identity = data.get("id")
    return (
        None if type(identity) is str and identity.strip() else _ask("id.present", event),
        None if len(data) > 1 else _ask("document.content", event),
        None if data and empty <= rules.EMPTY_SHARE * len(data) else _ask("document.filled", event),
        None if event.user_id else _ask("user.known", event),
        *(_NO_AMOUNT if "amount" not in data else _amount_verdicts(event, data)),
        _ask("currency.code", event) if failed & CURRENCY else None if seen & CURRENCY else NOT_APPLICABLE,
        _ask("country.code", event) if failed & COUNTRY else None if seen & COUNTRY else NOT_APPLICABLE,
        _ask("email.address", event) if failed & EMAIL else None if seen & EMAIL else NOT_APPLICABLE,
        _ask("dates.readable", event) if failed & DATE else None if seen & DATE else NOT_APPLICABLE,
        None if rules.EARLIEST <= event.occurred_at < rules.LATEST else _ask("time.plausible", event),
        *(_NOT_COLLECTED if collected is None else _delay_verdicts(event, collected)),
        None if data.get("companyId") == event.company_id else _ask("company.same", event),
        _order_verdict(event, times, "updated.after_created", CREATED, UPDATED)
        if UPDATED[0] in data or UPDATED[1] in data
        else NOT_APPLICABLE,
        _order_verdict(event, times, "due.after_issued", ISSUED, DUE)
        if DUE[0] in data or DUE[1] in data
        else NOT_APPLICABLE,
        NOT_APPLICABLE if data.get("total") is None else _totals_verdict(event, data),
    )


def _ask(rule: str, event: Event) -> RuleVerdict:
    return _CHECKS[rule](RatedEvent.of(event))


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
    collected = quick_time(collected_at)
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
        and max(abs(subtotal), abs(tax), abs(total)) < EXACT_AMOUNT
        and abs(subtotal + tax - total) < SURE
    ):
        return None
    return _ask("totals.add_up", event)


def _order_verdict(
    event: Event, times: Mapping[str, Any], rule: str, earlier: tuple[str, ...], later: tuple[str, ...]
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
