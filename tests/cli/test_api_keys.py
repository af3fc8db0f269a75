"""What the settings say of the API's keys, and the command that makes new ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

import holded_pipeline as hp
from holded_pipeline.api import ApiKey, KeyFile
from holded_pipeline.cli.api_keys import build_app, keys_of_settings
from holded_pipeline.cli.checks.api_checks import check_api_schemas
from holded_pipeline.cli.commands import commands
from holded_pipeline.cli.flow import Flow
from holded_pipeline.cli.settings_file import read_settings

SERVERS = (
    '[store]\nendpoint = "http://s"\nbucket = "b"\naccess_key = "a"\n[database]\nurl = "postgresql://u@localhost/d"\n'
)
SHOP = {"HOLDED_API_KEY_SHOP": "a-key-of-24-characters-1"}


@pytest.fixture
def settings_of(tmp_path):
    def read(text, environment):
        file = tmp_path / "holded-pipeline.toml"
        file.write_text(SERVERS + text)
        return read_settings(file, environment)

    return read


@pytest.fixture
def keys_of(settings_of):
    return lambda text, environment: keys_of_settings(settings_of(text, environment), environment)


@pytest.mark.parametrize("look", [build_app, check_api_schemas])
def test_only_the_envelope_holded_is_checked_before_it_is_accepted(settings_of, look):
    settings = settings_of('[flow]\nenvelope = "flat"\n[api]\ncheck_schemas = true\n', {})
    with pytest.raises(hp.ConfigurationError, match="by the envelope 'holded', and .flow. envelope is 'flat'"):
        look(Flow.of(settings) if look is build_app else settings)
    settings = settings_of('[flow]\nenvelope = "flat"\n', {})
    assert check_api_schemas(settings) == "events are accepted unchecked"


def test_a_key_of_the_environment_may_collect_unless_the_file_says_more(keys_of):
    environment = SHOP | {"HOLDED_API_KEY": "a-key-of-24-characters-2"}
    keys = keys_of('[api.keys.shop]\nscopes = ["read"]\nexpires_at = 2027-01-01T00:00:00Z\n', environment)
    assert keys["default"].scopes == {"collect"}
    assert (keys["shop"].scopes, keys["shop"].expires_at) == ({"read"}, datetime(2027, 1, 1, tzinfo=UTC))
    assert keys_of("", {}) == {}
    (key,) = keys_of("", SHOP | {"HOLDED_API_KEYS": '{shop={companies=["c1"]}}'}).values()
    assert key == ApiKey(hp.Secret.env("HOLDED_API_KEY_SHOP"), companies=["c1"])


@pytest.mark.parametrize(
    ("text", "environment", "words"),
    [
        ('[api.keys.crm]\nscopes = ["read"]\n', SHOP, r"\[api.keys.crm\] describes a key .* HOLDED_API_KEY_CRM"),
        ('[api.keys.shop]\nscopes = ["all"]\n', SHOP, r"\[api.keys\]: there is no scope 'all'"),
        ('[api.keys.shop]\nkey = "hidden"\n', SHOP, "is a secret"),
        ('[api.keys]\nshop = "hidden"\n', SHOP, "is a secret"),
        ('[api]\nkey_file = "none.toml"\n', {}, "there is no key file .*none.toml"),
        ("", {"HOLDED_API_KEY_FILE": "none.toml"}, "there is no key file .*none.toml"),
        ('[api]\nkey_file = "keys.toml"\n', SHOP, "put all of them into the file, or remove key_file"),
    ],
)
def test_settings_of_keys_that_cannot_be_meant_are_named(keys_of, text, environment, words):
    with pytest.raises(hp.ConfigurationError, match=words) as raised:
        keys_of(text, environment)
    assert "hidden" not in str(raised.value)


def test_a_new_key_is_shown_once_and_its_entry_fits_the_key_file(keys_of, tmp_path):
    arguments = ["key", "new", 'the "shop"', "--scope", "collect", "--company", "c1", "--expires", "90d"]
    file = tmp_path / "keys.toml"
    shown = []
    for _ in range(2):
        done = CliRunner().invoke(commands, arguments)
        assert done.exit_code == 0, done.output
        shown.append(done.stderr.rstrip().rpartition(" ")[2])
        assert shown[-1] not in done.stdout
        with file.open("a") as entries:
            entries.write(done.stdout)
    keys = keys_of('[api]\nkey_file = "keys.toml"\n', {})
    assert keys == KeyFile(file)
    assert shown[0] != shown[1]
    for key in shown:
        name, found = keys.load().find(key)
        assert (name, found.scopes, found.companies) == ('the "shop"', {"collect"}, {"c1"})
        assert timedelta(days=89) < found.expires_at - datetime.now(UTC) <= timedelta(days=90)


def test_a_new_key_as_json_is_one_document():
    done = CliRunner().invoke(commands, ["key", "new", "grafana", "--scope", "metrics", "--scope", "read", "--json"])
    document = json.loads(done.stdout)
    assert document["entry"] == {
        "name": "grafana",
        "sha256": document["entry"]["sha256"],
        "scopes": ["read", "metrics"],
    }
    assert ApiKey(document["key"]).digest("grafana").hex() == document["entry"]["sha256"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["shop", "--scope", "read", "--company", "c1"], "scope collect alone"),
        (["loopback"], "loopback"),
        ([" "], "name"),
    ],
)
def test_a_new_key_that_cannot_be_meant_is_refused(arguments, words):
    done = CliRunner().invoke(commands, ["key", "new", *arguments])
    assert done.exit_code == 2
    assert words in done.stderr
    assert done.stdout == ""
