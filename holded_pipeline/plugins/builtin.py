"""The built-in plugin: what the library brings comes in by the door that everybody's plugins use."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from holded_pipeline.enriching.builtin import Processing, Quality, business_context
from holded_pipeline.enriching.fingerprint import Fingerprint
from holded_pipeline.enriching.lateness import Lateness
from holded_pipeline.enriching.quality_rules import RULES
from holded_pipeline.plugins.hookspecs import RegisterEnricher, RegisterEnvelope, RegisterRule, hookimpl
from holded_pipeline.reading.envelopes import ENVELOPES


def _now() -> datetime:
    return datetime.now(UTC)


def _version() -> str:
    try:
        return version("holded-pipeline")
    except PackageNotFoundError:  # run from a source tree that nobody installed
        return "0+uninstalled"


@hookimpl
def register_enrichers(register: RegisterEnricher) -> None:
    """`processing`, `business_context`, `quality`, `lateness` and `fingerprint`."""
    register("processing", Processing(_version(), _now), version=_version())
    register("business_context", business_context, version=_version())
    register("quality", Quality(), version=_version())
    register("lateness", Lateness())  # has a version of its own, as when it is made by hand
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
