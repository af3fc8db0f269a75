"""`plugins`: what can be named in the file, and where it comes from."""

from __future__ import annotations

from typing import Any, Literal

import click

from holded_pipeline.cli.options import CommandContext, shared_options
from holded_pipeline.plugins.registry import PluginRegistry


@click.command("plugins")
@shared_options(config=False)
def plugins_command(context: CommandContext) -> None:
    """List the enrichers, envelopes and quality rules that are installed, with where they come from."""
    context.out.table(_listed(PluginRegistry.installed()), ("kind", "name", "from", "what"), nothing="no plugins")


def _listed(registry: PluginRegistry) -> list[dict[str, Any]]:
    named: list[tuple[Literal["enricher", "envelope"], str, Any]] = [
        *(("enricher", name, each.function) for name, each in registry.enrichers.items()),
        *(("envelope", name, function) for name, function in registry.envelopes.items()),
    ]
    found = [
        {"kind": kind, "name": name, "from": registry.owner(kind, name), "what": _first_sentence_of(function)}
        for kind, name, function in named
    ]
    rules = registry.quality_rules
    return found + [
        {"kind": "quality rule", "name": rule.id, "from": rule.plugin, "what": _first_sentence_of(rule.check)}
        for rule in rules
    ]


def _first_sentence_of(value: Any) -> str:
    return (getattr(value, "__doc__", None) or "").strip().partition("\n")[0]
