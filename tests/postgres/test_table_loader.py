"""TableLoader: a bounded number of transactions, and commits whose answer was lost."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from table_contents import load_rows, rows_of, run_statements

import holded_pipeline as hp
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.load_transaction import LoadTransaction
from holded_pipeline.postgres.table_loader import TableLoader

table = sa.Table("t", sa.MetaData(), sa.Column("k", sa.Integer, primary_key=True), sa.Column("n", sa.Integer))


@pytest.fixture
def loader(db):
    table.metadata.create_all(db.engine())
    loader = TableLoader(db, table, on_conflict="ignore", keep="first")
    yield loader
    loader.close()


@pytest.fixture
def transactions(monkeypatch):
    counted = []
    original = LoadTransaction.run
    monkeypatch.setattr(
        LoadTransaction,
        "run",
        lambda self, lines, deadline: (counted.append(len(lines)), original(self, lines, deadline))[1],
    )
    return counted


def lines(rows):
    form = RowFormat(table)
    return [form.line({"k": k, "n": n}, ("k", "n")) for k, n in rows]


def table_rows(db):
    return rows_of(db, "SELECT k, n FROM t ORDER BY k")


def test_one_bad_row_in_five_thousand_costs_few_transactions(db, loader, transactions):
    rows = [(k, 2**40 if k == 3_333 else k) for k in range(5_000)]
    loaded = loader.load(("k", "n"), lines(rows))
    assert (loaded.inserted, [position for position, _ in loaded.rejected]) == (4_999, [3_333])
    assert len(transactions) <= 2 * 13 + 1
    assert len(table_rows(db)) == 4_999


def test_bad_rows_alone_cost_a_bounded_number_of_transactions(db, loader, transactions):
    loaded = loader.load(("k", "n"), lines((k, 2**40) for k in range(500)))
    assert [position for position, _ in loaded.rejected] == list(range(500))
    assert len(transactions) <= 2 * 500
    assert table_rows(db) == []


def test_a_key_twice_in_a_batch_counts_once(db, loader):
    loaded = loader.load(("k", "n"), lines([(1, 10), (1, 11), (2, 20)]))
    assert (loaded.inserted, loaded.duplicates) == (2, 1)
    assert table_rows(db) == [(1, 10), (2, 20)]


TEXTS = sa.Table("texts", sa.MetaData(), sa.Column("k", sa.Integer, primary_key=True), sa.Column("v", sa.Text))


@pytest.mark.parametrize("encoding", ["UTF8", "LATIN1"])
def test_text_is_stored_unaltered_in_any_encoding_of_the_database(db, encoding):
    """`UTF8` with a client encoding of LATIN1; and `LATIN1`, which does not have the characters of the last text."""
    name = f"{db.url.rpartition('/')[2]}_{encoding.lower()}"
    with db.engine(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(
            f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        )
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET client_encoding = 'LATIN1'")
    there = hp.Postgres(f"{db.url.rpartition('/')[0]}/{name}")
    TEXTS.metadata.create_all(there.engine(poolclass=sa.NullPool))
    values = ["é", "a", "日本"]
    loaded = load_rows(there, TEXTS, [{"k": k, "v": v} for k, v in enumerate(values)])
    fit = values if encoding == "UTF8" else values[:2]
    assert rows_of(there, "SELECT v, length(v) FROM texts ORDER BY k") == [(each, len(each)) for each in fit]
    expected = [] if encoding == "UTF8" else [(2, "untranslatable_character")]
    assert [(position, rejection.reason) for position, rejection in loaded.rejected] == expected


@pytest.mark.parametrize("committed", [True, False], ids=["committed", "not committed"])
def test_a_commit_whose_answer_is_lost_is_looked_up(db, loader, monkeypatch, committed):
    original = sa.Connection.commit
    lost = []

    def commit(connection):
        if lost:
            return original(connection)
        lost.append(True)
        if committed:
            original(connection)
        else:
            connection.rollback()
        raise ConnectionResetError("the answer never came")

    monkeypatch.setattr(sa.Connection, "commit", commit)
    loaded = loader.load(("k", "n"), lines([(1, 10), (2, 20)]))
    assert lost
    assert (loaded.inserted, loaded.duplicates) == (2, 0)
    assert table_rows(db) == [(1, 10), (2, 20)]


def test_a_deferred_constraint_fails_before_the_commit(db):
    run_statements(
        db,
        "CREATE TABLE p (k int PRIMARY KEY)",
        "CREATE TABLE t (k int PRIMARY KEY, n int REFERENCES p (k) DEFERRABLE INITIALLY DEFERRED)",
        "INSERT INTO p VALUES (1)",
    )
    loaded = load_rows(db, table, [{"k": k, "n": n} for k, n in [(1, 1), (2, 7), (3, 1)]])
    ((position, rejection),) = loaded.rejected
    assert (position, rejection.reason) == (1, "foreign_key_violation")
    assert table_rows(db) == [(1, 1), (3, 1)]


def test_a_trigger_of_the_users_may_reject_a_row(db, loader):
    run_statements(
        db,
        "CREATE FUNCTION no_sevens() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF new.n = 7 THEN RAISE EXCEPTION 'sevens are not wanted'; END IF; RETURN new; END $$",
        "CREATE TRIGGER t BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION no_sevens()",
    )
    loaded = loader.load(("k", "n"), lines([(1, 6), (2, 7), (3, 8)]))
    ((position, rejection),) = loaded.rejected
    assert (position, rejection.reason) == (1, "raise_exception")
    assert "sevens are not wanted" in rejection.message


def test_an_outage_past_the_deadline_fails_and_rejects_nothing(db):
    gone = hp.Postgres("postgresql://holded@127.0.0.1:1/x", retry=hp.Retry(0.3, first_wait=0.05))
    with pytest.raises(hp.TransientError, match=r"PostgreSQL 127\.0\.0\.1:1/x did not answer within 0\.3 s"):
        TableLoader(gone, table, on_conflict="ignore", keep="first").load(("k", "n"), lines([(1, 1)]))
