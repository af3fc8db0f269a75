"""The commands on real servers: what they print, and that with --json it is JSON alone."""

from __future__ import annotations

import json
import socket

import pytest
from cli_place import store_samples
from table_contents import rows_of

from holded_pipeline.compiled import is_compiled


@pytest.fixture(scope="module")
def place(make_place):
    """A place where one run was made: 60 events, some of them faulty."""
    made = make_place()
    store_samples(made, 60, faults=0.2)
    return made


@pytest.fixture(scope="module")
def report(place):
    return place.json("run")


def test_check_finds_everything_in_order(place):
    result = place.run("check")
    assert result.exit_code == 0, result.output
    names = [line.removeprefix("ok   ").partition(":")[0] for line in result.stdout.splitlines()]
    assert {"store", "store clock", "write rejected/", "database", "database clock", "tables", "schemas"} <= set(names)
    assert all(line.startswith("ok   ") for line in result.stdout.splitlines())
    assert not [path for path in place.lake.filesystem().find(place.lake.bucket) if "check-" in path]


def test_check_makes_all_checks_and_says_what_to_do(place):
    result = place.run("check", "--json", HOLDED_STORE_BUCKET="nowhere", HOLDED_FLOW_ENRICHERS='["qualitty"]')
    assert result.exit_code == 2
    outcomes = {each["check"]: each for each in map(json.loads, result.stdout.splitlines())}
    assert not outcomes["store"]["ok"]
    assert "create the bucket" in outcomes["store"]["detail"]
    assert not outcomes["enricher qualitty"]["ok"]
    assert "known are: business_context" in outcomes["enricher qualitty"]["detail"]
    assert outcomes["database"]["ok"]
    assert outcomes["schemas"]["ok"]


def test_check_looks_at_the_api_where_it_is_set_up(place, tmp_path):
    file = tmp_path / "keys.toml"
    file.write_text("keys = []", encoding="utf-8")
    file.chmod(0o622)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        own = {"HOLDED_API_PORT": str(taken.getsockname()[1]), "HOLDED_API_HOST": "127.0.0.1"}
        result = place.run("check", "--json", HOLDED_API_KEY_FILE=str(file), **own)
    outcomes = {each["check"]: (each["ok"], each["detail"]) for each in map(json.loads, result.stdout.splitlines())}
    assert outcomes["api keys"][0] is False
    assert "others may write the key file" in outcomes["api keys"][1]
    assert outcomes["api ports"][1].endswith("is in use, which is right while the API runs")
    assert outcomes["write raw/"] == (True, "written and deleted")
    assert outcomes["api certificate"][0]
    file.chmod(0o600)
    wrong = {"HOLDED_API_HOST": "192.0.2.1", "HOLDED_API_CERTIFICATE": str(file)}
    wrong |= {"HOLDED_API_CHECK_SCHEMAS": "true", "HOLDED_FLOW_ENVELOPE": "flat"}
    result = place.run("check", "--json", HOLDED_API_KEY_FILE=str(file), **wrong)
    outcomes = {each["check"]: (each["ok"], each["detail"]) for each in map(json.loads, result.stdout.splitlines())}
    found = [outcomes[f"api {name}"][0] for name in ("keys", "certificate", "ports", "schemas")]
    assert found == [True, False, False, False]
    assert "give another [api] host or port" in outcomes["api ports"][1]


def test_a_run_is_accounted_for_and_a_second_one_reads_nothing(place, report):
    assert report["records"] == 60
    assert report["is_balanced"]
    assert report["rejected_total"] > 0
    again = place.json("run")
    assert (again["records"], again["is_balanced"]) == (0, True)


def test_runs_with_shards_read_everything_once(make_place):
    place = make_place()
    for number in range(2):
        store_samples(place, 5 + number, name=f"samples-{number}")
    runs = [place.json("run", "--shard", f"{number}/2") for number in range(2)]
    assert sorted(each["records"] for each in runs) == [5, 6]
    assert place.json("run")["records"] == 0


def test_a_run_is_listed_and_shown(place, report):
    listed = {each["run_id"]: each for each in place.json("runs", "list")}
    assert listed[report["run_id"]]["records"] == 60
    shown = place.json("runs", "show", report["run_id"], "--objects")
    assert shown["state"] == "succeeded"
    assert [each["key"] for each in shown["objects"]] == ["raw/samples.jsonl"]
    assert report["run_id"] in place.run("runs", "list").stdout
    assert "read 60 =" in place.run("runs", "show", report["run_id"]).stdout


def test_rejected_records_are_listed_and_shown(place, report):
    listed = place.json("rejected", "list")
    assert len(listed) == report["rejected_total"]
    first = listed[0]
    assert place.json("rejected", "show", first["id"])["record"] == first["record"]
    assert first["message"] in place.run("rejected", "show", first["id"]).stdout
    assert place.json("rejected", "show", first["id"][:12])["id"] == first["id"]
    sharing = sum(each["id"][0] == first["id"][0] for each in listed)
    by_one_letter = place.run("rejected", "show", first["id"][0])
    assert (by_one_letter.exit_code, "give more of one" in by_one_letter.stderr) == (
        (2, True) if sharing > 1 else (0, False)
    )
    assert "no rejected record has the id ''" in place.run("rejected", "show", "").stderr
    assert place.json("rejected", "list", "--reason", "no_such_reason") == []


def test_a_forecast_and_a_replay(place, report):
    forecast = place.json("rejected", "forecast")
    assert forecast["matching"] == report["rejected_total"]
    assert sum(each["records"] for each in forecast["by_reason"]) == forecast["matching"]
    replayed = place.json("rejected", "replay", "--max-attempts", "5")
    assert replayed["records"] > 0
    assert {each["attempts"] for each in place.json("rejected", "list")} == {2}
    assert replayed["run_id"] in {each["run_id"] for each in place.json("runs", "list", "--name", "ingest replay")}


def test_the_ledger_is_listed_pruned_and_forgotten(place, report):
    assert [each["key"] for each in place.json("ledger", "list")] == ["raw/samples.jsonl"]
    assert place.json("ledger", "prune") == {"pruned": 0}
    assert place.json("ledger", "forget", "raw/", "--yes") == {"forgotten": 1}
    assert place.json("ledger", "list") == []


def test_a_run_that_went_well_has_no_leftovers(place, report):
    assert place.json("leftovers", "--older-than", "1s") == []
    assert place.json("leftovers", "--remove", "--yes") == {"removed": 0}


def test_plugins_and_versions(place):
    listed = place.json("plugins")
    assert {"kind": "envelope", "name": "holded"}.items() <= next(e for e in listed if e["name"] == "holded").items()
    assert all(each["from"] for each in listed)
    versions = place.json("version")
    assert "apache-beam" in versions
    assert versions["compiled"] == ("yes" if is_compiled() else "no")


def test_runs_in_a_loop_print_a_line_each(make_place):
    place = make_place()
    store_samples(place, 5)
    result = place.run("run", "--every", "100ms", "--max-runs", "2", "--json")
    assert result.exit_code == 0, result.output
    assert [json.loads(line)["records"] for line in result.stdout.splitlines()] == [5, 0]
    assert rows_of(place.db, "SELECT count(*) FROM business_events") == [(5,)]
