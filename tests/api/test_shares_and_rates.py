"""Limits of one caller among several: fair shares, and rates that several processes count together."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits import parse_many

from holded_pipeline.api import Limits
from holded_pipeline.api.access.client_address import client_address
from holded_pipeline.api.access.fair_shares import FairShares, Holder
from holded_pipeline.api.access.rate_counter import RateCounter
from holded_pipeline.api.problems import Problem
from holded_pipeline.local.ports import free_ports
from holded_pipeline.model.errors import ConfigurationError


def fill(shares, *names):
    """Each holder in turn takes one until none gets any; returns what each has."""
    holders = {name: Holder(name) for name in names}
    held = dict.fromkeys(names, 0)
    while taking := [name for name in names if shares.take(1, [holders[name]]) is None]:
        for name in taking:
            held[name] += 1
    return held


def test_a_holder_that_is_alone_gets_half_and_leaves_the_rest():
    shares = FairShares(120)
    assert fill(shares, "greedy") == {"greedy": 60}
    assert shares.take(1, [Holder("greedy")]) == "over_share"
    assert shares.take(20, [Holder("late")]) is None


def test_holders_that_compete_get_the_same_and_leave_as_much():
    assert fill(FairShares(120), "a", "b", "c") == {"a": 30, "b": 30, "c": 30}


def test_the_only_request_may_take_everything():
    shares = FairShares(100)
    assert shares.take(60, [Holder("a")]) is None
    assert shares.take(40, [Holder("a")], own=60) is None
    assert shares.take(1, [Holder("a")], own=100) == "full"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 50)), max_size=60))
def test_shares_never_exceed_the_limit_and_all_are_given_back(takes):
    shares = FairShares(100)
    taken = [(size, [Holder(name)]) for name, size in takes if shares.take(size, [Holder(name)]) is None]
    assert shares.held == sum(size for size, _ in taken) <= 100
    for size, holders in taken:
        shares.give_back(size, holders)
    assert shares.held == 0
    assert shares.take(100, [Holder("a")]) is None


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "loopback"),
        ("127.9.8.7", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.2", "loopback"),
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::9", "2001:db8:1:2::/64"),
        ("", ""),
    ],
)
def test_the_addresses_of_one_client_count_as_one(host, address):
    assert client_address(host) == address


def test_divided_limits_together_accept_what_the_whole_ones_do():
    whole = Limits(rate="1000/second;5 per 2 hour", memory_bytes=1 << 30, scans=2)
    part = whole.divided_by(4)
    assert [(each.amount, each.get_expiry()) for each in parse_many(part.rate)] == [(250, 1), (2, 7_200)]
    assert (part.memory_bytes, part.connections, part.scans) == (256 << 20, 500, 1)
    assert (part.body_bytes, part.events) == (whole.body_bytes, whole.events)
    assert Limits().divided_by(100).memory_bytes >= Limits().inflated_bytes  # a body still fits
    shared = Limits(rate_storage="async+redis://localhost").divided_by(4)
    assert shared.rate == Limits().rate
    with pytest.raises(ValueError, match="by 1 process or more"):
        Limits().divided_by(0)


async def refused(counters, requests):
    """How many requests the counters refuse, in turn."""
    found = 0
    for number in range(requests):
        try:
            await counters[number % len(counters)].count(parse_many("10/hour"), "key a", "requests")
        except Problem as problem:
            found += problem.code == "too_many_requests"
    return found


def test_a_rate_is_counted_over_processes_in_a_shared_storage(tmp_path):
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("redis-server is not installed")
    (port,) = free_ports(1)
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen([server, *options], stdout=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + 20
            while socket.socket().connect_ex(("127.0.0.1", port)):
                assert time.monotonic() < until
                time.sleep(0.02)
            counters = [RateCounter(f"async+redis://127.0.0.1:{port}") for _ in range(3)]
            assert asyncio.run(refused(counters, 30)) == 20
        finally:
            process.terminate()


@pytest.mark.parametrize("is_listening", [False, True], ids=["refuses connections", "never answers"])
def test_a_storage_that_does_not_answer_stops_no_request(caplog, is_listening):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if is_listening:
            silent.listen()
        counter = RateCounter(f"async+redis://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        assert asyncio.run(refused([counter], 12)) == 2  # by the count of this process
        assert time.monotonic() - started < 5
    assert caplog.text.count("this process counts for itself") == 1


@pytest.mark.parametrize("uri", ["async+unknown://localhost", "async+nothing"])
def test_an_unknown_storage_is_refused_at_the_start(uri):
    with pytest.raises(ConfigurationError, match="rate_storage cannot be used"):
        RateCounter(uri)


def test_a_storage_that_would_block_is_refused():
    with pytest.raises(ValueError, match="asynchronous storage"):
        Limits(rate_storage="redis://localhost")
