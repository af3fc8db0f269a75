"""Runs a pipeline in this process, and returns the elements of its PCollections."""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
import attrs
import pytest
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions


class AppendToFile(beam.DoFn):
    """Appends elements to a file; a list would be pickled, so the worker would fill a copy."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def process(self, element: Any) -> None:
        with self._path.open("ab") as file:
            pickle.dump(element, file)


@attrs.frozen
class Ran:
    """The result of a run: `outputs[name]` is a list of elements, `counters[name]` a number."""

    outputs: Mapping[str, list[Any]]
    counters: Mapping[str, int]

    def __getitem__(self, name: str) -> list[Any]:
        return self.outputs[name]


def read_pickles(path: Path) -> list[Any]:
    elements: list[Any] = []
    if path.exists():
        with path.open("rb") as file:
            while True:
                try:
                    elements.append(pickle.load(file))
                except EOFError:
                    break
    return elements


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Ran]:
    """`run(build, **options)`: `build(pipeline)` returns the PCollections to keep, by name."""

    def run_it(build: Callable[[beam.Pipeline], Mapping[str, Any]], **options: Any) -> Ran:
        pipeline = beam.Pipeline(runner="FnApiRunner", options=PipelineOptions([], **options))
        outputs = build(pipeline)
        paths = {name: tmp_path / f"{name}-{uuid.uuid4().hex}" for name in outputs}
        for name, output in outputs.items():
            _ = output | f"Keep{name}" >> beam.ParDo(AppendToFile(paths[name]))
        result = pipeline.run()
        result.wait_until_finish()
        counters = result.metrics().query(MetricsFilter().with_namespace("holded_pipeline"))["counters"]
        counted: dict[str, int] = {}
        for metric in counters:
            counted[metric.key.metric.name] = counted.get(metric.key.metric.name, 0) + metric.result
        return Ran({name: read_pickles(path) for name, path in paths.items()}, counted)

    return run_it
