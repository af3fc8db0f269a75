"""The plugins that installed packages offer, and which of them are loaded."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import EntryPoint, entry_points
from itertools import groupby
from typing import Any

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.plugins.hookspecs import PROJECT
from holded_pipeline.user_code.errors import describe_error

SWITCH = "HOLDED_PIPELINE_PLUGINS"
"""Environment variable: the names of the installed plugins to load, separated by commas; empty for none."""

_CIRCULAR = (
    "the installed plugins, as hp.Enrich and hp.ReadMinIO do, and it is one of them; make its transforms in a function "
    "that is called later, or give them registry=hp.PluginRegistry()"
)
_LOADING: ContextVar[bool] = ContextVar("loading", default=False)


def installed_plugins() -> Iterator[tuple[Any, str]]:
    """Each selected plugin with a text that names it and its package, in the order of the names.

    Raises:
        ConfigurationError: `HOLDED_PIPELINE_PLUGINS` names a plugin that is not installed, two packages offer plugins
            of the same name, or a plugin cannot be imported.
    """
    found = sorted(entry_points(group=PROJECT), key=lambda entry: entry.name)
    for _, same in groupby(_select(found, os.environ.get(SWITCH)), key=lambda entry: entry.name):
        entry, *others = same
        if others:
            packages = " and ".join(sorted(_package_of(each) for each in (entry, *others)))
            raise ConfigurationError(
                f"the packages {packages} both offer a plugin named {entry.name!r}; uninstall one of them"
            )
        yield _import_plugin(entry), f"{entry.name!r} of the package {_package_of(entry)}"


@contextmanager
def loading() -> Iterator[None]:
    """Guards the loading of plugins against a plugin that loads the plugins itself.

    Raises:
        RuntimeError: plugins are being loaded already, so the plugin that asks for them is not complete yet.
    """
    if _LOADING.get():
        raise RuntimeError(f"it loads {_CIRCULAR}")
    token = _LOADING.set(True)
    try:
        yield
    finally:
        _LOADING.reset(token)


def _package_of(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else f"that has {entry.value}"


def _import_plugin(entry: EntryPoint) -> Any:
    try:
        plugin = entry.load()
    except KeyboardInterrupt:  # the user's own wish
        raise
    except BaseException as error:
        raise ConfigurationError(
            f"the plugin {entry.name!r} of the package {_package_of(entry)} cannot be imported: "
            f"{describe_error(error)}; fix or uninstall it, or exclude it with {SWITCH}"
        ) from error
    if _is_half_imported(entry.module):
        raise ConfigurationError(
            f"the plugin {entry.name!r} of the package {_package_of(entry)} loads, while it is imported, {_CIRCULAR}"
        )
    return plugin


def _is_half_imported(module: str) -> bool:
    """Whether this thread is still importing it; Python waits for an import of another thread."""
    return bool(getattr(getattr(sys.modules.get(module), "__spec__", None), "_initializing", False))


def _select(found: list[EntryPoint], switch: str | None) -> list[EntryPoint]:
    if switch is None:
        return found
    names = [name.strip() for name in switch.split(",") if name.strip()]
    missing = set(names) - {entry.name for entry in found}
    if missing:
        available = ", ".join(sorted({entry.name for entry in found})) or "none"
        raise ConfigurationError(
            f"{SWITCH} names {', '.join(sorted(missing))}, which is not installed; installed plugins: {available}"
        )
    return [entry for entry in found if entry.name in names]
