"""Where the workers of a pipeline are, as far as its runner tells."""

from __future__ import annotations

import multiprocessing

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions

from holded_pipeline.transforms.beam.recorded_runs import own_runner


def runs_in_this_process(pipeline: beam.Pipeline) -> bool:
    """Whether its workers are threads of this process; False where that is not known."""
    in_memory = pipeline.options.view_as(DirectOptions).direct_running_mode != "multi_processing"
    return type(own_runner(pipeline)).__name__ == "FnApiRunner" and in_memory


def number_of_workers(pipeline: beam.Pipeline) -> int | None:
    """How many workers share the work; None where that is not known."""
    if type(own_runner(pipeline)).__name__ != "FnApiRunner":
        return None
    return pipeline.options.view_as(DirectOptions).direct_num_workers or multiprocessing.cpu_count()  # as the runner
