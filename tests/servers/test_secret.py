"""A secret is revealed by one method, and is in no text of the objects that hold it."""

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
    hp.Postgres(f"postgresql://u@localhost/d?password={WORD}&application_name=a"),
    hp.SchemaRegistry("http://localhost:8081", username="u", password=WORD),
    hp.SchemaRegistry("http://localhost:8081", token=WORD),
    hp.SchemaRegistry(f"http://u:{WORD}@localhost:8081"),
]


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
def test_no_text_of_its_holder_contains_it(holder, caplog):
    logging.getLogger("holded_pipeline").warning("%s %r", holder, holder)
    as_values = attrs.asdict(holder) if attrs.has(type(holder)) else {}
    for text in (repr(holder), str(holder), f"{holder}", repr([holder]), repr(as_values), caplog.text):
        assert WORD not in text


def test_a_password_among_the_parameters_of_a_url_is_the_password():
    db = hp.Postgres(f"postgresql://u@localhost/d?password={WORD}&application_name=a&passfile=f")
    assert db == hp.Postgres("postgresql://u@localhost/d?application_name=a&passfile=f", password=WORD)
    assert db.engine().url.password == WORD
    assert attrs.evolve(db, connect_timeout=1).password == hp.Secret(WORD)


def minio(url):
    return hp.MinIO(url, bucket="b", access_key="a", secret_key="s")


INVALID = [
    (minio, f"minio:{WORD}@localhost:9000", "MinIO.endpoint must be a URL such as"),
    (minio, f"s3://minio:{WORD}@localhost:9000", "MinIO.endpoint must be a URL such as"),
    (minio, f"http://minio:{WORD}@localhost:9000", "access_key and secret_key"),
    (minio, f"http://minio:a/{WORD}@localhost:9000", "MinIO.endpoint must be a URL such as"),
    (minio, f"http://minio:1/{WORD}@localhost:9000", "percent-encoded"),
    (minio, f"http://minio:{WORD}\u2100@localhost:9000", "must be a URL"),
    (minio, f"http://localhost:9000/?secret={WORD}", "nothing after"),
    (hp.SchemaRegistry, f"u:{WORD}@localhost:8081", "must be a URL"),
    (hp.SchemaRegistry, f"http://u:1/{WORD}@localhost:8081", "percent-encoded"),
    (hp.SchemaRegistry, f"http://u:{WORD}\u2100@localhost:8081", "must be a URL"),
    (hp.Postgres, f"postgresql://u:{WORD}", "must look like postgresql://"),
    (hp.Postgres, f"host=h password={WORD}", "must look like postgresql://"),
    (hp.Postgres, f"mysql://u:{WORD}@h/d", "a postgresql:// URL is needed"),
    (hp.Postgres, f"postgresql://u@h/d?sslpassword={WORD}", "has sslpassword, which would show"),
    (hp.Postgres, f"postgresql://u@h/d?oauth_client_secret={WORD}", "has oauth_client_secret, which would show"),
    (hp.Postgres, f"postgresql://u:{WORD}@h/d?password={WORD}", "give it once"),
]


@pytest.mark.parametrize(("make", "url", "words"), INVALID, ids=range(len(INVALID)))
def test_the_error_for_an_invalid_url_does_not_contain_it(make, url, words):
    with pytest.raises(ValueError, match=words) as caught:
        make(url)
    error = caught.value
    while error is not None:
        assert WORD not in str(error)
        error = error.__cause__ or error.__context__


def test_a_pickled_secret_is_equal_and_reveals_its_value():
    secret = pickle.loads(pickle.dumps(hp.Secret(WORD)))
    assert secret.reveal() == WORD
    assert (secret, hash(secret)) == (hp.Secret(WORD), hash(hp.Secret(WORD)))
    assert secret != hp.Secret("another")
    assert secret != WORD


def test_a_variable_is_pickled_as_its_name_and_read_when_it_is_revealed(monkeypatch):
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
