"""The enricher `mask`: tokens that can be joined and not read, and a key that is never shown."""

from __future__ import annotations

import copy
import hashlib
import hmac
import pickle

import pytest
from event_factory import make_event
from hypothesis import given
from hypothesis import strategies as st

import holded_pipeline as hp

KEY = "a key of more than sixteen characters"
DATA = {"email": "Núria@Example.com ", "lines": [{"email": "b@example.com"}, {"n": 1}], "phone": None}


def email_event(data):
    return make_event(data=data, raw=b"r")


def mask(*fields, key=KEY, **settings):
    return hp.Mask(fields or ["/email", "/lines/*/email", "/phone", "/missing"], key=hp.Secret(key), **settings)


def test_each_field_has_its_token_under_its_pointer():
    tokens = mask()(email_event(DATA))
    assert set(tokens) == {"/email", "/lines/0/email", "/phone"}
    assert tokens["/phone"] is None
    expected = hmac.new(KEY.encode(), rb'"b@example.com"', hashlib.sha256).hexdigest()
    assert tokens["/lines/0/email"] == expected


def test_another_key_gives_other_tokens():
    assert mask()(email_event(DATA))["/email"] != mask(key=KEY + "!")(email_event(DATA))["/email"]


FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.text() | st.integers() | FLOATS, max_size=8))
def test_two_values_have_the_same_token_only_if_they_are_equal(values):
    tokens = list(mask("/v/*")(email_event({"v": values})).values())
    pairs = [(one, other) for one in range(len(values)) for other in range(len(values))]
    for one, other in pairs:
        assert (tokens[one] == tokens[other]) is (values[one] == values[other])


def test_a_text_and_a_number_have_different_tokens():
    tokens = mask("/a", "/b")(email_event({"a": "1", "b": 1}))
    assert tokens["/a"] != tokens["/b"]


def test_casefold_gives_addresses_that_differ_only_in_case_the_same_token():
    folded = mask("/a", "/b", casefold=True)(email_event({"a": "Núria@Example.com ", "b": "núria@example.com"}))
    assert folded["/a"] == folded["/b"]
    plain = mask("/a", "/b")(email_event({"a": "Núria@Example.com ", "b": "núria@example.com"}))
    assert plain["/a"] != plain["/b"]


def test_hide_puts_the_same_tokens_into_a_copy_of_the_data():
    before = copy.deepcopy(DATA)
    hidden, tokens = mask().hide(email_event(DATA)), mask()(email_event(DATA))
    assert hidden.data == {
        "email": tokens["/email"],
        "lines": [{"email": tokens["/lines/0/email"]}, {"n": 1}],
        "phone": None,
    }
    assert before == DATA
    assert hidden.raw == b"r"


def test_hide_and_the_enricher_agree_where_one_field_is_inside_another():
    masking = mask("/contact", "/contact/email")
    found = email_event({"contact": {"email": "a"}})
    assert masking.hide(found).data == {"contact": masking(found)["/contact"]}


def test_the_key_is_in_no_repr_and_pickled_as_a_reference(monkeypatch):
    monkeypatch.setenv("MASK_KEY", KEY)
    masking = hp.Mask(["/email"], key=hp.Secret.env("MASK_KEY"))
    assert KEY not in repr(masking) + str(hp.Enricher("mask", masking)) + repr(mask())
    masking(email_event(DATA))
    assert KEY.encode() not in pickle.dumps(masking)
    assert pickle.loads(pickle.dumps(masking))(email_event(DATA)) == mask("/email")(email_event(DATA))


def test_a_key_that_is_not_set_is_a_configuration_error(monkeypatch):
    monkeypatch.delenv("MASK_KEY", raising=False)
    with pytest.raises(hp.ConfigurationError, match="MASK_KEY is not set"):
        hp.Mask(["/email"], key=hp.Secret.env("MASK_KEY"))(email_event(DATA))


def test_a_short_key_raises_without_being_repeated():
    with pytest.raises(hp.ConfigurationError, match="has 11 characters") as raised:
        mask(key="hunter2pass")(email_event(DATA))
    assert "hunter2pass" not in str(raised.value)


def test_a_key_that_is_a_plain_text_raises_without_being_repeated():
    with pytest.raises(TypeError, match="hp.Secret.env") as raised:
        hp.Mask(["/email"], key=KEY)
    assert KEY not in str(raised.value)


@pytest.mark.parametrize(
    ("fields", "words"), [([], "at least one field"), ("/email", "given as a list"), (["a"], "path")]
)
def test_fields_that_are_not_paths_raise(fields, words):
    with pytest.raises(ValueError, match=words):
        hp.Mask(fields, key=hp.Secret(KEY))
