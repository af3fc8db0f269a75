"""VAT numbers in events: where they stand, whose they are, and whether their digits add up."""

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
_LONGEST = 20  # characters; what is longer is no VAT number, and not worth a check
_ISO = {"EL": "GR", "XI": "GB"}  # prefixes of VAT numbers that are no country of ISO 3166


class _Found(NamedTuple):
    """A number as it was written, and the country of the address beside it."""

    written: str
    country: str | None


class _Checked(NamedTuple):
    """A number without its prefix, its country, and what is wrong with it; `valid` is None where no check is known."""

    number: str
    country: str | None
    valid: bool | None
    why: str | None


def vat(event: hp.Event) -> dict[str, Any]:
    """What is known of the VAT number of the contact, customer, supplier or payer that a document is about.

    Returns:
        `number`, `country`, `valid`, `why` and `same_country`; all None for a document without one.
    """
    found = _found(event.data)
    if found is None:
        return dict.fromkeys((*_Checked._fields, "same_country"))
    checked = _checked(found.written, found.country)
    return {**checked._asdict(), "same_country": _same_country(checked, found)}


def number_is_valid(event: hp.Event) -> hp.RuleVerdict:
    """The rule `vat.number`: the digits of the VAT number add up."""
    known = vat(event)
    if known["valid"] is None:
        return hp.NOT_APPLICABLE
    return None if known["valid"] else f"{known['number']} is no VAT number of {known['country']}: {known['why']}"


def country_fits(event: hp.Event) -> hp.RuleVerdict:
    """The rule `vat.country`: the VAT number is of the country of the address."""
    known = vat(event)
    if known["same_country"] is None:
        return hp.NOT_APPLICABLE
    return None if known["same_country"] else f"a VAT number of {known['country']}, and an address elsewhere"


def _found(data: Mapping[str, Any]) -> _Found | None:
    for party in _parties(data):
        for name in _NUMBERS:
            written = party.get(name)
            if isinstance(written, str) and written.strip():
                return _Found(written, _country(party) or _country(data))
    return None


def _parties(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield data
    for name in _PARTIES:
        if isinstance(data.get(name), Mapping):
            yield data[name]


def _country(party: Mapping[str, Any]) -> str | None:
    address = party.get("address")
    for place in (address if isinstance(address, Mapping) else {}, party):
        code = place.get("country")
        if isinstance(code, str) and len(code.strip()) == 2:  # noqa: PLR2004  ISO 3166-1 alpha-2
            return code.strip().upper()
    return None


@functools.lru_cache(maxsize=10_000)  # the same parties come again and again
def _checked(written: str, address: str | None) -> _Checked:
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


def _same_country(checked: _Checked, found: _Found) -> bool | None:
    if checked.country is None or found.country is None:
        return None
    return checked.country == _ISO.get(found.country, found.country)
