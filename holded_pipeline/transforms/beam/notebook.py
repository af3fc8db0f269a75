"""What Beam needs in a notebook, asked for before Beam fails without it."""

from __future__ import annotations

import importlib
import logging
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.model.install_lines import install_line

_NEEDED_IN_IPYTHON = "apache_beam.runners.interactive.interactive_environment"


def require_notebook_packages() -> None:
    """Returns if Beam can build pipelines here; outside of IPython it always can.

    In IPython Beam names transforms by cell. For that it imports its dataframe code at the first `|`, which needs a
    pandas of certain versions.

    Raises:
        ConfigurationError: that import fails.
    """
    ipython: Any = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        return
    logging.getLogger(_NEEDED_IN_IPYTHON).addFilter(_is_wanted)
    try:
        importlib.import_module(_NEEDED_IN_IPYTHON)
    except Exception as error:  # pandas of another version fails in many ways
        raise ConfigurationError(
            f"in a notebook Beam {_version_of('apache-beam')} needs a pandas that it knows, below 2.4; here is "
            f"{_version_of('pandas')} ({type(error).__name__}: {error}). Run: {install_line('notebook')}, "
            "or pip install 'pandas<2.4', and restart the kernel"
        ) from error


def _is_wanted(record: logging.LogRecord) -> bool:
    """Leaves out Beam's warning that its own pictures of collections need more packages: nothing here shows them."""
    return "PCollection visualization" not in record.getMessage()


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
