"""URLs as libpq takes them, and what errors call the server."""

from __future__ import annotations

import pytest
from sqlalchemy.engine import make_url
from table_contents import rows_of

import holded_pipeline as hp


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://u@h/app", "h:5432/app"),
        ("postgresql://u@h1:5432,h2:5433/app?target_session_attrs=read-write", "h1:5432,h2:5433/app"),
        ("postgresql://h1,h2:5433/app", "h1:5432,h2:5433/app"),
        ("postgresql://u@/app?host=db1:5433&host=db2:5433", "db1:5433,db2:5433/app"),
        ("postgresql://u@/app?host=db1&port=6000", "db1:6000/app"),
        ("postgresql://u@/app?host=/run/postgresql", "/run/postgresql/app"),
        ("postgresql:///?service=prod", "service prod/"),
        ("postgresql://u@[::1]:5432,h2:5432/app", "[::1]:5432,h2:5432/app"),
        ("postgresql:///app", "localhost:5432/app"),
    ],
)
def test_an_error_names_the_servers_of_the_url(url, name):
    assert str(hp.Postgres(url)) == f"PostgreSQL {name}"


def test_a_password_beside_several_hosts_is_a_secret():
    db = hp.Postgres("postgresql://u:p%40ss@h1:1,h2:2/app")
    assert db.password is not None
    assert db.password.reveal() == "p@ss"
    assert "p@ss" not in f"{db.url}{db!r}{db}"
    assert "p%40ss" not in f"{db.url}{db!r}{db}"


def test_the_host_that_takes_writes_is_used(db):
    url = make_url(db.url)
    hosts = f"127.0.0.1:1,{url.host}:{url.port}"
    through = hp.Postgres(f"postgresql://{url.username}@{hosts}/{url.database}?target_session_attrs=read-write")
    assert rows_of(through, "SELECT current_database()") == [(url.database,)]


@pytest.mark.parametrize("url", ["postgresql://u@h1,h2:p/app", "mysql://h1,h2/x", "postgresql://u@h1:x/app"])
def test_a_url_that_is_none_is_an_error_that_shows_nothing_of_it(url):
    with pytest.raises(ValueError, match="the database URL must look like|a postgresql:// URL is needed") as caught:
        hp.Postgres(url)
    assert "h1" not in str(caught.value)
