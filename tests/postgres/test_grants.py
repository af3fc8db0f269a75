"""A user of the database needs what docs/postgres.md grants, and no more; the error names a missing grant."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from table_contents import load_rows, run_statements

import holded_pipeline as hp
from holded_pipeline.postgres.event_row import event_row
from holded_pipeline.postgres.tables import business_events

PAGE = (Path(__file__).parents[2] / "docs" / "postgres.md").read_text(encoding="utf-8")
GRANTS = re.findall(r"^GRANT (.+) TO loader;", PAGE, re.MULTILINE)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def bare(db):
    """The business tables, a user without any grant, and a function that grants as the page does."""
    hp.migrate(db)
    name, database = "loader_" + db.url.rpartition("_")[2], db.url.rpartition("/")[2]
    run_statements(
        db,
        f"CREATE ROLE {name} LOGIN",
        f"REVOKE ALL ON DATABASE {database} FROM public",
        "REVOKE ALL ON SCHEMA public FROM public",
    )

    def grant(*grants):
        run_statements(db, *(f"GRANT {each} TO {name}".replace("holded_business", database) for each in grants))

    return hp.Postgres(db.url.replace("holded@", f"{name}@"), retry=hp.Retry(2)), grant


def write_as(db):
    """Does all that `WritePostgres` does, a bad row and an update included."""
    hp.migrate(db)
    good, bad = (event_row(hp.Event(key, "t", "c", NOON, {"n": 1})) for key in ("good", "bad"))
    bad["event_type"] = None
    for on_conflict in ("ignore", "update"):
        loaded = load_rows(db, business_events, (good, bad), on_conflict=on_conflict)
        assert [rejection.reason for _, rejection in loaded.rejected] == ["not_null_violation"]


def test_the_grants_on_the_page_are_enough(bare, db):
    user, grant = bare
    grant(*GRANTS)
    write_as(user)
    assert hp.verify_analytics(db) == []


SINGLE_GRANTS = [
    (index, right)
    for index, each in enumerate(GRANTS)
    for right in each.split(" ON ")[0].split(", ")
]  # fmt: skip


@pytest.mark.parametrize(("index", "right"), SINGLE_GRANTS, ids=[f"{right} {index}" for index, right in SINGLE_GRANTS])
def test_each_grant_is_needed_and_the_error_names_the_missing_one(bare, index, right):
    user, grant = bare
    rights, _, target = GRANTS[index].partition(" ON ")
    others = ", ".join(each for each in rights.split(", ") if each != right)
    grant(*GRANTS[:index], *GRANTS[index + 1 :], *([f"{others} ON {target}"] if others else []))
    *_, name = target.replace("holded_business", user.url.rpartition("/")[2]).split()
    wanted = {
        "CONNECT": "permission denied for database",
        "USAGE": "grant the user USAGE on the schema",  # without it the tables in it are not found
    }.get(right, f"grant the user .*{right}.* on .*{name}")
    with pytest.raises(hp.ConfigurationError, match=wanted):
        write_as(user)


def test_migrating_needs_the_grant_to_create_tables(bare, db):
    user, grant = bare
    run_statements(db, "DROP TABLE business_events, holded_pipeline_version CASCADE")
    grant(*(each for each in GRANTS if "SCHEMA" in each or "DATABASE" in each))
    with pytest.raises(hp.ConfigurationError, match="grant the user .*CREATE.* on schema public"):
        hp.migrate(user)


def test_the_error_names_a_schema_or_sequence_of_the_users_own(bare, db):
    user, grant = bare
    run_statements(
        db,
        "CREATE SCHEMA app",
        "CREATE SEQUENCE app.numbers",
        "CREATE TABLE app.t (k int PRIMARY KEY, m int DEFAULT nextval('app.numbers'))",
    )
    grant(*GRANTS, "SELECT, INSERT ON app.t")
    table = sa.Table("t", sa.MetaData(), sa.Column("k", sa.Integer, primary_key=True), schema="app")

    with pytest.raises(hp.ConfigurationError, match="grant the user USAGE.* on schema app"):
        load_rows(user, table, [{"k": 1}])
    grant("USAGE ON SCHEMA app")
    with pytest.raises(hp.ConfigurationError, match="grant the user USAGE on sequence numbers"):
        load_rows(user, table, [{"k": 1}])
    grant("USAGE ON SEQUENCE app.numbers")
    assert load_rows(user, table, [{"k": 1}]).inserted == 1
