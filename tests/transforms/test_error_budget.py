"""The error budget on a real store: the run fails, and the rejections are stored."""

from __future__ import annotations

import apache_beam as beam
import pytest
from apache_beam.transforms.error_handling import ErrorHandler
from store_contents import documents_below

import holded_pipeline as hp


@pytest.fixture
def ingest(run, lake):
    """Two hundred good events and forty broken lines; `ingest(**budget)` runs them through two stages."""
    good = [sample.line for sample in hp.testing.sample_events(200, seed=3)]
    broken = [f"broken {number}".encode() for number in range(40)]
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", b"\n".join(good + broken))

    def ingest(*, of=False, **settings):
        def build(pipeline):
            raw = pipeline | hp.ReadMinIO(lake, "raw/")
            checked = raw.passed | hp.ValidateSchema({}, subject="{type}")
            settings_ = settings | ({"of": raw} if of else {})
            return {"written": (raw.rejected, checked.rejected) | hp.WriteRejected(lake, "rejected/", **settings_)}

        return run(build)

    return ingest


@pytest.mark.parametrize("limit", [{"*": 240, "read": 40, "nowhere": 0}])
def test_a_run_within_its_budget_succeeds(ingest, lake, limit):
    ran = ingest(max_rejected=limit)
    assert sum(receipt.records for receipt in ran["written"]) == len(documents_below(lake, "rejected/")) == 240


@pytest.mark.parametrize("limit", [0.99, {"read": 0.0, "validate": 500}])
def test_past_a_share_the_run_fails_after_all_rejections_are_written(ingest, lake, limit):
    with pytest.raises(
        hp.TooManyRejectedError, match=r"of 240 records .*\n.* x (validate: unknown_subject|read: invalid_json), e.g. "
    ):
        ingest(max_rejected=limit, of=True)
    assert len({document["id"] for document in documents_below(lake, "rejected/")}) == 240


@pytest.mark.parametrize(("limit", "stage"), [(0, None), ({"read": 7}, "read")])
def test_past_a_count_the_run_stops_at_once_and_what_it_counted_is_written(ingest, lake, limit, stage):
    with pytest.raises(hp.TooManyRejectedError, match="max_rejected allows"):
        ingest(max_rejected=limit)
    counted = [document for document in documents_below(lake, "rejected/") if stage in (None, document["stage"])]
    assert len(counted) == (limit if stage is None else limit[stage]) + 1


def test_a_share_can_be_of_several_collections(run, lake):
    def build(pipeline):
        one = pipeline | "One" >> beam.Create([1, 2, 3])
        other = pipeline | "Other" >> beam.Create([4])
        rejected = pipeline | "None" >> beam.Create([]).with_output_types(hp.Rejected)
        return {"w": rejected | hp.WriteRejected(lake, "rejected/", max_rejected=0.0, of=(one, hp.Outcome(other, one)))}

    assert run(build)["w"] == []


def test_a_share_without_of_raises_when_the_transform_is_made(lake):
    with pytest.raises(ValueError, match="say of which records, e.g. of=raw"):
        hp.WriteRejected(lake, "rejected/", max_rejected={"read": 10, "write": 0.1})
    with pytest.raises(TypeError, match="an Outcome, a PCollection"):
        hp.WriteRejected(lake, "rejected/", max_rejected=0.1, of="raw")


def test_the_budget_holds_as_the_consumer_of_an_error_handler_too(run, lake):
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", b"broken\nbroken\n")

    def build(pipeline):
        with ErrorHandler(hp.WriteRejected(lake, "rejected/", max_rejected=1)) as handler:
            return {"passed": pipeline | hp.ReadMinIO(lake, "raw/").with_error_handler(handler)}

    with pytest.raises(hp.TooManyRejectedError, match="2 records, and max_rejected allows 1"):
        run(build)
    assert len(documents_below(lake, "rejected/")) == 2
