"""The enricher `lookup` on real servers: what it adds, what it caches, and what happens in an outage."""

from __future__ import annotations

import gzip
import pickle
import time

import attrs
import pytest
import sqlalchemy as sa
from event_factory import make_event
from store_contents import put_object

import holded_pipeline as hp
from holded_pipeline.enriching.lookup_object import ObjectRows

CSV = b"id,name,city\nc-1,Ibanez,Reus\n7,Puig,Vic\n"


NOWHERE = hp.MinIO("http://127.0.0.1:1", bucket="b", access_key="a", secret_key="s3cret")
NO_DATABASE = hp.Postgres("postgresql://u@127.0.0.1:1/none", password="s3cret", retry=hp.Retry(0.2, first_wait=0.01))


def company_event(company_id="c-1", **data):
    return make_event(id="e", company_id=company_id, data=data, raw=b"{}")


def execute(db, *statements):
    engine = db.engine()
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    engine.dispose()


@pytest.fixture
def companies(db):
    execute(
        db,
        "CREATE TABLE companies (id text PRIMARY KEY, name text, since timestamptz, fee numeric, facts jsonb)",
        "INSERT INTO companies VALUES ('c-1', 'Ibáñez', '2020-02-03T04:05:06Z', 0.10000000000000000001, "
        """'{"n": 12345678901234567890.5}'), ('7', 'Puig', NULL, NULL, NULL), ('o''x"', 'Quote', NULL, NULL, NULL)""",
    )
    return db


def table(db, **settings):
    return hp.Lookup.table(db, "companies", **{"key": "id", "of": "company_id", "columns": ["name"], **settings})


def reference(lake, object_key="reference/companies.csv", **settings):
    return hp.Lookup.object(lake, object_key, **{"key": "id", "of": "company_id", "columns": ["name"], **settings})


def names(results):
    return [result.get("name") for result in results]


def eventually(check):
    deadline = time.monotonic() + 20
    while not check():
        assert time.monotonic() < deadline, "it did not happen within 20 s"
        time.sleep(0.02)


def test_a_row_of_a_table_is_added_as_json(companies):
    (found,) = table(companies, columns=None).enrich_batch([company_event()])
    assert found == {
        "found": True,
        "name": "Ibáñez",
        "since": "2020-02-03T04:05:06+00:00",
        "fee": pytest.approx(found["fee"], abs=0),
        "facts": {"n": found["facts"]["n"]},
    }
    assert (str(found["fee"]), str(found["facts"]["n"])) == ("0.10000000000000000001", "12345678901234567890.5")


def test_results_come_in_the_order_of_the_events(companies):
    events = [
        company_event("7"),
        company_event("nobody"),
        company_event("c-1"),
        company_event("7"),
        company_event("o'x\""),
        company_event("\0"),
        company_event("\ud800"),
    ]
    with table(companies) as opened:
        assert names(opened.enrich_batch(events)) == ["Puig", None, "Ibáñez", "Puig", "Quote", None, None]
        assert opened.enrich_batch([]) == []


def test_a_batch_is_one_query_and_rows_and_misses_are_cached(companies):
    with table(companies) as opened:
        opened.enrich_batch([company_event("c-1"), company_event("7"), company_event("nobody"), company_event("c-1")])
        assert opened.take_counts() == {"found": 3, "missing": 1, "misses": 3, "loads": 1}
        opened.enrich_batch([company_event("c-1"), company_event("nobody")])
        assert opened.take_counts() == {"found": 1, "missing": 1, "hits": 2}
        assert opened.take_counts() == {}


def test_the_cache_is_bounded(companies):
    with table(companies, cache_size=1) as opened:
        opened.enrich_batch([company_event("c-1")])
        opened.enrich_batch([company_event("7")])
        opened.take_counts()
        opened.enrich_batch([company_event("c-1")])
        assert opened.take_counts()["misses"] == 1


def test_a_missing_key_is_looked_up_again_after_miss_ttl(companies):
    with table(companies, miss_ttl=0.01, ttl=600) as opened:
        assert names(opened.enrich_batch([company_event("new"), company_event("c-1")])) == [None, "Ibáñez"]
        execute(companies, "INSERT INTO companies (id, name) VALUES ('new', 'New')", "UPDATE companies SET name = 'X'")
        eventually(lambda: names(opened.enrich_batch([company_event("new"), company_event("c-1")])) == ["X", "Ibáñez"])


def test_a_changed_row_is_seen_after_ttl(companies):
    with table(companies, ttl=0.01, miss_ttl=600) as opened:
        assert names(opened.enrich_batch([company_event("new"), company_event("c-1")])) == [None, "Ibáñez"]
        execute(companies, "INSERT INTO companies (id, name) VALUES ('new', 'New')", "UPDATE companies SET name = 'X'")
        eventually(lambda: names(opened.enrich_batch([company_event("new"), company_event("c-1")])) == [None, "X"])


@pytest.mark.parametrize(
    ("on_missing", "result"), [("null", {"found": False, "name": None}), ("skip", {"found": False})]
)
def test_on_missing_null_and_skip_say_that_there_is_no_row(companies, on_missing, result):
    assert table(companies, on_missing=on_missing).enrich_batch([company_event("nobody")]) == [result]


def test_on_missing_reject_rejects_the_event(companies):
    found = table(companies, of="/contact/id", on_missing="reject").enrich_batch(
        [company_event(contact={"id": "nobody"}), company_event(), company_event(contact={"id": 7})]
    )
    assert [getattr(each, "reason", None) for each in found] == ["lookup_missing", "lookup_missing", None]
    assert "there is no row for 'nobody' in the table companies of PostgreSQL" in found[0].message
    assert "the event has no key to look up" in found[1].message


@pytest.mark.parametrize(
    ("of", "key"),
    [
        ("id", "e"),
        ("type", "t"),
        ("company_id", "c-1"),
        ("user_id", None),
        ("/contact/id", "7"),
        ("/lines/1/sku", "s"),
        ("/odd", None),
        ("/missing/id", None),
        (lambda event: event.company_id.upper(), "C-1"),
    ],
)
def test_any_value_of_the_event_can_be_looked_up(of, key):
    found = company_event(contact={"id": 7}, lines=[{}, {"sku": "s"}], odd=[1.5, True])
    assert reference(NOWHERE, of=of).key_of(found) == key


def test_a_function_that_fails_for_one_event_affects_that_one_alone(companies):
    lookup = table(companies, of=lambda event: event.data["id"])
    bad, good = lookup.enrich_batch([company_event(), company_event(id="7")])
    assert isinstance(bad, KeyError)
    assert good["name"] == "Puig"


@pytest.mark.parametrize(
    ("kind", "stored", "asked", "missing"),
    [
        ("integer", "7", [7, "7"], ["07", "x", "7.0", 2**31, -(2**31) - 1, "9" * 5_000]),
        ("bigint", str(2**63 - 1), [2**63 - 1], [2**63]),
        ("uuid", "'0d9f2a4e-7d4f-4a8e-9f4b-3c1d2e5f6a7b'", ["0D9F2A4E-7D4F-4A8E-9F4B-3C1D2E5F6A7B"], ["x"]),
        ("varchar(9)", "'7'", ["7", 7], ["12345678901"]),
    ],
)
def test_keys_are_converted_to_the_type_of_the_column(db, kind, stored, asked, missing):
    execute(
        db, f"CREATE TABLE companies (id {kind} PRIMARY KEY, name text)", f"INSERT INTO companies VALUES ({stored})"
    )
    events = [company_event(key=key) for key in (*asked, *missing)]
    found = table(db, of="/key").enrich_batch(events)
    assert [result["found"] for result in found] == [True] * len(asked) + [False] * len(missing)


def test_a_table_of_another_schema_and_a_view_are_found(companies):
    execute(
        companies,
        'CREATE SCHEMA "Shared"',
        'CREATE VIEW "Shared"."The Companies" AS SELECT id AS "The Id", name FROM companies',
    )
    lookup = hp.Lookup.table(companies, "Shared.The Companies", key="The Id", of="company_id")
    assert names(lookup.enrich_batch([company_event()])) == ["Ibáñez"]


@pytest.mark.parametrize(
    ("statement", "settings", "words"),
    [
        ("SELECT 1", {}, "there is no table companies"),
        ("CREATE TABLE companies (id text, n int)", {}, "no column 'name'; it has: id, n"),
        ("CREATE TABLE companies (name text)", {}, "no column 'id'"),
        ("CREATE TABLE companies (id date, name text)", {}, "has the type DATE"),
        ("CREATE TABLE companies AS SELECT 'c-1' AS id, 'a' AS name UNION ALL SELECT 'c-1', 'b'", {}, "several rows"),
        ("CREATE TABLE companies AS SELECT 'c-1' AS id, 'a'::bytea AS name", {}, "'name' of .* holds bytes"),
        ("CREATE TABLE companies AS SELECT 'c-1' AS id, 'NaN'::numeric AS name", {}, "'name' of .* the number NaN"),
        ("CREATE TABLE companies AS SELECT 'c-1' AS id, 1 AS found", {"columns": None}, "has a column 'found'"),
    ],
)
def test_a_table_that_cannot_be_used_is_a_configuration_error(db, statement, settings, words):
    execute(db, statement)
    with pytest.raises(hp.ConfigurationError, match=words):
        table(db, **settings).enrich_batch([company_event()])


def test_a_database_that_is_down_is_an_outage():
    with pytest.raises(hp.TransientError, match="did not answer within 0.2 s"):
        table(NO_DATABASE).enrich_batch([company_event()])


def test_a_row_of_an_object_is_added_whatever_its_format(lake):
    array = b'[{"id":"c-1","name":"Ibanez"},{"id":7,"name":"Puig"}]'
    for key, body, settings in (
        ("r/companies.csv", CSV, {}),
        ("r/companies.csv.gz", gzip.compress(CSV, mtime=0), {}),
        ("r/companies.json", array, {}),
        ("r/names.json", b'{"c-1":{"name":"Ibanez"},"7":{"name":"Puig"}}', {"key": None}),
        ("r/companies.jsonl", b'{"id":"c-1","name":"Ibanez"}\n{"id":7,"name":"Puig"}\n', {}),
        ("r/companies", CSV, {"format": "csv"}),
    ):
        put_object(lake, key, body)
        put_object(lake, key + ".bak", b"nothing to be read")
        found = reference(lake, key, **settings).enrich_batch(
            [company_event("7"), company_event("nobody"), company_event("c-1")]
        )
        assert names(found) == ["Puig", None, "Ibanez"], key


def test_an_object_is_read_again_only_when_it_was_replaced(lake):
    put_object(lake, "reference/companies.csv", CSV)
    with reference(lake, ttl=1e-6) as opened:
        for _ in range(3):
            assert names(opened.enrich_batch([company_event()])) == ["Ibanez"]
        assert opened.take_counts() == {"found": 3, "loads": 1}
        put_object(lake, "reference/companies.csv", CSV.replace(b"Ibanez", b"Other"))
        assert names(opened.enrich_batch([company_event()])) == ["Other"]
        assert opened.take_counts() == {"found": 1, "loads": 1}


def test_an_object_is_not_read_again_before_ttl(lake):
    put_object(lake, "reference/companies.csv", CSV)
    with reference(lake, ttl=600) as opened:
        opened.enrich_batch([company_event()])
        put_object(lake, "reference/companies.csv", b"id,name\n")
        assert names(opened.enrich_batch([company_event()])) == ["Ibanez"]


@pytest.mark.parametrize(
    ("body", "settings", "words"),
    [
        (None, {}, "there is no object .*/reference/companies.csv"),
        (b"id,name\nc-1,a\nc-1,b\n", {}, "cannot be used for lookups: line 3 has the key 'c-1'"),
        (gzip.compress(CSV, mtime=0)[:-9], {}, "is damaged: the gzip data end in the middle"),
        (gzip.compress(CSV * 1_000, mtime=0), {"max_bytes": 1_000}, "more than 1,000 bytes"),
    ],
)
def test_an_object_that_cannot_be_used_is_a_configuration_error(lake, body, settings, words):
    put_object(lake, "reference/companies.csv.bak", CSV)
    if body is not None:
        put_object(lake, "reference/companies.csv", body)
    with pytest.raises(hp.ConfigurationError, match=words):
        reference(lake, **settings).enrich_batch([company_event()])


def test_during_an_outage_the_copy_in_memory_is_used_until_it_is_too_old(stack, lake):
    """The test sets the clock instead of waiting."""
    clock = [1_000.0]
    put_object(lake, "reference/companies.csv", CSV)
    short_retry = attrs.evolve(lake, retry=hp.Retry(0.2, first_wait=0.01))
    rows = ObjectRows(reference(short_retry, ttl=10, max_stale=60).source, lambda: clock[0])
    there = {"c-1": {"name": "Ibanez"}}
    assert rows.fetch({"c-1"}) == there
    stack.stop_minio()
    try:
        clock[0] += 50
        assert rows.fetch({"c-1"}) == there
        clock[0] += 50
        with pytest.raises(hp.TransientError, match="did not answer within 0.2 s"):
            rows.fetch({"c-1"})
    finally:
        stack.start_minio()
    assert rows.fetch({"c-1"}) == there
    assert rows.loads == 1
    rows.close()


def test_it_can_be_pickled_and_shows_no_credentials():
    for lookup in (table(NO_DATABASE), reference(NOWHERE)):
        assert pickle.loads(pickle.dumps(lookup)) == lookup
        assert "s3cret" not in repr(lookup) + str(lookup.source)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"of": "contact.id"}, "of is 'id', 'type', 'company_id', 'user_id', a path"),
        ({"of": "/lines/*/id"}, "must not have a"),
        ({"of": 7}, "of is"),
        ({"columns": "name"}, "columns is a list"),
        ({"columns": []}, "columns is a list"),
        ({"on_missing": "ignore"}, "on_missing"),
        ({"ttl": 0}, "ttl is a number of seconds"),
        ({"miss_ttl": float("inf")}, "miss_ttl"),
        ({"cache_size": 0}, "cache_size"),
        ({"key": None}, "key is a name, got None"),
    ],
)
def test_a_wrong_argument_fails_when_it_is_written(settings, words):
    with pytest.raises(ValueError, match=words):
        table(NO_DATABASE, **settings)


def test_an_objects_wrong_arguments_fail_when_they_are_written():
    for settings, words in (
        ({"key": None}, "need a key column"),
        ({"format": "xml"}, "format is one of csv, json, jsonl"),
        ({"max_stale": 0}, "max_stale"),
        ({"max_stale": "1"}, "max_stale is a number above 0, got '1'"),
        ({"max_bytes": 0}, "max_bytes is a number above 0, got 0"),
    ):
        with pytest.raises(ValueError, match=words):
            reference(NOWHERE, **settings)
