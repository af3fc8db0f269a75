"""Which plugins the installed packages offer, and which of them a process wants."""

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
"""Environment variable: names of the installed plugins to load, separated by commas; empty for none."""

_CIRCLE = (
    "the installed plugins, as hp.Enrich and hp.ReadMinIO do, and it is one of them; make its transforms in a function "
    "that is called later, or give them registry=hp.PluginRegistry()"
)
_LOADING: ContextVar[bool] = ContextVar("loading", default=False)


def installed_plugins() -> Iterator[tuple[Any, str]]:
    """Every chosen plugin with its name and package, in the order of the names.

    Raises:
        ConfigurationError: `HOLDED_PIPELINE_PLUGINS` names one that is not installed, two packages offer one of the
            same name, or one cannot be imported.
    """
    found = sorted(entry_points(group=PROJECT), key=lambda entry: entry.name)
    for _, same in groupby(_chosen(found, os.environ.get(SWITCH)), key=lambda entry: entry.name):
        entry, *others = same
        if others:
            packages = " and ".join(sorted(_package(each) for each in (entry, *others)))
            raise ConfigurationError(
                f"the packages {packages} both offer a plugin named {entry.name!r}; uninstall one of them"
            )
        yield _load(entry), f"{entry.name!r} of the package {_package(entry)}"


@contextmanager
def loading() -> Iterator[None]:
    """While plugins are loaded and asked what they bring.

    Raises:
        RuntimeError: they are being loaded already: a plugin asks for the plugins, and would find itself half there.
    """
    if _LOADING.get():
        raise RuntimeError(f"it asks for {_CIRCLE}")
    token = _LOADING.set(True)
    try:
        yield
    finally:
        _LOADING.reset(token)


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else f"that has {entry.value}"


def _load(entry: EntryPoint) -> Any:
    try:
        plugin = entry.load()
    except KeyboardInterrupt:  # the user's own wish
        raise
    except BaseException as error:
        raise ConfigurationError(
            f"the plugin {entry.name!r} of the package {_package(entry)} cannot be imported: {describe_error(error)}; "
            f"mend or uninstall it, or leave it out with {SWITCH}"
        ) from error
    if _is_half_imported(entry.module):
        raise ConfigurationError(
            f"the plugin {entry.name!r} of the package {_package(entry)} asks, while it is imported, for {_CIRCLE}"
        )
    return plugin


def _is_half_imported(module: str) -> bool:
    """Whether this very thread is importing it: for another thread's import, Python would have waited."""
    return bool(getattr(getattr(sys.modules.get(module), "__spec__", None), "_initializing", False))


def _chosen(found: list[EntryPoint], switch: str | None) -> list[EntryPoint]:
    if switch is None:
        return found
    wanted = [name.strip() for name in switch.split(",") if name.strip()]
    missing = set(wanted) - {entry.name for entry in found}
    if missing:
        have = ", ".join(sorted({entry.name for entry in found})) or "none"
        raise ConfigurationError(
            f"{SWITCH} names {', '.join(sorted(missing))}, which is not installed; installed plugins: {have}"
        )
    return [entry for entry in found if entry.name in wanted]
