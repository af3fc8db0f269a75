"""The loader's own promises: bounded bisecting, and commits whose answer was lost."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

import holded_pipeline as hp
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.load_transaction import LoadTransaction
from holded_pipeline.postgres.table_loader import TableLoader

table = sa.Table("t", sa.MetaData(), sa.Column("k", sa.Integer, primary_key=True), sa.Column("n", sa.Integer))


@pytest.fixture
def loader(db):
    table.metadata.create_all(db.engine())
    made = TableLoader(db, table, on_conflict="ignore", keep="first")
    yield made
    made.close()


@pytest.fixture
def transactions(monkeypatch):
    counted = []
    original = LoadTransaction.run
    monkeypatch.setattr(
        LoadTransaction, "run", lambda self, lines: (counted.append(len(lines)), original(self, lines))[1]
    )
    return counted


def lines(rows):
    form = RowFormat(table)
    return [form.line({"k": k, "n": n}, ("k", "n")) for k, n in rows]


def stored(db):
    with db.engine().connect() as connection:
        return [tuple(each) for each in connection.execute(sa.text("SELECT k, n FROM t ORDER BY k"))]


def test_one_bad_row_in_five_thousand_costs_about_two_log_steps(db, loader, transactions):
    rows = [(k, 2**40 if k == 3_333 else k) for k in range(5_000)]
    loaded = loader.load(("k", "n"), lines(rows))
    assert (loaded.inserted, [place for place, _ in loaded.refused]) == (4_999, [3_333])
    assert len(transactions) <= 2 * 13 + 1
    assert len(stored(db)) == 4_999


def test_nothing_but_bad_rows_stays_bounded(db, loader, transactions):
    loaded = loader.load(("k", "n"), lines((k, 2**40) for k in range(500)))
    assert [place for place, _ in loaded.refused] == list(range(500))
    assert len(transactions) <= 2 * 500
    assert stored(db) == []


def test_a_key_twice_in_a_batch_counts_once(db, loader):
    loaded = loader.load(("k", "n"), lines([(1, 10), (1, 11), (2, 20)]))
    assert (loaded.inserted, loaded.duplicates) == (2, 1)
    assert stored(db) == [(1, 10), (2, 20)]


TEXTS = sa.Table("texts", sa.MetaData(), sa.Column("k", sa.Integer, primary_key=True), sa.Column("v", sa.Text))


@pytest.mark.parametrize("encoding", ["UTF8", "LATIN1"])
def test_text_arrives_unaltered_whatever_encoding_a_database_prefers(db, encoding):
    """`UTF8` with clients that are told to speak LATIN1; and `LATIN1`, which has no such characters as the last."""
    name = f"{db.url.rpartition('/')[2]}_{encoding.lower()}"
    with db.engine(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(
            f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        )
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET client_encoding = 'LATIN1'")
    there = hp.Postgres(f"{db.url.rpartition('/')[0]}/{name}")
    engine = there.engine(poolclass=sa.NullPool)
    TEXTS.metadata.create_all(engine)
    form, values = RowFormat(TEXTS), ["é", "a", "日本"]
    loader = TableLoader(there, TEXTS, on_conflict="ignore", keep="first")
    loaded = loader.load(("k", "v"), [form.line({"k": k, "v": v}, ("k", "v")) for k, v in enumerate(values)])
    loader.close()
    fit = values if encoding == "UTF8" else values[:2]
    with engine.connect() as connection:
        assert list(connection.execute(sa.select(TEXTS.c.v).order_by(TEXTS.c.k)).scalars()) == fit
        assert [
            int(each) for each in connection.execute(sa.text("SELECT length(v) FROM texts ORDER BY k")).scalars()
        ] == [len(each) for each in fit]
    expected = [] if encoding == "UTF8" else [(2, "untranslatable_character")]
    assert [(place, fault.reason) for place, fault in loaded.refused] == expected


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
    assert stored(db) == [(1, 10), (2, 20)]


def test_a_deferred_constraint_speaks_up_in_time(db):
    engine = db.engine()
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE p (k int PRIMARY KEY)"))
        connection.execute(
            sa.text("CREATE TABLE t (k int PRIMARY KEY, n int REFERENCES p (k) DEFERRABLE INITIALLY DEFERRED)")
        )
        connection.execute(sa.text("INSERT INTO p VALUES (1)"))
    loader = TableLoader(db, table, on_conflict="ignore", keep="first")
    loaded = loader.load(("k", "n"), lines([(1, 1), (2, 7), (3, 1)]))
    loader.close()
    ((place, fault),) = loaded.refused
    assert (place, fault.reason) == (1, "foreign_key_violation")
    assert stored(db) == [(1, 1), (3, 1)]


def test_a_users_trigger_may_refuse_a_row(db, loader):
    with db.engine().begin() as connection:
        connection.execute(
            sa.text(
                "CREATE FUNCTION no_sevens() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                "IF new.n = 7 THEN RAISE EXCEPTION 'sevens are not wanted'; END IF; RETURN new; END $$"
            )
        )
        connection.execute(sa.text("CREATE TRIGGER t BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION no_sevens()"))
    loaded = loader.load(("k", "n"), lines([(1, 6), (2, 7), (3, 8)]))
    ((place, fault),) = loaded.refused
    assert (place, fault.reason) == (1, "raise_exception")
    assert "sevens are not wanted" in fault.message


def test_a_server_that_is_gone_past_the_deadline_fails_and_refuses_nothing(db):
    gone = hp.Postgres("postgresql://holded@127.0.0.1:1/x", retry=hp.Retry(0.3, first_wait=0.05))
    with pytest.raises(hp.TransientError, match=r"PostgreSQL 127\.0\.0\.1:1/x did not answer within 0\.3 s"):
        TableLoader(gone, table, on_conflict="ignore", keep="first").load(("k", "n"), lines([(1, 1)]))
