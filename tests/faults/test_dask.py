"""A run on a Dask cluster of processes, of which some are killed, and servers that are away meanwhile."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest
from dask_cluster import DaskCluster, wait_until
from shared_flow import Hold, Once, SharedFlow, facts, figures, put_input
from table_contents import rows_of

import holded_pipeline as hp
from holded_pipeline.transforms.run_on_dask import run_task

pytestmark = pytest.mark.timeout(600)

ALL = (119, 111, 4, 4, True)
"""What the report of a run says: read, stored, duplicates, rejected, balanced."""


@pytest.fixture(scope="module")
def cluster(stack, tmp_path_factory):
    """A scheduler and, with `two_workers`, two workers."""
    running = DaskCluster(tmp_path_factory.mktemp("dask"))
    yield running
    running.close()


@pytest.fixture
def two_workers(cluster):
    """The cluster, with workers in place of those that other tests have killed."""
    if cluster.scheduler.poll() is not None:
        cluster.start_scheduler()
    cluster.start_workers(2 - sum(1 for each in cluster.workers if each.poll() is None))
    return cluster


@pytest.fixture
def flow(store, database):
    put_input(store)
    return SharedFlow(store, database)


def run_flow(cluster, flow, **how):
    with cluster.client() as client:
        return hp.run_on_dask(
            client, flow, flow.plan(), **{"shares": 2, "ledger": flow.ledger, "progress": False, **how}
        )


def test_a_worker_killed_after_its_commit_and_lost_for_good(two_workers, flow, store, database, plain, tmp_path):
    marker = tmp_path / "killed"
    report = run_flow(two_workers, attrs.evolve(flow, at_commit=Once(marker, "kill"), budget=ALL[3]))
    dead = [each.pid for each in two_workers.workers if each.poll() is not None]
    assert dead == [int(marker.read_text())]
    assert figures(report) == ALL
    assert facts(store, database) == plain


def test_each_share_twice_at_once_counts_once(two_workers, flow, store, database, plain):
    with two_workers.client() as client:

        def twice(_, tasks):
            addresses = list(client.nthreads())
            for task in tasks:
                pair = [client.submit(run_task, task, workers=[each], pure=False) for each in addresses]
                yield from client.gather(pair)

        report = hp.run_shares(flow, flow.plan(), twice, shares=2, ledger=flow.ledger, progress=True)
    assert figures(report) == ALL
    assert facts(store, database) == plain


AWAY = {"store": rb"^PUT /[^ ]*/enriched/", "postgres": rb"^d....\d"}
"""With what the outage begins: the first object with events, the first rows."""


@pytest.mark.parametrize("away", AWAY)
def test_a_server_away_for_longer_than_its_deadline(
    two_workers, flow, store, database, plain, away, cut_store, cut_postgres
):
    proxy = cut_store[1] if away == "store" else cut_postgres[1]
    gave_up = "did not answer within 3 s"
    earlier = two_workers.log().count(gave_up)
    begun = []

    def upward(data):
        if not begun and re.search(AWAY[away], data, re.DOTALL):
            begun.append(True)
        return "cut" if begun and two_workers.log().count(gave_up) == earlier else "pass"

    proxy.upward = upward
    quick = hp.Retry(3, first_wait=0.05)
    cut = SharedFlow(
        attrs.evolve(cut_store[0], timeout=20, retry=quick) if away == "store" else store,
        attrs.evolve(cut_postgres[0], retry=quick) if away == "postgres" else database,
    )
    report = run_flow(two_workers, cut, retries=20)
    assert two_workers.log().count(gave_up) > earlier
    assert figures(report) == ALL
    assert facts(store, database) == plain


def test_a_job_whose_scheduler_was_killed_is_started_again(two_workers, flow, store, database, plain, tmp_path):
    held = attrs.evolve(flow, at_commit=Hold(tmp_path / "committed", 2))
    lost = list(two_workers.workers)
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(run_flow, two_workers, held)
        wait_until((tmp_path / "committed").exists)
        two_workers.kill(two_workers.scheduler)
        with pytest.raises(hp.TransientError, match="the Dask scheduler has lost share .* nothing is settled"):
            first.result()
    committed = rows_of(database, "SELECT count(*) FROM business_events")[0][0]
    assert committed > 0
    assert rows_of(database, "SELECT count(*) FROM pipeline_settled_objects") == [(0,)]
    two_workers.start_scheduler()
    two_workers.start_workers(2)
    report = run_flow(two_workers, flow)
    assert (report.records, report.stored + report.duplicates, report.is_balanced) == (119, 115, True)
    without_accounts = {name: value for name, value in plain.items() if name != "accounts"}
    assert {name: value for name, value in facts(store, database).items() if name != "accounts"} == without_accounts
    wait_until(lambda: all(each.poll() is not None for each in lost))  # they have no scheduler any more


def test_a_wrong_setting_cancels_the_other_shares_in_its_own_words(two_workers, flow, database):
    wrong = attrs.evolve(flow, lake=attrs.evolve(flow.lake, access_key="nobody"))
    with two_workers.client() as client:
        with pytest.raises(hp.ConfigurationError, match="nobody|access key|AccessKey|Access") as raised:
            hp.run_on_dask(client, wrong, flow.plan(), shares=8, ledger=flow.ledger, progress=False)
        assert "of 8 of the run" in raised.value.__notes__[0]
        wait_until(lambda: not client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)))
    assert rows_of(database, "SELECT count(*) FROM pipeline_settled_objects") == [(0,)]
    assert [each.state for each in hp.runs(database)] == ["failed"]


def test_the_error_budget_holds_over_all_workers(two_workers, flow, database):
    with pytest.raises(hp.TooManyRejectedError, match="4 of 119 records .3.36%., and max_rejected allows 0.02"):
        run_flow(two_workers, attrs.evolve(flow, budget=0.02))
    assert rows_of(database, "SELECT count(*) FROM pipeline_settled_objects") == [(0,)]


def test_a_share_that_kills_each_of_its_workers_ends_the_run(stack, flow, database, tmp_path):
    own = DaskCluster(tmp_path, allowed_failures=0)
    try:
        own.start_workers(1)
        with pytest.raises(
            hp.TransientError, match="share . of . .* was lost with its worker 1 times, at last with tcp"
        ):
            run_flow(own, attrs.evolve(flow, at_commit=Once(tmp_path / "killed", "kill")))
    finally:
        own.close()
    assert rows_of(database, "SELECT count(*) FROM pipeline_settled_objects") == [(0,)]
