"""A run that reads nothing, or whose rejections go nowhere, does not pass for a success unnoticed."""

from __future__ import annotations

import logging

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.error_handling import ErrorHandler

import holded_pipeline as hp

LINES = hp.testing.sample_lines(hp.testing.sample_events(3))


@pytest.fixture
def raw(lake: hp.MinIO) -> hp.ReadMinIO:
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", LINES)
    return hp.ReadMinIO(lake, "raw/")


def pipeline(**options):
    return beam.Pipeline(runner="FnApiRunner", options=PipelineOptions([], **options))


def warnings_of(caplog, build, **options):
    with caplog.at_level(logging.WARNING, "holded_pipeline"), pipeline(**options) as p:
        build(p)
    return [record.getMessage() for record in caplog.records if "rejected records" in record.getMessage()]


def join(p, raw):
    outcome = p | raw
    return (outcome.rejected, outcome.passed) | beam.Flatten()


def test_rejections_that_nothing_reads_are_a_warning_that_names_step_and_line(caplog, raw):
    (warning,) = warnings_of(caplog, lambda p: p | "ReadSales" >> raw)
    assert "ReadSales" in warning
    assert f"{__file__}:" in warning
    assert "hp.WriteRejected" in warning


def test_each_transform_says_it_for_itself(caplog, raw, db):
    def build(p):
        enriched = (p | raw).passed | hp.Enrich("quality")
        loaded = enriched.passed | hp.WritePostgres(db)
        enriched.rejected | beam.Map(print)
        return loaded

    found = warnings_of(caplog, build)
    named = [name for text in found for name in ("ReadMinIO", "Enrich", "WritePostgres") if f" of {name} " in text]
    assert named == ["ReadMinIO", "WritePostgres"]


def test_strict_makes_it_an_error_before_anything_runs(raw, lake):
    p = pipeline(strict=True)
    _ = (p | raw).passed | hp.WriteMinIO(lake, "enriched/")
    with pytest.raises(hp.ConfigurationError, match="nothing reads the rejected records of ReadMinIO"):
        p.run()
    assert not lake.filesystem().exists(f"{lake.bucket}/enriched/")


@pytest.mark.parametrize(
    "build",
    [
        lambda p, raw, lake: (p | raw).rejected | hp.WriteRejected(lake, "rejected/"),
        lambda p, raw, lake: join(p, raw) | beam.Map(str),
        lambda p, raw, lake: p | beam.Create([1]) | beam.Map(lambda *_: 1, beam.pvalue.AsIter((p | raw).rejected)),
    ],
    ids=["written", "joined", "side_input"],
)
def test_what_is_read_in_any_way_is_fine(caplog, raw, lake, build):
    assert warnings_of(caplog, lambda p: build(p, raw, lake), strict=True) == []


def test_an_error_handler_is_a_reader(caplog, raw, lake):
    def build(p):
        with ErrorHandler(hp.WriteRejected(lake, "rejected/")) as handler:
            p | raw.with_error_handler(handler)

    assert warnings_of(caplog, build, strict=True) == []


def test_joining_without_a_reader_is_no_reader(raw):
    p = pipeline(strict=True)
    join(p, raw)
    with pytest.raises(hp.ConfigurationError, match="ReadMinIO"):
        p.run()


@pytest.mark.parametrize(("on_empty", "warned"), [("warn", True), ("ignore", False)])
def test_a_prefix_that_matches_nothing_is_a_warning(caplog, run, lake, on_empty, warned):
    with caplog.at_level(logging.WARNING, "holded_pipeline"):
        ran = run(lambda p: (p | hp.ReadMinIO(lake, "nothing/", on_empty=on_empty))._asdict())
    assert ran["passed"] == ran["rejected"] == []
    assert ("matches 'nothing/'" in caplog.text) is warned


def test_or_an_error_by_option(run, lake):
    lake.filesystem().pipe(f"{lake.bucket}/other/a.jsonl", LINES)
    with pytest.raises(hp.ConfigurationError, match=f"no object of {lake.bucket} matches 'nothing/'"):
        run(lambda p: (p | hp.ReadMinIO(lake, "nothing/", on_empty="fail"))._asdict())
    ran = run(lambda p: (p | hp.ReadMinIO(lake, "other/", on_empty="fail"))._asdict())
    assert len(ran["passed"]) == 3


def test_a_wrong_choice_is_refused_at_once(lake):
    with pytest.raises(ValueError, match="on_empty"):
        hp.ReadMinIO(lake, "raw/", on_empty="error")
