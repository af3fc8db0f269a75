"""A user of the database needs what docs/how-to/postgres.md grants, and no more; the error names a missing grant."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from table_contents import load_rows, run_statements

import holded_pipeline as hp
from holded_pipeline.postgres.event_row import event_row
from holded_pipeline.postgres.tables import business_events

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "postgres.md").read_text(encoding="utf-8")
GRANTS = re.findall(r"^GRANT (.+) TO loader;", PAGE, re.MULTILINE)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def bare(db):
    """The business tables, a user without any grant, and a function that grants as the page does."""
    hp.migrate(db)
    name, database = "loader_" + db.url.rpartition("_")[2], db.url.rpartition("/")[2]
    run_statements(
        db,
        f"CREATE ROLE {name} LOGIN PASSWORD '{db.password.reveal()}'",
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


def keyed_table(name, *columns):
    return sa.Table(name, sa.MetaData(), sa.Column("k", sa.Integer, primary_key=True), *columns)


@pytest.mark.parametrize("rows", [1, 100])
@pytest.mark.parametrize(
    ("policies", "missing"), [((), "INSERT and SELECT"), (("INSERT WITH CHECK (true)",), "SELECT")]
)
def test_row_level_security_without_a_policy_is_a_setting(db, policies, missing, rows):
    run_statements(
        db,
        "CREATE TABLE secured (k int PRIMARY KEY)",
        "ALTER TABLE secured ENABLE ROW LEVEL SECURITY",
        *(f"CREATE POLICY p{number} ON secured FOR {each}" for number, each in enumerate(policies)),
        "DO $$ BEGIN CREATE ROLE app_of_policies LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        f"ALTER ROLE app_of_policies PASSWORD '{db.password.reveal()}'",
        "GRANT ALL ON secured TO app_of_policies",
    )
    limited = hp.Postgres(str(make_url(db.url).set(username="app_of_policies")))
    table = keyed_table("secured")
    with pytest.raises(hp.ConfigurationError, match=f'into "secured": .* no policy for {missing} of this user'):
        load_rows(limited, table, [{"k": number} for number in range(rows)])
    run_statements(db, "CREATE POLICY enough ON secured USING (k < 50) WITH CHECK (k < 50)")
    loaded = load_rows(limited, table, [{"k": number} for number in range(60)])
    assert (loaded.inserted, {each.reason for _, each in loaded.rejected}) == (50, {"insufficient_privilege"})


def test_a_column_that_is_always_generated_is_named_with_what_to_do(db):
    run_statements(db, "CREATE TABLE generated (k int PRIMARY KEY, n int GENERATED ALWAYS AS (k + 1) STORED)")
    table = sa.Table(
        "generated", sa.MetaData(), sa.Column("k", sa.Integer, primary_key=True), sa.Column("n", sa.Integer)
    )
    with pytest.raises(hp.ConfigurationError, match="428C9.*leave it out of the rows"):
        load_rows(db, table, [{"k": 1, "n": 2}, {"k": 2, "n": 3}])


def test_a_table_with_a_rule_says_that_it_has_one(db):
    run_statements(db, "CREATE TABLE ruled (k int PRIMARY KEY)", "CREATE RULE r AS ON INSERT TO ruled DO ALSO SELECT 1")
    table = keyed_table("ruled")
    with pytest.raises(hp.ConfigurationError, match="0A000.*needs a table without rules"):
        load_rows(db, table, [{"k": 1}, {"k": 2}])


@pytest.mark.parametrize("name", ["d" * 66, "é" * 40])
def test_a_name_that_postgresql_cuts_is_the_same_column(db, name):
    table = sa.Table(
        "long_names", sa.MetaData(), sa.Column("k", sa.Integer, primary_key=True), sa.Column(name, sa.Text)
    )
    run_statements(db, f'CREATE TABLE long_names (k int PRIMARY KEY, "{name}" text NOT NULL)')
    loaded = load_rows(db, table, [{"k": 1, name: "x"}, {"k": 2, name: None}, {"k": 3, name: "y"}])
    assert (loaded.inserted, [position for position, _ in loaded.rejected]) == (2, [1])
