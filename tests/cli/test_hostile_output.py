"""What records and keys have in them does not reach a terminal as something that it obeys."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from holded_pipeline.cli.up_command import example_event

HOSTILE = "\x1b]0;title\x07\x1b[2J\u009b31m\u202egnp.exe\ud800\x7f\u2028end"
UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.fixture(scope="module")
def place(make_place):
    made = make_place()
    broken = {"headers": {"type": HOSTILE}}
    event = json.loads(example_event())
    event["headers"]["type"] = HOSTILE.replace("\ud800", "")
    body = b"\n".join([json.dumps(broken).encode(), json.dumps(event).encode(), b"\xff\x1b[2J not json"])
    made.lake.filesystem().pipe(f"{made.lake.bucket}/raw/\u202ekey \u009b.jsonl", body)
    assert made.json("run")["rejected_total"] == 3
    return made


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize(
    "arguments", [("rejected", "list"), ("rejected", "forecast"), ("ledger", "list"), ("runs", "list")], ids=" ".join
)
def test_what_is_printed_is_safe(place, arguments, as_json):
    result = place.run(*arguments, *(["--json"] if as_json else []))
    assert result.exit_code == 0, result.output
    assert UNSAFE.findall(result.output) == []
    assert not as_json or json.loads(result.stdout)


def test_each_rejection_and_each_object_is_shown_safely(place):
    shown = [place.run("rejected", "show", each["id"]) for each in place.json("rejected", "list")]
    (run,) = place.json("runs", "list")
    shown.append(place.run("runs", "show", run["run_id"], "--objects"))
    assert len(shown) == 4
    assert [result.exit_code for result in shown] == [0, 0, 0, 0]
    assert UNSAFE.findall("".join(result.output for result in shown)) == []
    assert "\\x1b[2J not json" in "".join(result.output for result in shown)


def test_json_has_the_values_as_they_are(place):
    (entry,) = place.json("ledger", "list")
    assert entry["key"] == "raw/\u202ekey \u009b.jsonl"


def test_an_error_is_said_safely(place):
    result = place.run("runs", "show", HOSTILE.replace("\ud800", ""))
    assert result.exit_code == 2
    assert UNSAFE.findall(result.output) == []


def test_a_pipe_that_is_closed_is_no_error(place):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "holded_pipeline.cli.main", "plugins", "--json"],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.stderr == ""
