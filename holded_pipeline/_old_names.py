"""Public names that were renamed before 0.1: each warns, and goes in 0.2."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

_RENAMED = {
    "Difference": "AnalyticsDifference",
    "Receipt": "LoadReceipt",
    "Registry": "PluginRegistry",
    "Rule": "QualityRule",
    "Verdict": "RuleVerdict",
}


def __getattr__(name: str) -> Any:
    """The new value under an old name; the package takes this function as its own."""
    if name not in _RENAMED:
        raise AttributeError(f"module 'holded_pipeline' has no attribute {name!r}")
    new = _RENAMED[name]
    warnings.warn(f"hp.{name} is now hp.{new}; the old name goes in 0.2", DeprecationWarning, stacklevel=2)
    return getattr(importlib.import_module("holded_pipeline"), new)
