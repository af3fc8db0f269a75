"""A secret shows itself to the one call that needs it, and to nothing else."""

from __future__ import annotations

import logging
import pickle

import attrs
import pytest

import holded_pipeline as hp

WORD = "hunter2hunter2"
HOLDERS = [
    hp.Secret(WORD),
    hp.MinIO("http://localhost:9000", bucket="b", access_key="a", secret_key=WORD),
    hp.Postgres("postgresql://u@localhost/d", password=WORD),
    hp.Postgres(f"postgresql://u:{WORD}@localhost/d"),
    hp.SchemaRegistry("http://localhost:8081", username="u", password=WORD),
    hp.SchemaRegistry("http://localhost:8081", token=WORD),
    hp.SchemaRegistry(f"http://u:{WORD}@localhost:8081"),
]


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
def test_it_is_in_no_text_of_what_holds_it(holder, caplog):
    logging.getLogger("holded_pipeline").warning("%s %r", holder, holder)
    as_values = attrs.asdict(holder) if attrs.has(type(holder)) else {}
    for text in (repr(holder), str(holder), f"{holder}", repr([holder]), repr(as_values), caplog.text):
        assert WORD not in text


def test_it_is_revealed_where_it_is_asked_for_also_after_a_journey():
    secret = pickle.loads(pickle.dumps(hp.Secret(WORD)))
    assert secret.reveal() == WORD
    assert (secret, hash(secret)) == (hp.Secret(WORD), hash(hp.Secret(WORD)))
    assert secret != hp.Secret("another")
    assert secret != WORD


def test_a_variable_travels_as_its_name_and_is_read_where_it_is_needed(monkeypatch):
    monkeypatch.setenv("HOLDED_TEST_WORD", WORD)
    packed = pickle.dumps(hp.Secret.env("HOLDED_TEST_WORD"))
    assert WORD.encode() not in packed
    monkeypatch.setenv("HOLDED_TEST_WORD", "changed")
    assert pickle.loads(packed).reveal() == "changed"
    assert repr(pickle.loads(packed)) == "Secret.env('HOLDED_TEST_WORD')"
    monkeypatch.delenv("HOLDED_TEST_WORD")
    with pytest.raises(hp.ConfigurationError, match="HOLDED_TEST_WORD is not set"):
        pickle.loads(packed).reveal()


@pytest.mark.parametrize("arguments", [(), ("value", "VARIABLE")])
def test_it_is_a_value_or_a_variable(arguments):
    with pytest.raises(ValueError, match=r"Secret\.env"):
        hp.Secret(*arguments)
