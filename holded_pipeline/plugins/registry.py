"""The registry of enrichers, quality rules and envelopes: an explicit object, filled through the hooks."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeVar, Unpack

import attrs
import pluggy

from holded_pipeline.enriching.enricher import Enricher, as_enricher
from holded_pipeline.enriching.enricher_types import AnyEnricher, EnricherOptions
from holded_pipeline.enriching.quality import QualityRule
from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.plugins import builtin, hookspecs
from holded_pipeline.plugins.installed import installed_plugins, loading
from holded_pipeline.plugins.plugin_shape import check_shape
from holded_pipeline.reading.envelopes import Envelope
from holded_pipeline.reading.records_path import takes_outer
from holded_pipeline.user_code.errors import describe_error, result_or_error
from holded_pipeline.user_code.functions import require_function

_OPTIONS = frozenset(EnricherOptions.__annotations__)

T = TypeVar("T")


class PluginRegistry:
    """The names that a pipeline can use.

    Args:
        plugins: modules or objects with hooks, in addition to the built-in ones. Installed packages are not included;
            `PluginRegistry.installed()` includes them.

    Raises:
        ConfigurationError: a hook is misspelt, a name is registered twice, or a plugin fails while it registers;
            the message names the plugin.
    """

    def __init__(self, plugins: Iterable[Any] = ()) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._enrichers: dict[str, Enricher] = {}
        self._rules: dict[str, QualityRule] = {}
        self._envelopes: dict[str, Envelope] = {}
        self._owners: dict[tuple[str, str], str] = {}
        for plugin in (builtin, *plugins):
            self._add(plugin, _plugin_name(plugin))
        self._bind_enrichers()

    @classmethod
    def installed(cls) -> PluginRegistry:
        """The built-in names and those that installed packages register.

        The environment variable `HOLDED_PIPELINE_PLUGINS` selects them: unset for all, empty for none, or a list of
        entry-point names separated by commas.
        """
        registry = cls()
        with loading():
            for plugin, owner in installed_plugins():
                registry._add(plugin, owner)
        registry._bind_enrichers()
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
    def quality_rules(self) -> tuple[QualityRule, ...]:
        """The quality rules, the built-in ones first."""
        return tuple(self._rules.values())

    def owner(self, kind: Literal["enricher", "envelope", "quality rule"], name: str) -> str:
        """The plugin that registered a name."""
        return self._owners[kind, name]

    def enricher(self, enricher: str | AnyEnricher | Enricher) -> Enricher:
        """The enricher of a name; a function becomes an enricher of its own name, made for this registry.

        Raises:
            ValueError: there is no enricher of that name; the message lists the known ones.
        """
        if isinstance(enricher, str):
            return _look_up("enricher", enricher, self._enrichers)
        return as_enricher(enricher).for_registry(self)

    def envelope(self, envelope: str | Envelope) -> Envelope:
        """The envelope of a name; a function is returned as it is.

        Raises:
            ValueError: there is no envelope of that name; the message lists the known ones.
            TypeError: it is neither a name nor a function of a document and a source.
        """
        if isinstance(envelope, str):
            return _look_up("envelope", envelope, self._envelopes)
        names = ("outer",) if takes_outer(envelope) else ()
        require_function(envelope, "an envelope", "(document, source) -> Event, or a name", arguments=2, names=names)
        return envelope

    def _add(self, plugin: Any, owner: str) -> None:
        check_shape(plugin, owner)
        if self._manager.is_registered(plugin):
            raise ConfigurationError(f"the plugin {owner} is given twice; give it once")
        try:
            self._manager.register(plugin)
        except (pluggy.PluginValidationError, ValueError) as error:
            raise ConfigurationError(f"the plugin {owner} cannot be registered: {error}") from error
        self._run_hooks(plugin, owner)

    def _bind_enrichers(self) -> None:
        """Makes the registered enrichers for this registry, once all plugins have registered what they have."""
        for name, enricher in self._enrichers.items():
            outcome = result_or_error(enricher.for_registry, self)
            if isinstance(outcome, BaseException):
                owner = self._owners["enricher", name]
                raise ConfigurationError(
                    f"the enricher {name!r} of the plugin {owner} cannot be used with what is registered: "
                    f"{describe_error(outcome)}"
                ) from outcome
            self._enrichers[name] = outcome

    def _run_hooks(self, plugin: Any, owner: str) -> None:
        hooks: dict[str, Callable[..., None]] = {
            "register_enrichers": functools.partial(self._register_enricher, owner),
            "register_quality_rules": functools.partial(self._register_rule, owner),
            "register_envelopes": functools.partial(self._register_envelope, owner),
        }
        for hook, register in hooks.items():
            for implementation in getattr(self._manager.hook, hook).get_hookimpls():
                if implementation.plugin is plugin:
                    _run_hook(implementation.function, register, hook, owner)

    def _register_enricher(
        self, owner: str, name: str, function: AnyEnricher, **options: Unpack[EnricherOptions]
    ) -> None:
        unknown = sorted(set(options) - _OPTIONS)
        if unknown:
            raise TypeError(f"an enricher has no option {unknown[0]!r}; it has: {', '.join(sorted(_OPTIONS))}")
        enricher = Enricher(name, function, **options)
        self._claim_name("enricher", name, owner, self._enrichers)
        self._enrichers[name] = enricher

    def _register_rule(self, owner: str, rule: QualityRule) -> None:
        if not isinstance(rule, QualityRule):
            raise TypeError(f"a quality rule is an hp.QualityRule, got {rule!r}")
        self._claim_name("quality rule", rule.id, owner, self._rules)
        self._rules[rule.id] = attrs.evolve(rule, plugin=owner)

    def _register_envelope(self, owner: str, name: str, function: Envelope) -> None:
        if not isinstance(name, str) or not name:
            raise TypeError(f"an envelope's name is a text, got {name!r}")
        if inspect.isclass(function) or not callable(function):
            raise TypeError(f"the envelope {name!r} is a function (document, source) -> Event, got {function!r}")
        self._claim_name("envelope", name, owner, self._envelopes)
        self._envelopes[name] = function

    def _claim_name(self, kind: str, name: str, owner: str, registered: Mapping[str, Any]) -> None:
        first = self._owners.setdefault((kind, name), owner)
        if name in registered:
            raise ConfigurationError(
                f"the {kind} {name!r} of the plugin {owner} is registered already, by {first}; rename one of them"
            )


def _run_hook(function: Callable[..., Any], register: Callable[..., None], hook: str, owner: str) -> None:
    try:
        answer = function(register=register)
    except (ConfigurationError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise ConfigurationError(f"the plugin {owner} failed in {hook}: {describe_error(error)}") from error
    if answer is not None:
        raise ConfigurationError(
            f"the hook {hook} of the plugin {owner} returned {type(answer).__name__}; it must call register "
            "for each thing it registers, and return nothing"
        )


def _look_up(kind: str, name: str, by_name: Mapping[str, T]) -> T:
    try:
        return by_name[name]
    except KeyError:
        raise ValueError(f"there is no {kind} {name!r}; known are: {', '.join(sorted(by_name))}") from None


def _plugin_name(plugin: Any) -> str:
    return str(getattr(plugin, "__name__", type(plugin).__name__))


@functools.cache
def default_registry() -> PluginRegistry:
    """The installed plugins, loaded once per process."""
    return PluginRegistry.installed()
