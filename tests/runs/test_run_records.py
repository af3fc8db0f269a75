"""The recorded runs of a database: listed, found by id, and what became of each object."""

from __future__ import annotations

import json
import sys
import types

import attrs
import pytest
from table_contents import rows_of, run_statements

import holded_pipeline as hp
from holded_pipeline.runs.run_arguments import recordable, versions, without_secrets
from holded_pipeline.runs.run_rows import BegunRun, EndedRun, begin_run, end_run, mark_seen

BEGUN = BegunRun("r0", "nightly", "host", 42, {"python": "3"}, {"input": "raw/"})
COUNTS = {"read.records": 5, "read.rejected.x": 2, "write.inserted": 3}


@pytest.fixture
def three_runs(db):
    """r0 and r2 of `nightly`, r1 of `hourly`; r0 failed, r1 runs, r2 succeeded."""
    for number, name in enumerate(("nightly", "hourly", "nightly")):
        begin_run(db, attrs.evolve(BEGUN, run_id=f"r{number}", name=name))
    end_run(db, "r0", EndedRun("failed", {}, {}, "TransientError: it is away"))
    end_run(db, "r2", EndedRun("succeeded", COUNTS, {"read": {"x": 2}}))
    return hp.runs(db)


def test_the_newest_run_is_first(three_runs):
    assert [record.run_id for record in three_runs] == ["r2", "r1", "r0"]
    assert [record.state for record in three_runs] == ["succeeded", "running", "failed"]
    assert len(three_runs) == 3
    assert three_runs[0].run_id == "r2"
    assert [record.run_id for record in three_runs[1:]] == ["r1", "r0"]


def test_a_run_is_found_by_its_id(three_runs):
    assert three_runs["r0"] == three_runs.get("r0")
    assert three_runs["r0"].error == "TransientError: it is away"
    assert three_runs.get("nobody") is None
    with pytest.raises(KeyError, match="nobody"):
        _ = three_runs["nobody"]


def test_runs_are_chosen_by_name_and_number(db, three_runs):
    assert [record.run_id for record in hp.runs(db, "nightly")] == ["r2", "r0"]
    assert [record.run_id for record in hp.runs(db, "nightly", limit=1)] == ["r2"]


def test_the_record_of_a_settled_run_is_kept(db, three_runs):
    run_statements(db, "UPDATE pipeline_runs SET settled_at = '2026-01-01' WHERE run_id = 'r2'")
    with pytest.raises(hp.ConfigurationError, match="'r2' is recorded as settled.*--run_id"):
        begin_run(db, attrs.evolve(BEGUN, run_id="r2", host="another"))
    kept = three_runs.get("r2")
    assert (kept.state, kept.counts, kept.host, kept.settled_at is None) == ("succeeded", COUNTS, BEGUN.host, False)
    begin_run(db, attrs.evolve(BEGUN, run_id="r0", host="another"))  # it settled nothing
    assert (three_runs.get("r0").state, three_runs.get("r0").host) == ("running", "another")


def test_a_number_of_runs_below_zero_is_refused(db):
    with pytest.raises(ValueError, match="limit must be 0 or more, got -1"):
        hp.runs(db, limit=-1)


def test_without_pandas_the_error_says_what_to_install(monkeypatch, three_runs):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install 'pandas") as raised:
        three_runs.to_pandas()
    assert raised.value.__suppress_context__


def test_a_database_without_tables_has_no_runs(db):
    assert list(hp.runs(db)) == []


def test_a_record_is_a_report_and_json(three_runs):
    record = three_runs["r2"]
    assert (record.report.records, record.report.stored, record.report.is_balanced) == (5, 3, True)
    assert str(record.report).startswith("Run nightly r2 succeeded")
    assert json.loads(json.dumps(record.to_dict()))["counts"] == COUNTS
    assert repr(record) == "<RunRecord r2 of nightly: succeeded, 5 read>"
    assert repr(three_runs).startswith("[<RunRecord r2 of nightly: succeeded, 5 read>, <RunRecord r1")


def test_a_sign_of_life_has_the_counts_so_far_and_changes_no_end(db, three_runs):
    mark_seen(db, "r1", {"read.records": 7})
    mark_seen(db, "r2", {"read.records": 7})
    assert three_runs["r1"].counts == {"read.records": 7}
    assert (three_runs["r2"].state, three_runs["r2"].counts) == ("succeeded", COUNTS)


def test_the_objects_of_a_run_come_in_the_order_of_keys(db, three_runs):
    for key, problem in (("b", "NULL"), ("a", "'2 lost'")):
        values = f"'r2', 'nightly', 'lake', '{key}', 'e', 5, 2, 1, 1, 1, {problem}"
        rows_of(db, f"INSERT INTO pipeline_run_objects VALUES ({values})")
    expected = [
        hp.RunObject("lake", "a", "e", records=5, stored=2, duplicates=1, rejected=1, dropped=1, imbalance="2 lost"),
        hp.RunObject("lake", "b", "e", records=5, stored=2, duplicates=1, rejected=1, dropped=1, imbalance=None),
    ]
    assert three_runs["r2"].objects() == three_runs.objects("r2") == expected
    assert three_runs["r1"].objects() == []


def test_a_data_frame_has_a_row_for_each_run(three_runs, monkeypatch):
    frame = types.SimpleNamespace(DataFrame=lambda rows, columns: (rows, columns))
    monkeypatch.setitem(sys.modules, "pandas", frame)
    rows, columns = three_runs.to_pandas()
    assert [(row["run_id"], row["state"]) for row in rows] == [
        ("r2", "succeeded"), ("r1", "running"), ("r0", "failed"),
    ]  # fmt: skip
    assert list(rows[0]) == columns
    assert "_db" not in columns


def test_a_data_frame_of_no_runs_has_the_same_columns(db, three_runs, monkeypatch):
    frame = types.SimpleNamespace(DataFrame=lambda rows, columns: (rows, columns))
    monkeypatch.setitem(sys.modules, "pandas", frame)
    assert hp.runs(db, "no such pipeline").to_pandas() == ([], three_runs.to_pandas()[1])


def test_without_pandas_a_data_frame_says_what_to_install(three_runs, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install 'pandas"):
        three_runs.to_pandas()


def test_a_run_counts_as_killed_by_the_clock_of_the_database(db, three_runs):
    rows_of(db, "UPDATE pipeline_runs SET seen_at = now() - interval '59 seconds'")
    assert three_runs["r1"].state == "running"
    rows_of(db, "UPDATE pipeline_runs SET seen_at = now() - interval '61 seconds'")
    assert [three_runs[name].state for name in ("r0", "r1", "r2")] == ["failed", "killed", "succeeded"]


@pytest.mark.parametrize(
    ("name", "value", "recorded"),
    [
        ("secret_key", "abc", "***"), ("PGPASSWORD", "abc", "***"), ("api_token", "abc", "***"), ("key", "abc", "***"),
        ("access-key", "abc", "***"), ("sasl_credentials", ["abc"], "***"), ("token", None, None),
        ("monkey", "abc", "abc"), ("input", "raw/", "raw/"), ("workers", 3, 3), ("strict", True, True),
        ("url", "postgresql://u:abc@h:5/d", "postgresql://u:***@h:5/d"),
        ("url", "postgresql://u:a@bc@h/d", "postgresql://u:***@h/d"),
        ("url", "postgresql://h/d?user=u&password=abc&x=1", "postgresql://h/d?user=u&password=***&x=1"),
        ("urls", ["http://u:abc@h"], ["http://u:***@h"]), ("nested", {"password": "abc"}, {"password": "***"}),
        ("any", hp.Secret("abc"), "Secret(***)"), ("note", "hunter2 is it", "*** is it"), ("nul", "a\0b", "ab"),
    ],
    ids=lambda each: None,
)  # fmt: skip
def test_arguments_are_recorded_without_secrets(name, value, recorded):
    assert recordable({name: value}, ["hunter2"]) == {name: recorded}


def test_a_text_loses_its_secrets():
    assert without_secrets("no http://u:abc@h, hunter2", ["hunter2"]) == "no http://u:***@h, ***"


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("host=h password=abc dbname=d", "host=h password=*** dbname=d"),
        ("host=h password = 'a b\\' c' dbname=d", "host=h password = *** dbname=d"),
        ("sslpassword=a\\ b sslmode=x", "sslpassword=*** sslmode=x"),
        ("PGPASSWORD=abc psql", "PGPASSWORD=*** psql"),
        ("http://h?password=abc&x=1", "http://h?password=***&x=1"),
        ("the password is wrong", "the password is wrong"),
    ],
)
def test_a_text_loses_the_passwords_of_connection_strings(text, without):
    assert without_secrets(text) == without


def test_the_version_of_the_code_comes_from_the_option_the_environment_or_git(monkeypatch, tmp_path):
    monkeypatch.setenv("HOLDED_CODE_VERSION", "v8")
    assert (versions("v7")["code"], versions()["code"]) == ("v7", "v8")
    monkeypatch.delenv("HOLDED_CODE_VERSION")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(tmp_path / "job.py"), raising=False)
    assert "code" not in versions()


def test_an_error_with_characters_that_postgresql_cannot_hold_is_recorded(db, three_runs):
    end_run(db, "r1", EndedRun("failed", {}, {}, "a\0b \ud800"))
    assert hp.runs(db)["r1"].error == "a\\0b \\ud800"
