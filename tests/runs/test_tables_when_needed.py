"""Whatever comes first to a database without tables makes them. Other tests begin with the tables."""

from __future__ import annotations

import apache_beam as beam
import pytest
from event_factory import make_event
from table_contents import rows_of

import holded_pipeline as hp
from holded_pipeline.postgres.migrate import VERSION_TABLE
from holded_pipeline.runs.run_rows import BegunRun, begin_run


def write_one(db):
    with beam.Pipeline(runner="FnApiRunner") as p:
        _ = p | beam.Create([make_event()]) | hp.WritePostgres(db)


def hold(db):
    lease = hp.Lease(db, "nightly")
    assert lease.acquire()
    lease.release()


FIRST = {
    "a load": write_one,
    "a lease": hold,
    "a look at the runs": lambda db: list(hp.runs(db)),
    "the record of a run": lambda db: begin_run(db, BegunRun("r0", "nightly", "host", 42, {}, {})),
    "a ledger that a run begins with": lambda db: hp.Ledger(db, "orders").create_tables(),
}


@pytest.mark.parametrize("work", FIRST.values(), ids=FIRST)
def test_the_tables_are_made(bare_db, work):
    work(bare_db)
    assert len(rows_of(bare_db, f"SELECT version_num FROM {VERSION_TABLE}")) == 1
