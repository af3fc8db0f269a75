"""Finds, when a pipeline is run, outputs that nothing in it reads, although something should.

Records of an output `rejected` would be lost; objects that were read for a ledger would be read again.
"""

from __future__ import annotations

import logging
import traceback
from collections import defaultdict
from pathlib import Path

import apache_beam as beam
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.transforms.error_handling import ErrorHandler

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.transforms.beam.run_id import is_strict, step_of

_logger = logging.getLogger("holded_pipeline")
_NOT_THE_USERS = tuple(str(Path(path)) for path in (Path(beam.__file__).parent, Path(__file__).parents[2]))


def require_reader(rejected: beam.PCollection) -> None:
    """Makes the pipeline say, when it is run, if nothing reads this output; with `--strict` it does not run.

    Called while the transform with that output is being applied.
    """
    message = (
        f"nothing reads the rejected records of {step_of(rejected.pipeline)} ({_users_line()}), so they would be lost: "
        "write them with hp.WriteRejected, or pass with_error_handler"
    )
    _UnreadOutput(rejected.pipeline, message).add_error_pcollection(rejected)


def require_settled(read: beam.PCollection, ledger: str) -> None:
    """Makes the pipeline say, when it is run, if no `SettleObjects` reads what was read for a ledger."""
    message = (
        f"{step_of(read.pipeline)} ({_users_line()}) reads with the ledger {ledger!r}, but nothing settles it, so the "
        "next run reads the same objects again: give what the sinks returned to hp.SettleObjects"
    )
    _UnreadOutput(read.pipeline, message).add_error_pcollection(read)


class _UnreadOutput(ErrorHandler):
    """Joins what Beam checks at the end of the construction of a pipeline: that no error handler was left open."""

    def __init__(self, pipeline: beam.Pipeline, message: str) -> None:
        super().__init__(None)
        self._message = message
        self._pipeline = pipeline

    def verify_closed(self) -> None:
        consumers = _Consumers()
        self._pipeline.visit(consumers)
        if all(consumers.read(rejected) for rejected in self._error_pcolls):
            return
        if is_strict(self._pipeline):
            raise ConfigurationError(self._message)
        _logger.warning("%s; --strict makes this an error", self._message)


class _Consumers(PipelineVisitor):
    """The primitive transforms that read each PCollection."""

    def __init__(self) -> None:
        self._readers: dict[int, list[AppliedPTransform]] = defaultdict(list)

    def visit_transform(self, transform_node: AppliedPTransform) -> None:
        side_inputs = [side.pvalue for side in transform_node.side_inputs]
        for value in (*transform_node.inputs, *side_inputs):
            self._readers[id(value)].append(transform_node)

    def read(self, value: beam.pvalue.PValue) -> bool:
        """Whether a transform reads it, by itself or joined with others."""
        return any(
            not isinstance(node.transform, beam.Flatten) or any(self.read(joined) for joined in node.outputs.values())
            for node in self._readers[id(value)]
        )


def _users_line() -> str:
    """The line of the user's code that is being run: `jobs/load.py:17`."""
    for frame, line in traceback.walk_stack(None):
        if not frame.f_code.co_filename.startswith(_NOT_THE_USERS):
            return f"applied in {frame.f_code.co_filename}:{line}"
    return "applied in this library"
