"""The file of settings: what it may have, what it must not have, and what the environment replaces."""

from __future__ import annotations

from pathlib import Path

import pytest

import holded_pipeline as hp
from holded_pipeline.cli.durations import parse_duration
from holded_pipeline.cli.settings_file import SECTIONS, keys_of_section, read_settings
from holded_pipeline.cli.template import TEMPLATE

SERVERS = """
[store]
endpoint = "http://localhost:9000"
bucket = "holded"
access_key = "key"
[database]
url = "postgresql://holded@localhost/holded"
"""


@pytest.fixture
def read(tmp_path):
    def read_text(text: str, **environment: str):
        file = tmp_path / "holded-pipeline.toml"
        file.write_text(text, encoding="utf-8")
        return read_settings(file, environment)

    return read_text


def test_the_template_is_a_file_of_settings_and_has_every_key(read):
    settings = read(TEMPLATE)
    assert settings.store.bucket == "holded"
    assert settings.flow.enrichers == ("processing", "business_context", "quality")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[stoer]\n", r"a section is not known, 'stoer'; did you mean 'store'\?"),
        (
            '[flow]\nenrichmers = ["quality"]\n',
            r"\[flow\] is not known, 'enrichmers'; did you mean 'enrichers'",
        ),
        ('[api]\nport = "high"\n', r"\[api\] port: expected int, got str"),
        ('[runs]\nevery = "often"\n', "'often' is no duration; write 60s, 5m"),
        ('[api.spool]\nfolder = "s"\nmax_bytes = 0\n', r"\[api\] spool\.max_bytes: expected int >= 1"),
        ('[schemas]\ndirectory = "a"\nregistry = "http://b"\n', "name a directory or a registry, not both"),
        ('[schemas]\ntoken = "hidden"\n', "put it into an environment variable, .* token_env"),
        ('[api]\nkeys = ["hidden"]\n', "HOLDED_API_KEY"),
        ('[schemas]\nregistry = "http://me:hidden@host"\n', "has a password in it"),
        ("[flow\n", "cannot be read"),
        (f"[flow]\nrecords = {'[' * 5_000}", "cannot be read"),
        ("[runs]\nevery = '99999999d'", "at most 36500d"),
        ('[schemas]\ntoken_env = "hidden/+="', "is no name of an environment variable"),
    ],
    ids=[
        "section",
        "key",
        "type",
        "duration",
        "a spool without room",
        "two sources",
        "token",
        "api keys",
        "registry password",
        "no toml",
        "deep toml",
        "long duration",
        "the secret in place of its variable",
    ],
)
def test_what_is_wrong_is_said_and_a_secret_is_not_repeated(read, text, words):
    with pytest.raises(hp.ConfigurationError, match=words) as caught:
        read(SERVERS + text)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('access_key = "key"', 'access_key = "key"\nsecret_key = "hidden"'),
        ("postgresql://holded@", "postgresql://holded:hidden@"),
        ("localhost/holded", "localhost/holded?password=hidden"),
        ("localhost/holded", "localhost/holded?pass%77ord=hidden"),
    ],
    ids=["secret key", "password in the url", "password as a parameter", "password in other letters"],
)
def test_an_inline_secret_of_a_server_is_refused(read, old, new):
    with pytest.raises(hp.ConfigurationError, match="secrets are not in this file") as caught:
        read(SERVERS.replace(old, new))
    assert "hidden" not in str(caught.value)


def test_a_missing_section_and_a_missing_file_are_named(read, tmp_path):
    with pytest.raises(hp.ConfigurationError, match=r"the section \[database\] is missing"):
        read(SERVERS.partition("[database]")[0])
    with pytest.raises(hp.ConfigurationError, match="write one with `holded-pipeline init`"):
        read_settings(tmp_path / "none.toml", {})


def test_the_environment_replaces_keys(read):
    settings = read(
        SERVERS,
        HOLDED_STORE_BUCKET="other",
        HOLDED_API_PORT="81",
        HOLDED_API_KEY="a-key-of-a-client",
        HOLDED_FLOW_ENRICHERS='["quality"]',
        HOLDED_FLOW_MAX_REJECTED="0.05",
    )
    assert (settings.store.bucket, settings.api.port, settings.flow.enrichers) == ("other", 81, ("quality",))
    assert settings.flow.max_rejected == 0.05


def test_a_secret_in_a_replaced_url_is_refused_too(read):
    with pytest.raises(hp.ConfigurationError, match="HOLDED_DATABASE_URL"):
        read(SERVERS, HOLDED_DATABASE_URL="postgresql://me:hidden@host/db")


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("HOLDED_STORE_BUKCET", "other", "did you mean HOLDED_STORE_BUCKET?"),
        ("HOLDED_STORE_SECRET_KEY", "hidden", "is a secret"),
        ("HOLDED_API_PORT", "tcp://10.0.0.1:80", r"variable HOLDED_API_PORT: \[api\] port: expected int"),
        ("HOLDED_STORE_SECRET_KEY_ENV", "hidden/+", "is no name of an environment variable"),
    ],
    ids=["misspelled", "secret", "type", "the secret in place of its variable"],
)
def test_a_wrong_variable_is_named(read, variable, text, words):
    with pytest.raises(hp.ConfigurationError, match=words) as caught:
        read(SERVERS, **{variable: text})
    assert variable in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_variables_of_something_else_are_left_alone(read):
    """Kubernetes sets such ones for a Service that is named holded-store."""
    assert read(SERVERS, HOLDED_STORE_SERVICE_HOST="10.0.0.1", HOLDED_STORE_PORT="tcp://10.0.0.1:9000")


def test_a_mark_at_the_begin_and_the_lines_of_windows_are_read(tmp_path):
    file = tmp_path / "windows.toml"
    file.write_bytes(b"\xef\xbb\xbf" + SERVERS.replace("\n", "\r\n").encode())
    assert read_settings(file, {}).store.bucket == "holded"


def test_paths_are_relative_to_the_file(read, tmp_path):
    assert read(SERVERS).folder == tmp_path.resolve()


def test_the_template_names_every_section_and_most_keys():
    for section in SECTIONS:
        assert f"[{section}]" in TEMPLATE
        assert any(key in TEMPLATE for key in keys_of_section(section))


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("5m", 300), ("1.5h", 5400), ("250ms", 0.25), (7, 7), ("2d", 172_800)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "0s", "-1s", "5 weeks", 0, float("inf"), float("nan")], ids=repr)
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_a_relative_file_is_read_from_here(tmp_path, monkeypatch):
    (tmp_path / "my.toml").write_text(SERVERS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert read_settings(Path("my.toml"), {}).folder == tmp_path.resolve()
