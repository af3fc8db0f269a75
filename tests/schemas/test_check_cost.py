"""The check of one event takes bounded CPU time and memory, whatever its schema and its data are."""

from __future__ import annotations

import os
import signal
import tempfile

import pytest
from event_factory import make_event
from schema_checks import compile_schema

import holded_pipeline as hp
from holded_pipeline.schemas import check_cost
from holded_pipeline.schemas.check_cost import bytes_checked_here
from holded_pipeline.schemas.event_check import EventCheck
from holded_pipeline.schemas.explanations import INCOMPLETE
from holded_pipeline.schemas.isolated_check import NOT_EXPLAINED
from holded_pipeline.schemas.references import LocalSchemas

SCHEMA = {
    "properties": {
        "text": {"pattern": "(?<!q)a*b"},  # takes the square of the length
        "either": {"items": {"oneOf": [{"required": ["x"]}, {"required": ["y"]}]}},
        "number": {"type": "integer"},
    }
}


@pytest.fixture
def checks():
    """Checks one document after the other against the schema; returns the rejection or None."""
    check = EventCheck(LocalSchemas({"s": SCHEMA}).open(), lambda _: "s", None)

    def rejection(**data):
        event = make_event(data=data)
        try:
            check.require_valid(check.schema_of(event), event)
        except hp.RejectRecord as rejected:
            return rejected
        return None

    rejection.check = check
    yield rejection
    check.close()


def test_a_check_that_takes_too_much_time_rejects_that_event_alone(checks, monkeypatch):
    monkeypatch.setattr(check_cost, "CPU_SECONDS", 0.3)
    rejected = checks(text="a" * 2_000_000)
    assert (rejected.reason, rejected.violations) == ("too_costly", ())
    assert "the schema 's' takes more than 1.3 s of CPU time; send smaller events" in rejected.message
    assert checks.check.isolated_seconds == pytest.approx(1.25, abs=0.1)
    monkeypatch.undo()
    assert checks(text="b" * 500_000) is None


def test_a_check_is_ended_where_the_signal_for_that_is_blocked_and_ignored(checks, monkeypatch):
    monkeypatch.setattr(check_cost, "CPU_SECONDS", 0.1)
    monkeypatch.setattr("holded_pipeline.schemas.isolated_check._WALL_PER_CPU_SECOND", 60.0)
    before = signal.signal(signal.SIGPROF, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPROF])
    try:
        assert checks(text="a" * 200_000).reason == "too_costly"
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGPROF])
        signal.signal(signal.SIGPROF, before)


def test_a_check_that_takes_too_much_memory_rejects_that_event_alone(checks, monkeypatch):
    monkeypatch.setattr(check_cost, "MEMORY_BYTES", 64 << 20)
    monkeypatch.setattr(check_cost, "MEMORY_PER_BYTE", 0)
    large = [{"x": number} for number in range(300_000)]
    rejected = checks(either=large)
    assert (rejected.reason, rejected.violations) == ("too_costly", ())
    assert "64 MB of memory" in rejected.message
    monkeypatch.undo()
    assert checks(either=large) is None


def test_a_process_that_cannot_be_started_rejects_nothing(checks, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))  # as with a full disk, or no file left
    with pytest.raises(hp.TransientError, match="no process to check large events could be started"):
        checks(text="b" * 500_000)
    monkeypatch.undo()
    assert checks(text="b" * 500_000) is None


def test_very_many_violations_are_found_in_part_and_that_is_said(checks, monkeypatch):
    monkeypatch.setattr(check_cost, "CPU_SECONDS", 120.0)  # also where a second of CPU does little
    data = {"either": [{}] * 100_000}
    found = checks(**data).violations
    assert {each.keyword for each in found[:100]} == {"oneOf"}
    assert found[-1].message == INCOMPLETE


def test_an_invalid_event_stays_invalid_when_its_violations_take_too_long_to_find(checks, monkeypatch):
    monkeypatch.setattr(check_cost, "CPU_SECONDS", 0.0)
    monkeypatch.setattr(check_cost, "CPU_SECONDS_PER_MB", 0.1)
    rejected = checks(either=[{}] * 300_000)
    assert rejected.reason == "schema_violation"
    assert [each.message for each in rejected.violations] == [NOT_EXPLAINED]


@pytest.mark.parametrize("count", [3, 5_000])
def test_a_process_of_its_own_finds_what_would_be_found_here(checks, count):
    data = {"either": [{"x": 1}] * count, "number": "x"}
    assert checks(**data).violations == compile_schema(SCHEMA).check(data)
    assert (checks.check.isolated_seconds > 0) == (count > 3)


def test_a_process_that_was_killed_is_replaced_and_no_event_is_rejected(checks):
    event = {"either": [{"x": 1}] * 5_000}
    assert checks(**event) is None
    os.kill(checks.check._isolated._process.pid, signal.SIGKILL)
    assert checks(**event) is None


@pytest.mark.parametrize(
    ("schema", "size"),
    [
        ({}, 1 << 18),
        ({"pattern": "^[a-z]+$"}, 1 << 18),
        ({"pattern": "^(?!x)"}, 1 << 14),
        ({"patternProperties": {r"(a)\1": {}}}, 1 << 14),
        ({"enum": [{"a": number} for number in range(1_000)]}, (1 << 24) // 2_002),
        ({"enum": list(range(100_000))}, 1 << 12),
    ],
    ids=["empty", "pattern", "look-ahead", "reference", "enum", "large"],
)
def test_the_size_that_is_checked_in_this_process_depends_on_the_schema(schema, size):
    assert bytes_checked_here(compile_schema(schema).resolved) == size
