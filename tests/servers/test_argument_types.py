"""What messages show of a wrong argument, which may be a URL with a password."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

import holded_pipeline as hp
from holded_pipeline.servers.argument_types import described_argument, url_without_password, wrong_argument

TEXT = st.text(string.printable, min_size=6, max_size=12).map(lambda text: f"Se{text}")


@given(password=TEXT, query=st.booleans())
def test_no_message_about_a_wrong_argument_has_a_password(password, query):
    url = f"postgresql://me@h/d?password={password}" if query else f"postgresql://me:{password}@h/d"
    makers = [
        lambda: hp.WritePostgres(url),
        lambda: hp.ReadMinIO(url, "raw/"),
        lambda: hp.ValidateSchema(url, subject="a"),
        lambda: hp.MinIO(url, bucket="b", access_key="a", secret_key="s"),
        lambda: hp.Secret.env(f"{password} "),
    ]
    for make in makers:
        with pytest.raises((TypeError, ValueError)) as caught:
            make()
        assert password not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h:9000", "http://h:9000"),
        ("postgresql://me:p@h:5432/d", "postgresql://me@h:5432/d"),
        ("postgresql://me@h/d", "postgresql://me@h/d"),
        ("postgresql://me:p@ss@h/d", None),
        ("postgresql://me:p/w@h/d", None),
        ("postgresql://h/d?password=p", None),
        ("not a URL", None),
        (None, None),
    ],
)
def test_a_url_is_shown_only_where_it_is_certain_what_its_password_is(url, shown):
    assert url_without_password(url) == shown


def test_a_url_of_another_scheme_makes_no_example():
    assert url_without_password("http://h", "postgresql") is None
    assert url_without_password("HTTP://h", "http") == "HTTP://h"


def test_a_value_is_named_by_its_type():
    assert [described_argument(each) for each in (5, hp.MinIO, None, "x", hp.Event)] == [
        "an int",
        "the class MinIO itself",
        "None",
        "a text",
        "the class Event itself",
    ]
    assert str(wrong_argument("Write", "an hp.Postgres", 5, "hp.Postgres(…)")) == (
        "Write needs an hp.Postgres, and got an int; make one: hp.Postgres(…)"
    )
