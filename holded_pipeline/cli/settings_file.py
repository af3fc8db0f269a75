"""Reads the settings from a TOML file and the environment; a wrong key has words, and a secret has no place there."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec

from holded_pipeline.cli.settings import KeySettings, Settings
from holded_pipeline.model.errors import ConfigurationError

DEFAULT_FILE: Final = "holded-pipeline.toml"
OVERRIDES: Final = "HOLDED_"
_SECRETS: Final = {
    ("store", "secret_key"): "secret_key_env",
    ("database", "password"): "password_env",
    ("schemas", "password"): "password_env",
    ("schemas", "token"): "token_env",
    ("api", "key"): None,
    ("api", "keys"): None,
}
_KEY_SETTINGS: Final = {field.name for field in msgspec.structs.fields(KeySettings)}
_NAMES_OF_VARIABLES: Final = ("secret_key_env", "password_env", "token_env")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_URLS: Final = (("database", "url"), ("schemas", "registry"), ("store", "endpoint"))
SECTIONS: Final = {
    field.name: field.type if isinstance(field.type, type) else None
    for field in msgspec.structs.fields(Settings)
    if field.name != "folder"
}
"""The sections of the file, each with the class of its keys."""


def read_settings(path: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of a file, with those of the environment instead where there are any.

    Args:
        path: the TOML file.
        environment: `HOLDED_STORE_BUCKET` replaces `bucket` of `[store]`, and so on; by default that of the process.

    Raises:
        ConfigurationError: the file is missing or wrong, or has a secret in it; the message names the key.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors begin a file with a mark
    except FileNotFoundError:
        raise ConfigurationError(
            f"there is no {path}; write one with `holded-pipeline init`, or name yours with --config"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    return parse_settings(document, os.environ if environment is None else environment, path)


def parse_settings(document: Mapping[str, Any], environment: Mapping[str, str], path: Path) -> Settings:
    """The settings of a parsed file; see `read_settings`."""
    for name, section in document.items():
        _require_known(name, SECTIONS, f"{path}: a section")
        if not isinstance(section, dict):
            raise ConfigurationError(f"{path}: {name} must be a section, [{name}]")
        for key, value in section.items():
            _refuse_secret(name, key, value, path)
            _require_known(key, keys_of_section(name), f"{path}: a key of [{name}]")
    merged = {name: {**document.get(name, {}), **_overrides(name, environment)} for name in SECTIONS}
    for missing in ("store", "database"):
        if not merged[missing]:
            raise ConfigurationError(f"{path}: the section [{missing}] is missing; `holded-pipeline init` shows it")
    try:
        found = msgspec.convert(merged, Settings, strict=False)
    except msgspec.ValidationError as error:
        where = _variable_of(str(error), environment) or path
        raise ConfigurationError(f"{where}: {_place_first(str(error))}") from error
    return msgspec.structs.replace(found, folder=path.resolve().parent)


def keys_of_section(section: str) -> tuple[str, ...]:
    """The keys that a section may have."""
    kind = SECTIONS[section]
    return () if kind is None else tuple(field.name for field in msgspec.structs.fields(kind))


def _overrides(section: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """What the environment says instead of a section; a text with [ or { is TOML."""
    found: dict[str, Any] = {}
    _refuse_misspelled(section, environment)
    for key in keys_of_section(section):
        variable = f"{OVERRIDES}{section}_{key}".upper()
        if variable in environment:
            text = environment[variable]
            try:
                found[key] = tomllib.loads(f"value = {text}")["value"] if text[:1] in ("[", "{") else text
            except tomllib.TOMLDecodeError as error:
                raise ConfigurationError(f"the environment variable {variable} is no TOML value: {error}") from error
            _refuse_secret(section, key, found[key], Path(variable))
    return found


def _refuse_misspelled(section: str, environment: Mapping[str, str]) -> None:
    """Refuses variables that look like a key of the section; others with its name may belong to something else."""
    prefix = f"{OVERRIDES}{section}_".upper()
    known = [f"{prefix}{key.upper()}" for key in keys_of_section(section)]
    for variable in environment:
        key = variable.removeprefix(prefix).lower()
        if not variable.startswith(prefix) or variable in known or section == "api":  # its keys are named as wished
            continue
        _refuse_secret(section, key, environment[variable], Path(variable))
        if near := difflib.get_close_matches(variable, known, 1, 0.9):
            raise ConfigurationError(
                f"the environment variable {variable} replaces no key of [{section}]; did you mean {near[0]}?"
            )


def _variable_of(message: str, environment: Mapping[str, str]) -> str | None:
    """The variable that replaced the key of an error's message; None if the file has it."""
    section, _, key = message.partition(" - at ")[2].strip("`").removeprefix("$.").partition(".")
    variable = f"{OVERRIDES}{section}_{key.partition('[')[0]}".upper()
    return f"the environment variable {variable}" if variable in environment else None


def _require_known(name: str, known: Any, what: str) -> None:
    if name in known:
        return
    near = difflib.get_close_matches(name, known, 1, 0.5)
    advice = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
    raise ConfigurationError(f"{what} is not known, {name!r}; {advice}")


def _refuse_secret(section: str, key: str, value: Any, path: Path) -> None:
    """Refuses a secret in the file; the message does not repeat it."""
    if (section, key) in _SECRETS and not _is_about_keys(section, key, value):
        instead = _SECRETS[section, key]
        advice = (
            f'put it into an environment variable, and the variable\'s name into the file: {instead} = "NAME"'
            if instead
            else "put it into the environment variable HOLDED_API_KEY, or HOLDED_API_KEY_<NAME> for several; "
            "[api.keys.NAME] has scopes, companies and expires_at"
        )
        raise ConfigurationError(f"{path}: [{section}] {key} is a secret, and secrets are not in this file; {advice}")
    if key in _NAMES_OF_VARIABLES and isinstance(value, str) and not _VARIABLE.fullmatch(value):
        raise ConfigurationError(
            f"{path}: [{section}] {key} is no name of an environment variable. If it is the secret itself: put it into "
            "an environment variable, and that one's name here"
        )
    if (section, key) in _URLS and isinstance(value, str) and _has_password(value):
        raise ConfigurationError(
            f"{path}: [{section}] {key} has a password in it, and secrets are not in this file; put it into an "
            f"environment variable{', PGPASSWORD for example' if section == 'database' else ''}"
        )


def _is_about_keys(section: str, key: str, value: Any) -> bool:
    """Whether it says what keys may do, and has no key in it."""
    if (section, key) != ("api", "keys") or not isinstance(value, dict):
        return False
    return all(isinstance(each, dict) and each.keys() <= _KEY_SETTINGS for each in value.values())


def _has_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.password) or "password=" in unquote(parts.query).lower()
    except ValueError:
        return "password=" in url.lower() or ("@" in url and ":" in url.partition("://")[2].partition("@")[0])


def _place_first(message: str) -> str:
    """`Expected int, got str - at $.api.port` becomes `[api] port: expected int, got str`."""
    text, _, place = message.partition(" - at ")
    section, _, key = place.strip("`").removeprefix("$.").partition(".")
    text = text.replace("`", "")
    if not section or section == "$":
        return text
    return f"[{section}]{f' {key}' if key else ''}: {text[:1].lower()}{text[1:]}"
