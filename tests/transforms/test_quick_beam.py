"""What the tests keep of Beam is what Beam would work out again."""

from __future__ import annotations

import apache_beam as beam
import quick_beam
from apache_beam.options.pipeline_options import DebugOptions, PipelineOptions, StandardOptions, TypeOptions
from apache_beam.pipeline import PipelineVisitor
from apache_beam.transforms import core, userstate
from apache_beam.typehints import decorators

import holded_pipeline as hp


class DoFns(PipelineVisitor):
    def __init__(self):
        self.found = []

    def visit_transform(self, node):
        if isinstance(node.transform, beam.ParDo):
            self.found.append(node.transform.fn)


def test_of_each_step_of_the_standard_flow(lake, db):
    p = beam.Pipeline(runner="FnApiRunner")
    _ = p | hp.IngestEvents(lake, db, {}, max_rejected=0.5)
    steps = DoFns()
    p.visit(steps)
    assert len(steps.found) > 20
    for fn in steps.found:
        assert userstate.get_dofn_specs(fn) == quick_beam._specs_of(fn)
        for name in ("setup", "start_bundle", "process", "finish_bundle", "teardown"):
            method = getattr(fn, name)
            assert core.get_function_args_defaults(method) == quick_beam._arguments_of(method)
            for function in (method, getattr(method, "__func__", method)):
                assert decorators.get_signature(function) == quick_beam._signature_of(function)


def test_of_options(lake):
    flags = ["--experiments=a", "--experiments=b", "--streaming"]
    kept, own = PipelineOptions(flags, run_id="r"), PipelineOptions(flags, run_id="r")
    for kind in (DebugOptions, StandardOptions, TypeOptions, DebugOptions):
        assert str(kept.view_as(kind)) == str(quick_beam._view_as(own, kind))
        assert kept._all_options == own._all_options
    kept.view_as(DebugOptions).experiments.append("c")
    assert kept.view_as(DebugOptions).experiments == ["a", "b", "c"]
    assert PipelineOptions(flags).view_as(DebugOptions).experiments == ["a", "b"]
