"""What Beam works out again at each step of each pipeline, kept: a third of the time of a small pipeline.

It asks for the signature of each method of a DoFn some ten times, looks as often for the state that it keeps, and
parses the same options for each step. It compresses the same pickled steps in each pipeline, a millisecond each.
"""

from __future__ import annotations

import argparse
import bz2
import copy
import inspect
import sys
import types
from functools import lru_cache
from typing import Any

from apache_beam.internal import cloudpickle_pickler
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms import core, userstate
from apache_beam.typehints import decorators

_MODULES = "holded_pipeline.", "apache_beam."
_arguments_of = core.get_function_args_defaults
_signature_of = decorators.get_signature
_specs_of = userstate.get_dofn_specs
_view_as = PipelineOptions.view_as
_arguments: dict[types.FunctionType, tuple[list[str], list[Any]]] = {}
_signatures: dict[types.FunctionType, inspect.Signature] = {}
_without_specs: set[type] = set()
_parsed: dict[tuple[Any, ...], argparse.Namespace] = {}


def keep_what_beam_works_out_again() -> None:
    """From now on in this process."""
    core.get_function_args_defaults = _kept_arguments
    decorators.get_signature = _kept_signature
    userstate.get_dofn_specs = _kept_specs
    PipelineOptions.view_as = _kept_view
    cloudpickle_pickler.bz2 = types.SimpleNamespace(
        compress=lru_cache(2_000)(bz2.compress), decompress=lru_cache(2_000)(bz2.decompress)
    )


def _kept_arguments(f: Any) -> tuple[list[str], list[Any]]:
    function = getattr(f, "__func__", None)
    if not isinstance(function, types.FunctionType) or not _stays(function):
        return _arguments_of(f)
    if function not in _arguments:
        _arguments[function] = _arguments_of(f)
    names, defaults = _arguments[function]
    return [*names], [*defaults]


def _kept_signature(function: Any) -> inspect.Signature:
    if not isinstance(function, types.FunctionType) or not _stays(function):
        return _signature_of(function)
    if function not in _signatures:
        _signatures[function] = _signature_of(function)
    return _signatures[function]


def _kept_specs(dofn: Any) -> tuple[set[Any], set[Any]]:
    kind = type(dofn)
    if kind in _without_specs:
        return set(), set()
    states, timers = _specs_of(dofn)
    if not states and not timers and kind.__module__.startswith(_MODULES) and _stays(kind):
        _without_specs.add(kind)
    return states, timers


def _kept_view(self: PipelineOptions, kind: type[PipelineOptions]) -> PipelineOptions:
    flags = self._flags
    if flags is None or not _stays(kind):  # without flags those of the process are parsed, which may change
        return _view_as(self, kind)
    key = kind, *flags
    if key not in _parsed:
        _parsed[key] = _copied(kind(flags)._visible_options)
    view = kind.__new__(kind)
    view._flags = flags
    view._visible_options = _copied(_parsed[key])
    for name, value in vars(view._visible_options).items():
        self._all_options.setdefault(name, value)
    view._all_options = self._all_options
    return view


def _stays(thing: Any) -> bool:
    """Whether a function or a class belongs to a module, so that what is kept of it holds nothing of a test."""
    found: Any = sys.modules.get(thing.__module__)
    for name in thing.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is thing


def _copied(options: argparse.Namespace) -> argparse.Namespace:
    return argparse.Namespace(**{name: copy.copy(value) for name, value in vars(options).items()})
