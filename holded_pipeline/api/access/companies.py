"""Whether a caller may send an event, by the company that the pipeline would read from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holded_pipeline.api.access.caller import Caller
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.reading.envelopes import company_ids_of

FOREIGN_COMPANY = "foreign_company"


def foreign_company(document: Mapping[str, Any], caller: Caller) -> RejectRecord | None:
    """Why the caller may not send an event; None if it may."""
    companies = company_ids_of(document)
    if caller.may_send(companies):
        return None
    what = f"the event is of the company {', '.join(sorted(companies))}" if companies else "the event names no company"
    return RejectRecord(
        FOREIGN_COMPANY,
        f"{what}, and the API key {caller.name!r} may send events of its own companies alone; correct the account id, "
        "or ask the operators of this server for a key of that company",
    )
