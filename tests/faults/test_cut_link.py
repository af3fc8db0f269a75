"""Two hosts, as network namespaces, with a link between them that is cut while the far one works on a share."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import attrs
import pytest
from dask_cluster import DaskCluster, wait_until
from shared_flow import Hold, SharedFlow, facts, figures, plain_facts, put_input
from sqlalchemy.engine import make_url
from stalling_proxy import Proxy

import holded_pipeline as hp

pytestmark = pytest.mark.timeout(600)

SETTINGS = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "15s", "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "30s"}


def ip(*arguments):
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)


@attrs.frozen
class FarHost:
    name: str
    here: str
    there: str


@pytest.fixture
def far_host():
    """A network namespace, and a link of the same name to it, with addresses on both ends."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("only root makes network namespaces, with the program ip")
    name, subnet = f"hp{secrets.token_hex(3)}", secrets.randbelow(256)
    host = FarHost(name, f"10.203.{subnet}.1", f"10.203.{subnet}.2")
    if (made := ip("netns", "add", name)).returncode:
        pytest.skip(f"no network namespace can be made here: {made.stderr.strip()}")
    try:
        for command in (
            f"link add {name} type veth peer name far netns {name}",
            f"addr add {host.here}/30 dev {name}",
            f"link set {name} up",
            f"-n {name} addr add {host.there}/30 dev far",
            f"-n {name} link set far up",
            f"-n {name} link set lo up",
        ):
            if (done := ip(*command.split())).returncode:
                pytest.skip(f"ip {command}: {done.stderr.strip()}")
        yield host
    finally:
        ip("link", "del", name)
        ip("netns", "del", name)


@pytest.fixture
def reachable(store, database, far_host):
    """The store and the database by addresses that the far host reaches."""
    url = make_url(database.url)
    to_store, to_database = Proxy(store.endpoint, far_host.here), Proxy(f"http://127.0.0.1:{url.port}", far_host.here)
    port = urlsplit(to_database.endpoint).port
    retry = hp.Retry(20, first_wait=0.05)
    yield (
        attrs.evolve(store, endpoint=to_store.endpoint, retry=retry),
        attrs.evolve(database, url=url.set(host=far_host.here, port=port).render_as_string(), retry=retry),
    )
    to_store.close()
    to_database.close()


def test_a_worker_behind_a_cut_link_is_replaced_and_counts_nothing(
    stack, store, database, far_host, reachable, tmp_path
):
    plain = plain_facts(stack.new_bucket(), stack.new_database())
    put_input(store)
    flow = SharedFlow(*reachable, at_commit=Hold(tmp_path / "committed", 5, "FAR_HOST"))
    cluster = DaskCluster(tmp_path, host=far_host.here, **SETTINGS)
    try:
        cluster.start_workers(1)
        cluster.start_workers(1, host=far_host.there, command=["ip", "netns", "exec", far_host.name], FAR_HOST="1")
        with cluster.client() as client:
            report = run_and_cut(client, flow, tmp_path / "committed", far_host.name)
            assert figures(report) == (119, 111, 4, 4, True)
            assert facts(store, database) == plain
            ip("link", "set", far_host.name, "up")
            wait_until(lambda: cluster.workers[1].poll() is not None or len(client.nthreads()) == 2)
        assert facts(store, database) == plain
    finally:
        cluster.close()


def run_and_cut(client, flow, committed, link):
    """The report of a run, during which the link is cut after the far worker has committed rows."""
    given = {"shares": 4, "ledger": flow.ledger, "progress": False}
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(hp.run_on_dask, client, flow, flow.plan(), **given)
        wait_until(committed.exists)
        assert ip("link", "set", link, "down").returncode == 0
        return running.result(timeout=300)
