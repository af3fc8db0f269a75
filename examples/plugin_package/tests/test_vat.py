"""The plugin keeps the contract, and distinguishes valid and invalid numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import holded_pipeline_vat
import pytest

import holded_pipeline as hp


def event_with(**data: Any) -> hp.Event:
    """An event with this document."""
    return hp.Event(id="e", type="t", company_id="c", occurred_at=datetime(2026, 1, 1, tzinfo=UTC), data=data)


def test_the_plugin_keeps_the_contract() -> None:
    """All contract rules, with pickling to another process."""
    report = hp.testing.check_plugin(holded_pipeline_vat)
    assert [enricher.name for enricher in report.enrichers] == ["vat"]
    assert report.quality_rules == ("vat.number", "vat.country")


@pytest.mark.parametrize(
    ("number", "country", "valid"),
    [
        ("ESB58378431", "ES", True),
        ("es b-58378431", "ES", True),
        ("B58378431", "ES", True),
        ("B58378432", "ES", False),
        ("FR40303265045", "FR", True),
        ("EL023456780", "GR", True),
        ("GR123456789", "GR", False),
        ("GB980780684", "GB", True),
        ("US123456789", "US", None),
        ("1" * 5_000, "ES", False),
    ],
)
def test_a_number_is_checked_by_the_rules_of_its_country(number: str, country: str, valid: object) -> None:
    """With and without its prefix."""
    known = holded_pipeline_vat.vat(event_with(vatNumber=number, address={"country": country}))
    assert (known["valid"], known["country"], known["same_country"]) == (valid, country, True)
    assert (known["why"] is None) is (valid is True)


def test_the_number_of_a_party_inside_the_document_is_found() -> None:
    """Invoices have a contact, payments a payer."""
    known = holded_pipeline_vat.vat(event_with(payer={"taxId": "B58378431", "country": "ES"}))
    assert (known["number"], known["valid"]) == ("B58378431", True)


def test_a_document_without_a_number_gets_no_result() -> None:
    """Most documents have none; the rules do not apply to them."""
    assert set(holded_pipeline_vat.vat(event_with(amount=1)).values()) == {None}
    assert holded_pipeline_vat.number_is_valid(event_with(amount=1)) is hp.NOT_APPLICABLE
    assert holded_pipeline_vat.country_fits(event_with(amount=1)) is hp.NOT_APPLICABLE


def test_the_rules_say_why() -> None:
    """The reasons name the number and the country."""
    wrong = event_with(vatNumber="ESB58378432", address={"country": "FR"})
    assert "B58378432 is not a VAT number of ES" in str(holded_pipeline_vat.number_is_valid(wrong))
    assert holded_pipeline_vat.country_fits(wrong) == "a VAT number of ES, and an address in another country"
    right = event_with(vatNumber="ESB58378431", address={"country": "ES"})
    assert holded_pipeline_vat.number_is_valid(right) is None
    assert holded_pipeline_vat.country_fits(right) is None
