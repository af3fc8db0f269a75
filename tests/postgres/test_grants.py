"""What a user of the database needs is what docs/postgres.md grants, and no more; what is missing is named."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

import holded_pipeline as hp
from holded_pipeline.postgres.copy_format import RowFormat
from holded_pipeline.postgres.event_row import event_row
from holded_pipeline.postgres.table_loader import TableLoader
from holded_pipeline.postgres.tables import business_events

PAGE = (Path(__file__).parents[2] / "docs" / "postgres.md").read_text(encoding="utf-8")
GRANTS = re.findall(r"^GRANT (.+) TO loader;", PAGE, re.MULTILINE)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def execute(db, *texts):
    with db.engine(poolclass=sa.NullPool).begin() as connection:
        for text in texts:
            connection.exec_driver_sql(text)


@pytest.fixture
def bare(db):
    """The business tables, a user to whom nothing is granted, and how to grant as the page does."""
    hp.migrate(db)
    name, database = "loader_" + db.url.rpartition("_")[2], db.url.rpartition("/")[2]
    execute(
        db,
        f"CREATE ROLE {name} LOGIN",
        f"REVOKE ALL ON DATABASE {database} FROM public",
        "REVOKE ALL ON SCHEMA public FROM public",
    )

    def grant(*grants):
        execute(db, *(f"GRANT {each} TO {name}".replace("holded_business", database) for each in grants))

    return hp.Postgres(db.url.replace("holded@", f"{name}@"), retry=hp.Retry(2)), grant


def use(db):
    """All that `WritePostgres` does, a bad row and an update included."""
    hp.migrate(db)
    good, bad = (event_row(hp.Event(key, "t", "c", NOON, {"n": 1})) for key in ("good", "bad"))
    bad["event_type"] = None
    form = RowFormat(business_events)
    columns = form.columns(good)
    for on_conflict in ("ignore", "update"):
        loader = TableLoader(db, business_events, on_conflict=on_conflict, keep="first")
        try:
            loaded = loader.load(columns, [form.line(row, columns) for row in (good, bad)])
        finally:
            loader.close()
        assert [fault.reason for _, fault in loaded.refused] == ["not_null_violation"]


def test_the_grants_that_the_page_lists_are_enough(bare, db):
    user, grant = bare
    grant(*GRANTS)
    use(user)
    assert hp.verify_analytics(db) == []


SINGLE = [
    (index, right)
    for index, each in enumerate(GRANTS)
    for right in each.split(" ON ")[0].split(", ")
]  # fmt: skip


@pytest.mark.parametrize(("index", "right"), SINGLE, ids=[f"{right} {index}" for index, right in SINGLE])
def test_none_of_them_can_be_left_out_and_the_one_that_is_missing_is_named(bare, index, right):
    user, grant = bare
    rights, _, target = GRANTS[index].partition(" ON ")
    others = ", ".join(each for each in rights.split(", ") if each != right)
    grant(*GRANTS[:index], *GRANTS[index + 1 :], *([f"{others} ON {target}"] if others else []))
    *_, name = target.replace("holded_business", user.url.rpartition("/")[2]).split()
    wanted = {
        "CONNECT": "permission denied for database",
        "USAGE": "grant the user USAGE on the schema",  # what is in it is not even seen
    }.get(right, f"grant the user .*{right}.* on .*{name}")
    with pytest.raises(hp.ConfigurationError, match=wanted):
        use(user)


def test_who_makes_the_tables_needs_to_create(bare, db):
    user, grant = bare
    execute(db, "DROP TABLE business_events, holded_pipeline_version CASCADE")
    grant(*(each for each in GRANTS if "SCHEMA" in each or "DATABASE" in each))
    with pytest.raises(hp.ConfigurationError, match="grant the user .*CREATE.* on schema public"):
        hp.migrate(user)


def test_a_schema_or_sequence_of_ones_own_is_named(bare, db):
    user, grant = bare
    execute(
        db,
        "CREATE SCHEMA app",
        "CREATE SEQUENCE app.numbers",
        "CREATE TABLE app.t (k int PRIMARY KEY, m int DEFAULT nextval('app.numbers'))",
    )
    grant(*GRANTS, "SELECT, INSERT ON app.t")
    table = sa.Table("t", sa.MetaData(), sa.Column("k", sa.Integer, primary_key=True), schema="app")

    def load():
        form = RowFormat(table)
        loader = TableLoader(user, table, on_conflict="ignore", keep="first")
        try:
            return loader.load(("k",), [form.line({"k": 1}, ("k",))])
        finally:
            loader.close()

    with pytest.raises(hp.ConfigurationError, match="grant the user USAGE.* on schema app"):
        load()
    grant("USAGE ON SCHEMA app")
    with pytest.raises(hp.ConfigurationError, match="grant the user USAGE on sequence numbers"):
        load()
    grant("USAGE ON SEQUENCE app.numbers")
    assert load().inserted == 1
