"""What can be wrong with the hooks of a plugin, found before any of them runs."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import pluggy

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.plugins import hookspecs

HOOKS = tuple(name for name, value in vars(hookspecs).items() if hasattr(value, f"{hookspecs.PROJECT}_spec"))
"""The names of the hooks."""


def check_shape(plugin: Any, owner: str) -> None:
    """Checks the hooks of a plugin.

    Raises:
        ConfigurationError: the plugin is a class, has no hook, or has one that is misspelt, not marked, or not a
            function of `register`; the message names `owner`.
    """
    if inspect.isclass(plugin):
        raise ConfigurationError(
            f"the plugin {owner} is a class, and a plugin is a module or an object; give {plugin.__name__}()"
        )
    marked = dict(_marked_functions(plugin))
    for name in HOOKS:
        if name not in marked:
            _check_unmarked(owner, name, inspect.getattr_static(plugin, name, None))  # runs no property
    for name, options in marked.items():
        _check_marked(owner, name, getattr(plugin, name), options)
    if not marked:
        raise ConfigurationError(
            f"the plugin {owner} has none of the hooks {', '.join(HOOKS)}; mark a function of such a name with "
            "@hp.hookimpl, or let the entry point name the module that has one"
        )


def _marked_functions(plugin: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    for name in dir(plugin):
        if _is_function(inspect.getattr_static(plugin, name, None)):
            options = manager.parse_hookimpl_opts(plugin, name)
            if options is not None:
                yield name, options


def _is_function(value: Any) -> bool:
    return inspect.isfunction(value) or inspect.ismethod(value) or isinstance(value, staticmethod | classmethod)


def _check_unmarked(owner: str, name: str, value: Any) -> None:
    if _is_function(value):
        raise ConfigurationError(
            f"the plugin {owner} has a function {name} that is not marked; put @hp.hookimpl above it"
        )
    if value is not None and not inspect.ismodule(value):
        raise ConfigurationError(
            f"the plugin {owner} has {name}, a {type(value).__name__}, and a hook is a function; write "
            f"@hp.hookimpl above def {name}(register)"
        )


def _check_marked(owner: str, name: str, function: Any, options: Mapping[str, Any]) -> None:
    signature = inspect.signature(function)
    if (options.get("specname") or name) not in HOOKS:  # check_pending() would not find private and optional ones
        wrong = f"is no hook; the hooks are: {', '.join(HOOKS)}"
    elif options.get("wrapper") or options.get("hookwrapper"):
        wrong = "is a wrapper; write a plain function"
    elif list(signature.parameters) != ["register"]:
        wrong = f"takes {signature}; it must take (register)"
    elif inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        wrong = "is asynchronous or a generator, and calling it would register nothing; write a plain function"
    else:
        return
    raise ConfigurationError(f"the plugin {owner} marks {name} with @hp.hookimpl, which {wrong}")
