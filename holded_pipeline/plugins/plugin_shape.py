"""What is wrong with a plugin before any of it runs: above all hooks that pluggy would overlook without a word."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from types import CodeType
from typing import Any

import pluggy

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.plugins import hookspecs

HOOKS = tuple(name for name, value in vars(hookspecs).items() if hasattr(value, f"{hookspecs.PROJECT}_spec"))
"""The names of the hooks."""

_MARK = f"{hookspecs.PROJECT}_impl"  # what the decorator leaves
_ALIKE = 0.9  # of 1; `register_enricher` is like a hook, `register_encoders` is not
_WORDS = {
    "enrich": "register_enrichers",
    "rule": "register_quality_rules",
    "quality": "register_quality_rules",
    "envelop": "register_envelopes",
}
_ANY = f"one of {', '.join(HOOKS)}"


def check_shape(plugin: Any, owner: str) -> None:
    """Refuses a plugin whose hooks would not be called, or not as it means them to be.

    Raises:
        ConfigurationError: it is a class, has no hook, or has one that is misspelt, not marked, no function, or takes
            other arguments; the message names `owner`.
    """
    if inspect.isclass(plugin):
        raise ConfigurationError(
            f"the plugin {owner} is a class, and a plugin is a module or an object; give {plugin.__name__}()"
        )
    marked = dict(_marked(plugin))
    for name, value in _attributes(plugin):
        if name not in marked:
            _check_kind(owner, name, value)
    helpers = _helpers(plugin, marked) - {*marked, *HOOKS}
    for name in _public_callables(plugin):
        meant = None if name in helpers else _meant(name, getattr(plugin, name))
        if meant and (name not in marked or (_hook_of(name, marked[name]) not in HOOKS and meant != _ANY)):
            raise ConfigurationError(_overlooked(owner, name, meant, is_marked=name in marked))
    for name, options in marked.items():
        _check_hook(owner, name, getattr(plugin, name), options)
    if not marked:
        raise ConfigurationError(
            f"the plugin {owner} has none of the hooks {', '.join(HOOKS)}; mark a function of such a name with "
            "@hp.hookimpl, or let the entry point name the module that has one"
        )


def _check_kind(owner: str, name: str, value: Any) -> None:
    """Refuses what has a hook's mark or name and is no function: pluggy passes it over."""
    is_marked = isinstance(inspect.getattr_static(value, _MARK, None), dict)
    is_meant = name in HOOKS and not (_is_function(value) or inspect.ismodule(value) or value is None)
    if is_marked or is_meant:
        raise ConfigurationError(
            f"the plugin {owner} has {name}, a {type(value).__name__}, and a hook is a function; write "
            f"@hp.hookimpl above def {name if name in HOOKS else HOOKS[0]}(register)"
        )


def _meant(name: str, function: Any) -> str | None:
    """The hook that a function of this name is probably meant to be."""
    lower = name.lower()
    close = difflib.get_close_matches(lower, HOOKS, n=1, cutoff=_ALIKE)
    if close or not lower.startswith("register"):
        return next(iter(close), None)
    parameters = _parameters(function)
    likely = next((hook for word, hook in _WORDS.items() if word in lower), None)
    if parameters == ["register"]:
        return likely or _ANY
    return likely if len(parameters) == 1 else None  # what is called with more, or nothing, is no hook


def _overlooked(owner: str, name: str, meant: str, *, is_marked: bool) -> str:
    if name == meant:
        return f"the plugin {owner} has a function {name} that is not marked; put @hp.hookimpl above it"
    also = "" if is_marked else ", and mark it with @hp.hookimpl"
    return (
        f"the plugin {owner} has a function {name}, and there is no such hook; call it {meant}{also}, or _{name} if it "
        "is meant to be none"
    )


def _attributes(plugin: Any) -> Iterator[tuple[str, Any]]:
    for name in dir(plugin):
        yield name, inspect.getattr_static(plugin, name, None)  # a property's code is not run


def _is_function(value: Any) -> bool:
    return inspect.isroutine(value) or isinstance(value, staticmethod | classmethod)


def _public_callables(plugin: Any) -> Iterator[str]:
    for name, value in _attributes(plugin):
        is_object = callable(value) and not inspect.isclass(value)
        if not name.startswith("_") and (_is_function(value) or is_object):
            yield name


def _marked(plugin: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    for name, value in _attributes(plugin):
        options = manager.parse_hookimpl_opts(plugin, name) if _is_function(value) else None
        if options is not None:
            yield name, options


def _parameters(function: Any) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # written in C, without a signature
        return []


def _hook_of(name: str, options: Mapping[str, Any]) -> str:
    """The hook that a marked function is for."""
    return options.get("specname") or name


def _helpers(plugin: Any, hooks: Iterable[str]) -> set[str]:
    """The names that the hooks use, and the plugin's functions of such names: what they call is not overlooked."""
    found: set[str] = set()
    pending = list(hooks)
    while pending:
        function = getattr(plugin, pending.pop(), None)
        code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
        names = _names_in(code) - found if inspect.iscode(code) else set()
        found |= names
        pending += names
    return found


def _names_in(code: CodeType) -> set[str]:
    """The names in a function's code, and in that of the functions and comprehensions within it."""
    within = [_names_in(each) for each in code.co_consts if inspect.iscode(each)]
    return {*code.co_names, *code.co_freevars}.union(*within)


def _check_hook(owner: str, name: str, function: Any, options: Mapping[str, Any]) -> None:
    signature = inspect.signature(function)
    if _hook_of(name, options) not in HOOKS:
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
