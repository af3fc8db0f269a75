"""The API's keys and its app, as the settings say."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final, Literal

from holded_pipeline.cli.flow import Flow
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.servers.secret import Secret

LogFormat = Literal["text", "json"]
KEY_VARIABLE: Final = "HOLDED_API_KEY"


def keys_of_environment(environment: Mapping[str, str] | None = None) -> dict[str, Secret]:
    """The keys in `HOLDED_API_KEY` and `HOLDED_API_KEY_<NAME>`, by name."""
    environment = os.environ if environment is None else environment
    found = {"default": Secret.env(KEY_VARIABLE)} if environment.get(KEY_VARIABLE) else {}
    for variable in sorted(environment):
        if variable.startswith(f"{KEY_VARIABLE}_") and environment[variable]:
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


def build_app(flow: Flow, *, log_format: LogFormat | None = None) -> Any:
    """The app over the store of a flow, as `create_app` returns it; see `require_api`.

    Args:
        flow: the flow.
        log_format: instead of the settings' own.
    """
    from holded_pipeline.api import Limits, create_app  # noqa: PLC0415

    settings = flow.settings
    checks = settings.api.check_schemas
    return create_app(
        flow.lake,
        keys=keys_of_environment(),
        prefix=settings.flow.raw,
        rejected_prefix=settings.flow.rejected,
        schemas=flow.schemas if checks else None,
        subject=flow.subject,
        limits=Limits(rate=None if settings.api.rate == "none" else settings.api.rate),
        cors_origins=settings.api.cors_origins,
        log_format=log_format or settings.api.log_format,
    )
