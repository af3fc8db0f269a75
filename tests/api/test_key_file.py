"""Keys in a file: hashed, and read again while the server runs."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from datetime import UTC, datetime

import pytest

import holded_pipeline as hp
from holded_pipeline.api import KeyFile
from holded_pipeline.api.access.audit import Audit
from holded_pipeline.api.access.key_source import KeySource

ONE, TWO = "a-key-of-24-characters-1", "a-key-of-24-characters-2"


def entry(key, name="shop", scopes='["metrics"]', more=""):
    digest = hashlib.sha256(key.encode()).hexdigest()
    return f'[[keys]]\nname = "{name}"\nsha256 = "{digest}"\nscopes = {scopes}\n{more}\n'


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "keys.toml"
    path.write_text(entry(ONE))
    path.chmod(0o600)
    return path


@pytest.fixture
def source(file, caplog):
    """Keys of the file, looked at when the test says so."""
    caplog.set_level(logging.INFO, "holded_pipeline.audit")
    made = KeySource(KeyFile(file), Audit(lambda _: None))
    made.open()
    made.close()
    return made


def knows(source, *keys):
    source.look()
    source.look()
    return [source.keyring.find(key) is not None for key in keys]


def test_a_running_server_takes_a_new_key(api, nowhere, file):
    client = api(lake=nowhere, keys=KeyFile(file))
    assert client.get("/metrics", headers={"X-API-Key": ONE}).status_code == 200
    assert client.get("/metrics", headers={"X-API-Key": TWO}).status_code == 401
    file.write_text(entry(ONE) + entry(TWO))  # both: a client changes from one to the other
    until = time.monotonic() + 30
    while client.get("/metrics", headers={"X-API-Key": TWO}).status_code != 200:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert client.get("/metrics", headers={"X-API-Key": ONE}).status_code == 200


def test_an_atomic_replacement_with_the_old_time_is_noticed(source, file):
    other = file.with_suffix(".new")
    other.write_text(entry(TWO))
    status = file.stat()
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(file)
    assert knows(source, ONE, TWO) == [False, True]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[[keys]\n", "is no valid TOML"),
        (entry(TWO) + "name = 1\n", "is no valid TOML"),
        (entry(TWO, scopes='["all"]'), "entry 1, 'shop': there is no scope 'all'"),
        (entry(TWO) + entry(TWO, "crm"), "two API keys are the same"),
        (f'[[keys]]\nname = "shop"\nkey = "{TWO}"\n', "has the key of entry 1 in the clear"),
        (entry(TWO, more="expires_at = 2027-01-01T00:00:00"), "with a time zone"),
        (entry(TWO, more='expires = "never"'), "unknown field `expires`"),
        ('[[keys]]\nname = "shop"\nsha256 = "' + TWO + '"\n', "not 64 hexadecimal digits"),
        ("", "missing required field `keys`"),
        (None, "there is no key file"),
    ],
)
def test_a_broken_file_keeps_the_last_good_keys_and_is_reported_once(source, file, caplog, content, words):
    file.unlink() if content is None else file.write_text(content)
    assert knows(source, ONE, TWO) == [True, False]
    assert knows(source, ONE, TWO) == [True, False]
    [warning] = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert words in warning
    assert "until then the keys stay as they were" in warning
    assert TWO not in caplog.text
    file.write_text(entry(TWO))
    assert knows(source, ONE, TWO) == [False, True]


def test_half_a_file_is_not_taken(source, file):
    file.write_text(entry(TWO))
    source.look()
    file.write_text(entry(TWO) + entry(ONE, "crm"))
    source.look()
    assert source.keyring.find(ONE)[0] == "shop"
    assert knows(source, TWO) == [True]
    assert source.keyring.find(ONE)[0] == "crm"


def test_a_file_without_keys_lets_nobody_in(api, nowhere, file):
    file.write_text("keys = []\n")
    client = api(lake=nowhere, keys=KeyFile(file))
    assert client.app.state.service.authenticator.has_keys
    assert client.get("/metrics").status_code == 401


def test_json_says_the_same_as_toml(tmp_path):
    fields = {"name": "shop", "sha256": hashlib.sha256(ONE.encode()).hexdigest(), "companies": ["c1"]}
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [fields | {"expires_at": "2027-01-01T00:00:00Z"}]}))
    name, key = KeyFile(file).load().find(ONE)
    assert (name, key.scopes, key.companies, key.expires_at) == (
        "shop",
        {"collect"},
        {"c1"},
        datetime(2027, 1, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize(("mode", "words"), [(0o644, "others may read"), (0o660, "others may write"), (0o640, "")])
def test_a_file_that_is_open_to_others_is_reported(file, caplog, mode, words):
    file.chmod(mode)
    source = KeySource(KeyFile(file), Audit(lambda _: None))
    source.open()
    source.close()
    warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert [words in each for each in warnings] == ([True] if words else [])


def test_a_missing_file_stops_the_start(api, nowhere, tmp_path):
    with pytest.raises(hp.ConfigurationError, match="holded-pipeline key new NAME"):
        api(lake=nowhere, keys=KeyFile(tmp_path / "none.toml"))
