"""A holded_pipeline plugin: the enricher `vat`, and the quality rules `vat.number` and `vat.country`."""

from __future__ import annotations

from typing import Any

import holded_pipeline as hp
from holded_pipeline_vat.vat_numbers import country_fits, number_is_valid, vat

__all__ = ["country_fits", "number_is_valid", "register_enrichers", "register_quality_rules", "vat"]

VERSION = "1.0.0"


@hp.hookimpl
def register_enrichers(register: Any) -> None:
    """`vat`."""
    register("vat", vat, version=VERSION)


@hp.hookimpl
def register_quality_rules(register: Any) -> None:
    """`vat.number` and `vat.country`."""
    register(hp.QualityRule("vat.number", "validity", 2, number_is_valid, version=VERSION))
    register(hp.QualityRule("vat.country", "consistency", 1, country_fits, version=VERSION))
