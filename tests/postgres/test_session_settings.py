"""Values arrive unaltered whatever settings of a database or user change how PostgreSQL reads text."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, INTERVAL, TSTZRANGE, Range
from table_contents import load_rows, rows_of, run_statements

SETTINGS = {
    "none": (),
    "intervalstyle sql_standard": ("intervalstyle = 'sql_standard'",),
    "intervalstyle iso_8601": ("intervalstyle = 'iso_8601'",),
    "datestyle": ("datestyle = 'SQL, DMY'", "timezone = 'Asia/Tokyo'"),
    "arrays without nulls": ("array_nulls = off",),
    "strings with backslashes": ("standard_conforming_strings = off", "backslash_quote = on"),
    "outputs": ("bytea_output = 'escape'", "extra_float_digits = -15", "xmloption = 'document'"),
}
DEFAULT_SETTINGS = (
    "SET intervalstyle = 'postgres'; SET datestyle = 'ISO'; SET bytea_output = 'hex'; SET extra_float_digits = 1"
)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
VALUES = {
    "interval": (sa.Interval(), timedelta(seconds=-1)),
    "interval of days": (sa.Interval(), timedelta(days=-3, hours=5, microseconds=7)),
    "native interval": (INTERVAL(), timedelta(days=1, seconds=-5)),
    "intervals": (ARRAY(sa.Interval()), [timedelta(seconds=-1), timedelta(days=2)]),
    "bytes": (sa.LargeBinary(), b"\x00\\\\x\\000'\"\n\t\xff"),
    "many bytes": (ARRAY(sa.LargeBinary()), [b"\x00\\", b"", b"NULL"]),
    "texts": (ARRAY(sa.Text()), ["a\\b", None, "NULL", '"', "", "{,}", "é\n"]),
    "numbers": (ARRAY(sa.Integer()), [1, None]),
    "text": (sa.Text(), "a\\b'\n\\N\t\\."),
    "moment": (sa.TIMESTAMP(timezone=True), NOON),
    "day": (sa.Date(), date(2026, 2, 3)),
    "time": (sa.Time(), time(1, 2, 3, 4)),
    "range": (TSTZRANGE(), Range(NOON, NOON + timedelta(days=1))),
    "number": (sa.Numeric(), Decimal("1234567.891")),
    "float": (sa.Double(), 0.1 + 0.2),
    "document": (sa.JSON(), {"a": "\\u0000 is text"}),
}


TABLE = sa.Table(
    'odd "t\\" %s',
    sa.MetaData(),
    sa.Column("k", sa.Integer, primary_key=True),
    *(sa.Column(f"{name}\\'", kind) for name, (kind, _) in VALUES.items()),
)
ROW = {f"{name}\\'": value for name, (_, value) in VALUES.items()}


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside a bad row"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_value_is_stored_alike_under_every_session_setting(db, setting, beside):
    with db.engine(isolation_level="AUTOCOMMIT").connect() as connection:
        for each in SETTINGS[setting]:
            connection.exec_driver_sql(f"ALTER DATABASE {db.url.rpartition('/')[2]} SET {each}")
    engine = db.engine(poolclass=sa.NullPool)
    TABLE.create(engine)
    loaded = load_rows(db, TABLE, [{"k": 1, **ROW}, *([{"k": 2**40, **ROW}] if beside else [])])
    assert (loaded.inserted, len(loaded.rejected)) == (1, int(beside))
    with engine.connect() as connection:
        connection.exec_driver_sql(DEFAULT_SETTINGS)
        assert dict(connection.execute(sa.select(TABLE)).mappings().one()) == {"k": 1, **ROW}


def test_bytes_are_formatted_alike_before_the_first_connection():
    """libpq escapes bytes by the settings of an earlier connection, so its escaping is not used."""
    program = (
        "import sqlalchemy as sa; from holded_pipeline.postgres.copy_format import RowFormat; "
        "t = sa.Table('t', sa.MetaData(), sa.Column('v', sa.LargeBinary)); "
        "print(RowFormat(t).line({'v': b'\\x00\\\\'}, ('v',)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == repr(b"\\\\x005c\n")


SORTED_IN = sa.Table("sorted_in", sa.MetaData(), sa.Column("k", sa.Integer, primary_key=True), sa.Column("m", sa.Text))


@pytest.mark.parametrize(("own", "during_a_load"), [(None, "16MB"), ("64MB", "64MB")])
def test_a_batch_is_sorted_in_memory_and_more_of_it_stays(db, own, during_a_load):
    name = db.url.rpartition("/")[2]
    run_statements(
        db,
        *([f"ALTER DATABASE {name} SET work_mem = '{own}'"] if own else []),
        "CREATE TABLE sorted_in (k int PRIMARY KEY, m text)",
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN new.m = current_setting('work_mem'); RETURN new; END $$",
        "CREATE TRIGGER note BEFORE INSERT ON sorted_in FOR EACH ROW EXECUTE FUNCTION note()",
    )
    load_rows(db, SORTED_IN, [{"k": 1, "m": None}])
    assert rows_of(db, "SELECT m FROM sorted_in") == [(during_a_load,)]


OF_TCP = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout")


@pytest.mark.parametrize(
    ("own", "during_a_load"),
    [
        ({}, ["30", "10", "3", "60000"]),
        ({"tcp_keepalives_idle": 7}, ["7", "10", "3", "60000"]),
        ({"tcp_user_timeout": 9_000}, ["30", "10", "3", "9000"]),
        ({"tcp_user_timeout": 90_000}, ["30", "10", "3", "60000"]),
    ],
)
def test_a_host_that_is_gone_keeps_its_locks_for_a_minute_only(db, own, during_a_load):
    name = db.url.rpartition("/")[2]
    settings = ", ".join(f"current_setting('{each}')" for each in OF_TCP)
    run_statements(
        db,
        *(f"ALTER DATABASE {name} SET {setting} = {value}" for setting, value in own.items()),
        "CREATE TABLE sorted_in (k int PRIMARY KEY, m text)",
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN new.m = concat_ws(' ', {settings}); RETURN new; END $$",
        "CREATE TRIGGER note BEFORE INSERT ON sorted_in FOR EACH ROW EXECUTE FUNCTION note()",
    )
    load_rows(db, SORTED_IN, [{"k": 1, "m": None}])
    assert rows_of(db, "SELECT m FROM sorted_in") == [(" ".join(during_a_load),)]
