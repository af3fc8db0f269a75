"""The API's keys and its app, as the settings say."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from holded_pipeline.cli.durations import parse_duration
from holded_pipeline.cli.flow import Flow
from holded_pipeline.cli.settings import KeySettings, Settings
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.servers.secret import Secret

LogFormat = Literal["text", "json"]
KEY_VARIABLE: Final = "HOLDED_API_KEY"
_KEY_FILE_VARIABLE: Final = f"{KEY_VARIABLE}_FILE"
"""Replaces `key_file` of `[api]`, so no key may be there."""


def keys_of_environment(environment: Mapping[str, str] | None = None) -> dict[str, Secret]:
    """The keys in `HOLDED_API_KEY` and `HOLDED_API_KEY_<NAME>`, by name."""
    environment = os.environ if environment is None else environment
    found = {"default": Secret.env(KEY_VARIABLE)} if environment.get(KEY_VARIABLE) else {}
    for variable in sorted(environment):
        if variable.startswith(f"{KEY_VARIABLE}_") and variable != _KEY_FILE_VARIABLE and environment[variable]:
            found[variable.removeprefix(f"{KEY_VARIABLE}_").lower()] = Secret.env(variable)
    return found


def require_api() -> None:
    """Sees that the API can be imported.

    Raises:
        ConfigurationError: the extra `api` is not installed; the message says so.
    """
    try:
        import holded_pipeline.api  # noqa: F401, PLC0415
    except ModuleNotFoundError as error:
        raise ConfigurationError(str(error)) from error


def keys_of_settings(settings: Settings, environment: Mapping[str, str] | None = None) -> Any:
    """The keys of the API, as `create_app` takes them; see `require_api`.

    Raises:
        ConfigurationError: keys are both in a file and in the environment, the file cannot be used, or there are
            settings for a key that is not there.
    """
    from holded_pipeline.api import ApiKey, KeyFile  # noqa: PLC0415

    found, described = keys_of_environment(environment), settings.api.keys
    if settings.api.key_file is not None:
        if found or described:
            raise ConfigurationError(
                f"[api] key_file names a file of keys, and there are keys in {KEY_VARIABLE} or [api.keys] as well; "
                "put all of them into the file, or remove key_file"
            )
        file = KeyFile(settings.folder / settings.api.key_file)
        file.load()  # to say now what is wrong with it
        return file
    if missing := sorted(described.keys() - found.keys()):
        variable = KEY_VARIABLE if missing[0] == "default" else f"{KEY_VARIABLE}_{missing[0].upper()}"
        raise ConfigurationError(f"[api.keys.{missing[0]}] describes a key that is not there; put it into {variable}")
    try:
        return {
            name: ApiKey(key, **msgspec.structs.asdict(described.get(name, KeySettings())))
            for name, key in found.items()
        }
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"[api.keys]: {error}") from error


def require_checkable(settings: Settings) -> bool:
    """Whether the API checks events before it accepts them.

    Raises:
        ConfigurationError: it would, and events have another envelope than `holded`, so each would be rejected.
    """
    if settings.api.check_schemas and settings.flow.envelope != "holded":
        raise ConfigurationError(
            f"[api] check_schemas reads events by the envelope 'holded', and [flow] envelope is "
            f"{settings.flow.envelope!r}; leave check_schemas out: the run checks the events"
        )
    return settings.api.check_schemas


def build_app(flow: Flow, *, log_format: LogFormat | None = None) -> Any:
    """The app over the store of a flow, as `create_app` returns it; see `require_api`.

    Args:
        flow: the flow.
        log_format: instead of the settings' own.
    """
    from holded_pipeline.api import Limits, Spool, Writing, create_app  # noqa: PLC0415

    settings = flow.settings
    checks = require_checkable(settings)
    spool = None
    if (found := settings.api.spool) is not None:
        spool = Spool(settings.folder / found.folder, max_bytes=found.max_bytes, after=parse_duration(found.after))
        if spool.after >= (seconds := Writing().store_seconds):
            raise ConfigurationError(
                f"[api.spool] after must be less than {seconds:g} s, since a package that is not stored by then is "
                f"answered with 503; got {found.after!r}"
            )
        spool.check()  # here, since an error of the app's start is a traceback
    return create_app(
        flow.lake,
        keys=keys_of_settings(settings),
        prefix=settings.flow.raw,
        rejected_prefix=settings.flow.rejected,
        schemas=flow.schemas if checks else None,
        subject=flow.subject,
        limits=Limits(
            rate=None if settings.api.rate == "none" else settings.api.rate,
            rate_storage=_rate_storage(settings.api.rate_storage_env),
        ),
        spool=spool,
        cors_origins=settings.api.cors_origins,
        log_format=log_format or settings.api.log_format,
    )


def _rate_storage(variable: str | None) -> str | None:
    """The URI in an environment variable; it is not in the file, since it may have a password."""
    return None if variable is None else Secret.env(variable).reveal()
