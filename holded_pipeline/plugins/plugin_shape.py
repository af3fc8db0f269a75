"""What is wrong with a plugin before any of it runs: above all hooks that pluggy would overlook without a word."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import pluggy

from holded_pipeline.core.errors import ConfigurationError
from holded_pipeline.plugins import hookspecs

HOOKS = tuple(name for name, value in vars(hookspecs).items() if hasattr(value, f"{hookspecs.PROJECT}_spec"))
"""The names of the hooks."""

_ALIKE = 0.9  # of 1; `register_enricher` is like a hook, `register_encoders` is not
_SUBJECTS = {"enrich": "register_enrichers", "rule": "register_quality_rules", "envelope": "register_envelopes"}


def check_shape(plugin: Any, owner: str) -> None:
    """Refuses a plugin whose hooks would not be called, or not as it means them to be.

    Raises:
        ConfigurationError: it is a class, has no hook, or has one that is misspelt, not marked, or takes other
            arguments; the message names `owner`.
    """
    if inspect.isclass(plugin):
        raise ConfigurationError(
            f"the plugin {owner} is a class, and a plugin is a module or an object; give {plugin.__name__}()"
        )
    marked = dict(_marked(plugin))
    for name in _public_functions(plugin):
        meant = _meant(name)
        if meant and (name not in marked or name not in HOOKS):
            raise ConfigurationError(_overlooked(owner, name, meant, is_marked=name in marked))
    for name, options in marked.items():
        _check_hook(owner, name, getattr(plugin, name), options)
    if not marked:
        raise ConfigurationError(
            f"the plugin {owner} has none of the hooks {', '.join(HOOKS)}; mark a function of such a name with "
            "@hp.hookimpl, or let the entry point name the module that has one"
        )


def _meant(name: str) -> str | None:
    """The hook that a function of this name is probably meant to be."""
    close = difflib.get_close_matches(name, HOOKS, n=1, cutoff=_ALIKE)
    if close or not name.startswith("register"):
        return next(iter(close), None)
    return next((hook for subject, hook in _SUBJECTS.items() if subject in name.lower()), None)


def _overlooked(owner: str, name: str, meant: str, *, is_marked: bool) -> str:
    if name == meant:
        return f"the plugin {owner} has a function {name} that is not marked; put @hp.hookimpl above it"
    also = "" if is_marked else ", and mark it with @hp.hookimpl"
    return (
        f"the plugin {owner} has a function {name}, and there is no such hook; call it {meant}{also}, or _{name} if it "
        "is meant to be none"
    )


def _public_functions(plugin: Any) -> Iterator[str]:
    for name in dir(plugin):
        value = inspect.getattr_static(plugin, name, None)  # a property's code is not run
        if not name.startswith("_") and (inspect.isroutine(value) or isinstance(value, staticmethod | classmethod)):
            yield name


def _marked(plugin: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    for name in _public_functions(plugin):
        options = manager.parse_hookimpl_opts(plugin, name)
        if options is not None:
            yield name, options


def _check_hook(owner: str, name: str, function: Any, options: Mapping[str, Any]) -> None:
    signature = inspect.signature(function)
    if name not in HOOKS:
        wrong = f"is no hook; known are: {', '.join(HOOKS)}"
    elif options.get("wrapper") or options.get("hookwrapper"):
        wrong = "is a wrapper; write a plain function"
    elif list(signature.parameters) != ["register"]:
        wrong = f"takes {signature}; it must take (register)"
    elif inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        wrong = "is asynchronous or a generator, and calling it would register nothing; write a plain function"
    else:
        return
    raise ConfigurationError(f"the plugin {owner} marks {name} with @hp.hookimpl, which {wrong}")
