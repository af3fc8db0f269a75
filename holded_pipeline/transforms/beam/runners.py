"""Which of Beam's runners keep what these transforms promise."""

from __future__ import annotations

from typing import Any

from holded_pipeline.model.errors import ConfigurationError

_LOSING = "DaskRunner"


def refuse_losing_runner(runner: Any) -> None:
    """Lets every runner pass but one that loses records.

    It is known by its name, also where a subclass has another, so that nothing need be imported to tell.

    Raises:
        ConfigurationError: it is Beam's `DaskRunner`, or made from it.
    """
    if any(base.__name__ == _LOSING for base in type(runner).__mro__):
        raise ConfigurationError(
            f"Beam's {_LOSING} loses the rejected records and other branches of a pipeline without a word; "
            'use runner="FnApiRunner" on one machine, or see docs/runners.md for many'
        )
