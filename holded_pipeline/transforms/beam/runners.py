"""Rejects the Beam runner that breaks the guarantees of these transforms."""

from __future__ import annotations

from typing import Any

from holded_pipeline.model.errors import ConfigurationError

_LOSSY_RUNNER = "DaskRunner"


def validate_runner(runner: Any) -> None:
    """Accepts every runner except one that loses records.

    That one is recognised by the name of its class or of a base class, so that its package need not be installed.

    Raises:
        ConfigurationError: it is Beam's `DaskRunner` or a subclass of it.
    """
    if any(base.__name__ == _LOSSY_RUNNER for base in type(runner).__mro__):
        raise ConfigurationError(
            f"Beam's {_LOSSY_RUNNER} loses the rejected records and other branches of a pipeline without an error: "
            "of several consumers of one PCollection it runs only the last, it loses tags and timestamps, and it drops "
            'what finish_bundle outputs; use runner="FnApiRunner" on one machine, or hp.run_on_dask for a Dask cluster'
        )
