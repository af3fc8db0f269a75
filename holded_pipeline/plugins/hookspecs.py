"""The whole contract between this library and a plugin.

A plugin is a module or object with some of these hooks, marked with `holded_pipeline.hookimpl`. An installed
package offers it through the entry-point group `holded_pipeline`; `PluginRegistry([...])` takes it directly.
"""

from __future__ import annotations

from typing import Protocol, Unpack

import pluggy

from holded_pipeline.enriching.enricher_types import AnyEnricher, EnricherOptions
from holded_pipeline.enriching.quality import QualityRule
from holded_pipeline.reading.envelopes import Envelope

PROJECT = "holded_pipeline"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class RegisterEnricher(Protocol):
    """`register(name, function, version="1.0", on_error="reject")`; the options are those of `hp.Enricher`."""

    def __call__(  # noqa: D102
        self, name: str, function: AnyEnricher, **options: Unpack[EnricherOptions]
    ) -> None: ...


class RegisterRule(Protocol):
    """`register(hp.QualityRule(id, dimension, weight, check))`."""

    def __call__(self, rule: QualityRule) -> None: ...  # noqa: D102


class RegisterEnvelope(Protocol):
    """`register(name, function)`; the function is `(document, source) -> Event`."""

    def __call__(self, name: str, function: Envelope) -> None: ...  # noqa: D102


@hookspec
def register_enrichers(register: RegisterEnricher) -> None:
    """Registers enrichers: `(event) -> mapping`, stored under `event.metadata[name]`."""


@hookspec
def register_quality_rules(register: RegisterRule) -> None:
    """Registers rules that the enricher `quality` scores events by, in addition to the built-in ones."""


@hookspec
def register_envelopes(register: RegisterEnvelope) -> None:
    """Registers envelopes for `ReadMinIO(envelope=name)`."""
