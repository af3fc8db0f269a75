"""What it takes to test pipelines and plugins: sample events, good and faulty, and checks of the contract."""

from holded_pipeline.testing.contract import BrokenRule, ContractError
from holded_pipeline.testing.contract_events import contract_events
from holded_pipeline.testing.enricher_contract import ENRICHER_RULES, EnricherReport, check_enricher
from holded_pipeline.testing.faults import FAULTS, Fault
from holded_pipeline.testing.messages import EVENT_TYPES
from holded_pipeline.testing.plugin_contract import PLUGIN_RULES, PluginReport, check_plugin
from holded_pipeline.testing.samples import START, Sample, sample_documents, sample_events, sample_lines

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
