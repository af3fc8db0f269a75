"""Rows as a table of pandas, which is optional."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def data_frame(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Any:
    """A `pandas.DataFrame` with a row for each; without rows it has the columns, too.

    Raises:
        ImportError: pandas is not installed.
    """
    try:
        pandas = importlib.import_module("pandas")  # it is optional, and takes long
    except ImportError:
        raise ImportError(
            "to_pandas needs pandas: pip install 'pandas<2.4', which Beam knows; or iterate, which needs nothing"
        ) from None
    return pandas.DataFrame(list(rows), columns=list(columns))
