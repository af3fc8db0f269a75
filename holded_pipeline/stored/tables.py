"""Values of the store that can be iterated, and made a table of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from holded_pipeline.model.data_frames import data_frame
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

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._place()}: iterate over it, or call to_pandas(); each reads the store>"

    @abstractmethod
    def _place(self) -> str:
        """Where the values are, such as `bucket/prefix`."""

    def to_pandas(self) -> Any:
        """All of them as a `pandas.DataFrame`, a row for each; they have to fit into memory.

        Raises:
            ImportError: pandas is not installed.
        """
        return data_frame(self._columns_of(value) for value in self)


def source_columns(source: Source | None) -> dict[str, Any]:
    """Where a record was read, as columns."""
    if source is None:
        return dict.fromkeys(("bucket", "key", "line", "item"))
    return {"bucket": source.bucket, "key": source.key, "line": source.line, "item": source.item}
