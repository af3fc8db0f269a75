"""Helpers to test pipelines and plugins: sample events, good and faulty, and contract checks.

It is for tests, also those of users. No other room imports it.
"""

from holded_pipeline.testing.contract.broken_rules import BrokenRule, ContractError
from holded_pipeline.testing.contract.enrichers import ENRICHER_RULES, EnricherReport, check_enricher
from holded_pipeline.testing.contract.events import contract_events
from holded_pipeline.testing.contract.plugins import PLUGIN_RULES, PluginReport, check_plugin
from holded_pipeline.testing.samples.events import START, Sample, sample_documents, sample_events, sample_lines
from holded_pipeline.testing.samples.faults import FAULTS, Fault
from holded_pipeline.testing.samples.messages import EVENT_TYPES

__all__ = [
    "ENRICHER_RULES",
    "EVENT_TYPES",
    "FAULTS",
    "PLUGIN_RULES",
    "START",
    "BrokenRule",
    "ContractError",
    "EnricherReport",
    "Fault",
    "PluginReport",
    "Sample",
    "check_enricher",
    "check_plugin",
    "contract_events",
    "sample_documents",
    "sample_events",
    "sample_lines",
]
