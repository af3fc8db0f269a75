"""VAT numbers in events: where they are found, their country, and whether their check digits are right."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from stdnum import get_cc_module
from stdnum.exceptions import ValidationError
from stdnum.util import clean

import holded_pipeline as hp

_NUMBERS = ("vatNumber", "vat_number", "taxId", "tax_id", "nif")
_PARTIES = ("contact", "customer", "supplier", "payer")
_LONGEST = 20  # characters; a longer text is not a VAT number and is not checked
_ISO = {"EL": "GR", "XI": "GB"}  # prefixes of VAT numbers that are not country codes of ISO 3166


class _WrittenNumber(NamedTuple):
    """A number as it was written, and the country of the address with it."""

    written: str
    country: str | None


class _Checked(NamedTuple):
    """A number without its prefix, its country, and what is wrong with it; `valid` is None without a known check."""

    number: str
    country: str | None
    valid: bool | None
    why: str | None


def vat(event: hp.Event) -> dict[str, Any]:
    """Describes the VAT number of the contact, customer, supplier or payer in a document.

    Returns:
        `number`, `country`, `valid`, `why` and `same_country`; all None for a document without one.
    """
    found = _find_number(event.data)
    if found is None:
        return dict.fromkeys((*_Checked._fields, "same_country"))
    checked = _check_number(found.written, found.country)
    return {**checked._asdict(), "same_country": _same_country(checked, found)}


def number_is_valid(event: hp.Event) -> hp.RuleVerdict:
    """The quality rule `vat.number`: the check digits of the VAT number are right."""
    known = vat(event)
    if known["valid"] is None:
        return hp.NOT_APPLICABLE
    return None if known["valid"] else f"{known['number']} is not a VAT number of {known['country']}: {known['why']}"


def country_fits(event: hp.Event) -> hp.RuleVerdict:
    """The quality rule `vat.country`: the VAT number has the country of the address."""
    known = vat(event)
    if known["same_country"] is None:
        return hp.NOT_APPLICABLE
    return None if known["same_country"] else f"a VAT number of {known['country']}, and an address in another country"


def _find_number(data: Mapping[str, Any]) -> _WrittenNumber | None:
    for party in _parties(data):
        for name in _NUMBERS:
            written = party.get(name)
            if isinstance(written, str) and written.strip():
                return _WrittenNumber(written, _country(party) or _country(data))
    return None


def _parties(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield data
    for name in _PARTIES:
        if isinstance(data.get(name), Mapping):
            yield data[name]


def _country(party: Mapping[str, Any]) -> str | None:
    address = party.get("address")
    for holder in (address if isinstance(address, Mapping) else {}, party):
        code = holder.get("country")
        if isinstance(code, str) and len(code.strip()) == 2:  # noqa: PLR2004  ISO 3166-1 alpha-2
            return code.strip().upper()
    return None


@functools.lru_cache(maxsize=10_000)  # the same parties occur many times
def _check_number(written: str, address: str | None) -> _Checked:
    if len(written) > _LONGEST:
        return _Checked(written[:_LONGEST], address, valid=False, why=f"it has more than {_LONGEST} characters")
    number: str = clean(written, " -./").upper()
    prefix, country = _ISO.get(number[:2], number[:2]), address
    if prefix == address or (prefix.isascii() and prefix.isalpha() and get_cc_module(prefix, "vat")):
        country, number = prefix, number[2:]
    check = get_cc_module(country, "vat") if country and country.isascii() and country.isalpha() else None
    if check is None:
        return _Checked(number, country, valid=None, why=f"no check is known for {country or 'an unknown country'}")
    try:
        return _Checked(check.validate(number), country, valid=True, why=None)
    except ValidationError as error:
        return _Checked(number, country, valid=False, why=str(error))


def _same_country(checked: _Checked, found: _WrittenNumber) -> bool | None:
    if checked.country is None or found.country is None:
        return None
    return checked.country == _ISO.get(found.country, found.country)
