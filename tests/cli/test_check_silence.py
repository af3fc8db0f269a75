"""`check` ends in time where servers say nothing, and checks nothing that needs them."""

from __future__ import annotations

import json
import logging
import socket
import time

import pytest
from cli_place import store_samples

from holded_pipeline.cli.checks import store_checks
from holded_pipeline.cli.exit_codes import ExitCode


@pytest.fixture(scope="module")
def place(make_place):
    place = make_place()
    store_samples(place, 1)
    return place


@pytest.fixture
def silent():
    """The port of a server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


def outcomes_of(result) -> dict[str, tuple[bool | None, str]]:
    found = map(json.loads, result.stdout.splitlines())
    return {each["check"]: (each["ok"], each["detail"]) for each in found}


def test_silent_servers_are_waited_for_once_and_what_needs_them_is_not_checked(place, silent, caplog):
    began = time.monotonic()
    with caplog.at_level(logging.DEBUG, "holded_pipeline"):
        result = place.run(
            "check",
            "--json",
            "--deadline",
            "1s",
            HOLDED_STORE_ENDPOINT=f"http://127.0.0.1:{silent}",
            HOLDED_DATABASE_URL=f"postgresql://holded@127.0.0.1:{silent}/x",
        )
    assert time.monotonic() - began < 30
    assert result.exit_code == ExitCode.NO_ANSWER
    outcomes = outcomes_of(result)
    assert {name for name, (ok, _) in outcomes.items() if ok is False} == {"store", "database"}
    skipped = {name: detail for name, (ok, detail) in outcomes.items() if ok is None}
    assert set(skipped) == {
        "store clock", "read raw/", "write enriched/", "write rejected/", "database clock", "tables",
    }  # fmt: skip
    assert skipped["tables"] == "not checked, as the database does not answer"
    assert outcomes["schemas"][0]
    assert "attempt" not in result.stderr + caplog.text


def test_a_store_that_falls_silent_between_two_calls_ends_the_check(place, silent, monkeypatch):
    """The bucket was checked; the call after it has no deadline of its own."""
    filesystem = place.lake.filesystem(client_kwargs={"endpoint_url": f"http://127.0.0.1:{silent}", "region_name": "x"})
    monkeypatch.setattr(store_checks.MinIO, "filesystem", lambda lake: filesystem)
    monkeypatch.setattr("holded_pipeline.cli.checks.every_check.check_bucket", lambda lake: "there")
    began = time.monotonic()
    outcomes = outcomes_of(place.run("check", "--json", "--deadline", "300ms"))
    assert time.monotonic() - began < 30
    assert [outcomes[name][0] for name in ("store", "store clock", "read raw/", "write rejected/")] == [True] + 3 * [
        False
    ]
    assert "did not answer within 0.3 s" in outcomes["store clock"][1]
