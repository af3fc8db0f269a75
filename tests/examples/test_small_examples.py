"""The small examples run as programs, on the servers of the tests: what they print, a second run, wrong arguments."""

from __future__ import annotations

import re
import signal
import time
from functools import partial

import pytest
from example_programs import EXAMPLES, name_servers, run_program
from preloaded import Program

ON_SERVERS = {
    "several_sources": [
        "read 55 = inserted 51 + updated 0 + duplicates 0 + rejected 4: yes",
        "source=holded  events=48",
        "source=shop  events=3",
        "shop/2026-01-12.jsonl:4  validate: schema_violation",
        "shop/2026-01-12.jsonl:5  read: invalid_json",
    ],
    "several_tables": [
        "read 6 = inserted 4 + updated 0 + duplicates 0 + rejected 2: yes",
        "number=F-1  total=121.0  due=2026-02-01  customer_name=Bakery",
        "id=p-1  invoice=F-1  amount=100  more={'channel': 'card'}",
        "event_id=event-4  event_type=note  data={'text': 'paid in two parts'}",
        "2026-01-12.jsonl:5  validate: schema_violation",
    ],
    "change_events": [
        "id=1  email=ada@example.org  deleted_at=None  position=300",
        "id=2  email=None  deleted_at=2026-01-12 10:00:00.400000+00:00  position=400",
        "0000000000.jsonl:6  read: tombstone",
        "0000000000.jsonl:8  validate: schema_violation",
    ],
    "cloudtrail": [
        "read 4 = inserted 2 + updated 0 + duplicates 0 + rejected 1 + dropped 1: yes",
        "event_type=ec2.amazonaws.com/RunInstances  account=123456789012  user_id=arn:aws:iam::123456789012:user/ada",
        "json.gz:1[4]  read: envelope_error",
    ],
    "webhooks": [
        "read 6 = inserted 2 + updated 0 + duplicates 1 + rejected 2 + dropped 1: yes",
        "event_id=evt_1  event_type=pay.invoice.paid  company_id=acct_7  user_id=None",
        "event_type=code.push  company_id=bakery  user_id=ada",
        "read: unknown_sender",
        "validate: unknown_subject",
    ],
    "private_data": [
        "read 3 = inserted 2 + updated 0 + duplicates 0 + rejected 1: yes",
        "segment=bakery  token=",
        "segment=cinema  token=",
        "enrich: lookup_missing",
    ],
}
"""The examples that need servers and nothing else, and what each of them prints."""
READ_AGAIN = {"several_tables": 0, "change_events": 8}
"""What a second run reads: nothing where a ledger is, everything without one."""
IN_FOLDER = {
    "text_to_parquet": [
        "05:00:00+00:00  Reus       -1.50  frost",
        '"reason": "unreadable"',
        "celsius: 950 is",
    ],
    "inside_your_pipeline": ['"quality": 0.5', '{"step": "parse", "error": "ValueError', "/cents: -5 is less"],
}
WITH_PANDAS = ["dataframe_totals"]  # tests/notebooks runs it, where a pandas is


@pytest.fixture
def start(monkeypatch, capsys):
    return partial(run_program, monkeypatch, capsys)


@pytest.fixture
def servers(lake, db, monkeypatch):
    for variable in ("EXAMPLE_MASK_KEY", "EXAMPLE_FINGERPRINT_KEY"):
        monkeypatch.setenv(variable, "a long random text")
    return name_servers(monkeypatch, lake, db)


@pytest.mark.parametrize("name", ON_SERVERS)
def test_an_example_accounts_for_its_sample_and_a_second_run_changes_no_row(start, servers, name):
    code, printed, last = start(name, *servers)
    assert code == 0, printed + last
    assert [words for words in ON_SERVERS[name] if words not in printed] == []
    if name in READ_AGAIN:
        code, again, _ = start(name, *servers)
        assert (code, f"\nread {READ_AGAIN[name]} = " in again) == (0, True), again
        assert rows_printed(again) == rows_printed(printed)


def rows_printed(text):
    """What an example prints between its report and its rejections."""
    return re.search(r"\n\n(.+?)\n\nrejected:", text, re.DOTALL)[1]


@pytest.mark.parametrize("name", IN_FOLDER)
def test_an_example_without_servers_accounts_for_its_whole_sample(start, tmp_path, name):
    for _ in range(2):  # the second time over its own files
        code, printed, last = start(name, "--folder", tmp_path / "new")
        assert code == 0, printed + last
        assert [words for words in IN_FOLDER[name] if words not in printed] == []


def test_no_row_of_the_private_data_has_an_address(start, servers, db):
    start("private_data", *servers)
    with db.engine().connect() as connection:
        (stored,) = connection.exec_driver_sql("SELECT string_agg(e::text, ' ') FROM business_events e").one()
    assert "visit-1" in stored
    assert "example.com" not in stored.lower()


@pytest.mark.parametrize("name", [*ON_SERVERS, *IN_FOLDER, *WITH_PANDAS])
def test_help_says_what_an_example_shows_and_how_to_run_it(start, name):
    code, printed, _ = start(name, "--help")
    assert code == 0
    assert f"python examples/{name}.py" in printed
    assert printed.startswith(f"usage: {name}.py [options]")


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"--minio": "http://127.0.0.1:1"}, 1, "cannot be stored in the bucket"),
        ({"--bucket": "nowhere"}, 1, "check URL, bucket, access key and secret key"),
        ({"--access-key": "nobody"}, 1, "check URL, bucket, access key and secret key"),
        ({"--postgres": "postgresql://a@127.0.0.1:1/b"}, 1, "PostgreSQL 127.0.0.1:1/b did not answer"),
        ({"--postgres": "mysql://a@127.0.0.1:1/b"}, 1, "postgresql:// URL is needed"),
        ({"--keep": "data"}, 2, "--keep is for local servers"),
        ({"--bogus": "1"}, 2, "unrecognized arguments: --bogus"),
    ],
    ids=["store", "bucket", "access key", "database", "url", "keep", "unknown"],
)
def test_a_wrong_setting_is_reported_in_one_line(start, servers, changes, code, words):
    for name, value in ({"--deadline": "1"} | changes).items():
        servers += [name, value]  # the later one counts
    ended, printed, last = start("several_sources", *servers)
    assert (ended, words in last) == (code, True), printed + last


def interrupted(folder):
    """What an example printed that was interrupted, and its exit code."""
    out, err = folder / "stdout", folder / "stderr"
    process = Program([EXAMPLES / "several_sources.py", "--keep", folder / "kept"], (out, err))
    try:
        while process.poll() is None and not (err.exists() and "storing a sample" in err.read_text()):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        return process.wait(100), out.read_text(), err.read_text()
    finally:
        process.kill()


def test_ctrl_c_stops_the_local_servers_and_ends_with_one_line(tmp_path_factory):
    for _ in range(3):
        folder = tmp_path_factory.mktemp("interrupted")
        code, out, err = interrupted(folder)
        if "Exception ignored in" not in err:  # Python drops an interrupt where it runs the end of an object
            break
    assert code == 130, err
    assert err.splitlines()[-1] == "interrupted"
    assert "Traceback" not in out + err
    assert (folder / "kept").exists()
    assert not list(folder.rglob("postmaster.pid"))  # PostgreSQL removes it when it has stopped


def test_the_page_of_examples_names_each_of_them():
    page = (EXAMPLES.parent / "docs" / "how-to" / "examples.md").read_text(encoding="utf-8")
    programs = {path.name for path in EXAMPLES.glob("*.py") if "__main__" in path.read_text(encoding="utf-8")}
    assert {name for name in programs if f"(../../examples/{name})" not in page} == set()
    assert {path.stem for path in EXAMPLES.glob("*.py") if "small_example import" in path.read_text("utf-8")} == {
        *ON_SERVERS, *IN_FOLDER, *WITH_PANDAS
    }  # fmt: skip
