"""What it takes to test pipelines and enrichers: sample events, good and faulty."""

from holded_pipeline.testing.faults import FAULTS, Fault
from holded_pipeline.testing.messages import EVENT_TYPES
from holded_pipeline.testing.samples import START, Sample, sample_documents, sample_events, sample_lines

__all__ = [
    "EVENT_TYPES",
    "FAULTS",
    "START",
    "Fault",
    "Sample",
    "sample_documents",
    "sample_events",
    "sample_lines",
]
