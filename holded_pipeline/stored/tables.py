"""Values of the store that can be iterated, and made a table of."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from holded_pipeline.model.values import Source

T = TypeVar("T")


class StoredValues(ABC, Generic[T]):
    """What is stored, to be iterated as often as needed; each time it is read from the store again."""

    @abstractmethod
    def __iter__(self) -> Iterator[T]:
        """Reads the values, one after the other."""

    @abstractmethod
    def _columns_of(self, value: T) -> dict[str, Any]:
        """The columns of one value."""

    def to_pandas(self) -> Any:
        """All of them as a `pandas.DataFrame`, a row for each; they have to fit into memory.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            pandas = importlib.import_module("pandas")  # it is optional, and takes long
        except ImportError as error:
            raise ImportError("to_pandas needs pandas: pip install pandas; or iterate, which needs nothing") from error
        return pandas.DataFrame([self._columns_of(value) for value in self])


def source_columns(source: Source | None) -> dict[str, Any]:
    """Where a record was read, as columns."""
    if source is None:
        return dict.fromkeys(("bucket", "key", "line", "item"))
    return {"bucket": source.bucket, "key": source.key, "line": source.line, "item": source.item}
