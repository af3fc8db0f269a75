"""Which enrichers, quality rules and envelopes there are: an explicit object, filled through the hooks."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, TypeVar

import attrs
import pluggy

from holded_pipeline.core.builtin_enrichers import Quality
from holded_pipeline.core.enrichment import Enricher, EnrichFunction, OnError, named
from holded_pipeline.core.envelopes import Envelope
from holded_pipeline.core.errors import ConfigurationError
from holded_pipeline.core.quality import Rule
from holded_pipeline.core.quality_rules import RULES
from holded_pipeline.plugins import builtin, hookspecs

SWITCH = "HOLDED_PIPELINE_PLUGINS"
"""Environment variable: names of the installed plugins to load, separated by commas; empty for none."""

T = TypeVar("T")


class Registry:
    """The names a pipeline can use.

    Args:
        plugins: modules or objects with hooks, beside the built-in ones. Installed packages are not looked for;
            `Registry.installed()` does that.

    Raises:
        ConfigurationError: a hook is misspelt, a name is registered twice, or a plugin fails while it registers;
            the message names the plugin.
    """

    def __init__(self, plugins: Iterable[Any] = ()) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._enrichers: dict[str, Enricher] = {}
        self._rules: dict[str, Rule] = {}
        self._envelopes: dict[str, Envelope] = {}
        self._owners: dict[tuple[str, str], str] = {}
        for plugin in (builtin, *plugins):
            self._add(plugin, None)

    @classmethod
    def installed(cls) -> Registry:
        """The built-in names and those of every installed package that offers some.

        The environment variable `HOLDED_PIPELINE_PLUGINS` chooses: unset for all, empty for none, or a list of
        entry-point names separated by commas.
        """
        registry = cls()
        for entry in _chosen(list(entry_points(group=hookspecs.PROJECT)), os.environ.get(SWITCH)):
            try:
                plugin = entry.load()
            except Exception as error:
                package = entry.dist.name if entry.dist else entry.value
                raise ConfigurationError(
                    f"the plugin {entry.name!r} of the package {package} cannot be imported: "
                    f"{type(error).__name__}: {error}; mend or uninstall it, or leave it out with {SWITCH}"
                ) from error
            registry._add(plugin, entry.name)
        return registry

    @property
    def enrichers(self) -> Mapping[str, Enricher]:
        """The enrichers by name."""
        return MappingProxyType(self._enrichers)

    @property
    def envelopes(self) -> Mapping[str, Envelope]:
        """The envelopes by name."""
        return MappingProxyType(self._envelopes)

    @property
    def quality_rules(self) -> tuple[Rule, ...]:
        """The quality rules, the built-in ones first."""
        return tuple(self._rules.values())

    def enricher(self, enricher: str | EnrichFunction | Enricher) -> Enricher:
        """The enricher of a name; a function is taken under its own name.

        Raises:
            ValueError: there is none of that name; the message lists the known ones.
        """
        if isinstance(enricher, str):
            return _known("enricher", enricher, self._enrichers)
        return named(enricher)

    def envelope(self, envelope: str | Envelope) -> Envelope:
        """The envelope of a name; a function is taken as it is.

        Raises:
            ValueError: there is none of that name; the message lists the known ones.
        """
        if isinstance(envelope, str):
            return _known("envelope", envelope, self._envelopes)
        if not callable(envelope):
            raise TypeError(f"an envelope is a name or a function (document, source) -> Event, got {envelope!r}")
        return envelope

    def _add(self, plugin: Any, name: str | None) -> None:
        try:
            self._manager.register(plugin, name)
            self._manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            raise ConfigurationError(f"the plugin {name or _name(plugin)} is not usable: {error}") from error
        self._collect(plugin, name or _name(plugin))
        if len(self._rules) > len(RULES):  # the built-in enricher judges by everybody's rules
            self._enrichers["quality"] = attrs.evolve(self._enrichers["quality"], function=Quality(self.quality_rules))

    def _collect(self, plugin: Any, owner: str) -> None:
        hooks: dict[str, Callable[..., None]] = {
            "register_enrichers": functools.partial(self._register_enricher, owner),
            "register_quality_rules": functools.partial(self._register_rule, owner),
            "register_envelopes": functools.partial(self._register_envelope, owner),
        }
        for hook, register in hooks.items():
            for implementation in getattr(self._manager.hook, hook).get_hookimpls():
                if implementation.plugin is plugin:
                    self._run(implementation.function, register, hook, owner)

    def _run(self, function: Callable[..., None], register: Callable[..., None], hook: str, owner: str) -> None:
        try:
            function(register=register)
        except ConfigurationError:
            raise
        except Exception as error:
            raise ConfigurationError(f"the plugin {owner} failed in {hook}: {type(error).__name__}: {error}") from error

    def _register_enricher(
        self,
        owner: str,
        name: str,
        function: EnrichFunction,
        *,
        version: str | None = None,
        on_error: OnError = "reject",
    ) -> None:
        self._claim("enricher", name, owner)
        self._enrichers[name] = Enricher(name, function, version=version, on_error=on_error)

    def _register_rule(self, owner: str, rule: Rule) -> None:
        self._claim("quality rule", rule.id, owner)
        self._rules[rule.id] = rule

    def _register_envelope(self, owner: str, name: str, function: Envelope) -> None:
        self._claim("envelope", name, owner)
        self._envelopes[name] = function

    def _claim(self, kind: str, name: str, owner: str) -> None:
        first = self._owners.setdefault((kind, name), owner)
        registered: dict[str, Mapping[str, Any]] = {
            "enricher": self._enrichers,
            "quality rule": self._rules,
            "envelope": self._envelopes,
        }
        if name in registered[kind]:
            raise ConfigurationError(
                f"the {kind} {name!r} of the plugin {owner} is registered already, by {first}; rename one of them"
            )


def _known(kind: str, name: str, by_name: Mapping[str, T]) -> T:
    try:
        return by_name[name]
    except KeyError:
        raise ValueError(f"there is no {kind} {name!r}; known are: {', '.join(sorted(by_name))}") from None


def _name(plugin: Any) -> str:
    return str(getattr(plugin, "__name__", type(plugin).__name__))


def _chosen(found: list[EntryPoint], switch: str | None) -> list[EntryPoint]:
    if switch is None:
        return found
    wanted = [name.strip() for name in switch.split(",") if name.strip()]
    missing = set(wanted) - {entry.name for entry in found}
    if missing:
        have = ", ".join(sorted(entry.name for entry in found)) or "none"
        raise ConfigurationError(
            f"{SWITCH} names {', '.join(sorted(missing))}, which is not installed; installed plugins: {have}"
        )
    return [entry for entry in found if entry.name in wanted]


@functools.cache
def default_registry() -> Registry:
    """The installed plugins, loaded once per process."""
    return Registry.installed()
