"""Values of the store that can be iterated, and made a table of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from holded_pipeline.model.data_frames import data_frame
from holded_pipeline.model.values import Event, Rejected
from holded_pipeline.stored.columns import columns_of

T = TypeVar("T", bound=Event | Rejected)


class StoredValues(ABC, Generic[T]):
    """What is stored, to be iterated as often as needed; each time it is read from the store again."""

    _columns: tuple[str, ...]

    @abstractmethod
    def __iter__(self) -> Iterator[T]:
        """Reads the values, one after the other."""

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
        return data_frame(map(columns_of, self), self._columns)
