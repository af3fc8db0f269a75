"""The built-in plugin: registers what the library has through the same hooks as other plugins."""

from __future__ import annotations

from holded_pipeline.enriching.builtin import Processing, Quality, business_context, package_version, utc_now
from holded_pipeline.enriching.fingerprint import Fingerprint
from holded_pipeline.enriching.lateness import Lateness
from holded_pipeline.enriching.quality_rules import RULES
from holded_pipeline.plugins.hookspecs import RegisterEnricher, RegisterEnvelope, RegisterRule, hookimpl
from holded_pipeline.reading.envelopes import ENVELOPES


@hookimpl
def register_enrichers(register: RegisterEnricher) -> None:
    """`processing`, `business_context`, `quality`, `lateness` and `fingerprint`."""
    register("processing", Processing(package_version(), utc_now), version=package_version())
    register("business_context", business_context, version=package_version())
    register("quality", Quality())
    register("lateness", Lateness())
    register("fingerprint", Fingerprint())


@hookimpl
def register_quality_rules(register: RegisterRule) -> None:
    """The rules for Holded's events."""
    for rule in RULES:
        register(rule)


@hookimpl
def register_envelopes(register: RegisterEnvelope) -> None:
    """`holded`, `flat` and `event`."""
    for name, envelope in ENVELOPES.items():
        register(name, envelope)
