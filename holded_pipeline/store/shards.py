"""How several runs divide objects among them without speaking to each other: by the keys alone."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import attrs

from holded_pipeline.store.compression import without_compression_ending
from holded_pipeline.store.read_plan import StoredObject

_LAST_NUMBER = re.compile(r"[0-9]+(?=[^0-9]*\Z)")
_TUPLE = 2


@attrs.frozen
class Shard:
    """One of `count` runs, which are numbered from 0.

    What belongs to it depends on an object's key and size and on `count`, and on nothing else: not on the moment of a
    listing, nor on other objects, nor on the process or the machine.
    """

    index: int
    count: int

    @classmethod
    def of(cls, value: Any) -> Shard:
        """The shard of a tuple `(i, n)`.

        Raises:
            TypeError: it is no tuple of two integers.
            ValueError: there is no such shard.
        """
        is_pair = isinstance(value, tuple) and len(value) == _TUPLE
        if not is_pair or any(isinstance(each, bool) or not isinstance(each, int) for each in value):
            raise TypeError(f"shard must be two integers, such as (0, 8) for the first of 8 runs, got {value!r}")
        index, count = value
        if count < 1:
            raise ValueError(f"shard must be one of at least 1 run, got {value!r}")
        if not 0 <= index < count:
            raise ValueError(f"shard must be (0, {count}) to ({count - 1}, {count}), counted from 0, got {value!r}")
        return cls(index, count)

    def owns(self, key: str) -> bool:
        """Whether the object belongs to this shard, and no other; of a divided one, its first part."""
        return first_owner(key, self.count) == self.index

    def part_of(self, stored: StoredObject, unit_bytes: int) -> tuple[int, int] | None:
        """The bytes of a large object at which this shard's lines begin; None if none does.

        An object above `unit_bytes` is divided into equal parts of at most that, but not into more than there are
        shards. Their owners follow each other, so that no shard has two.
        """
        parts = min(self.count, -(-stored.size // unit_bytes))
        number = (self.index - first_owner(stored.key, self.count)) % self.count
        if number >= parts:
            return None
        return stored.size * number // parts, stored.size * (number + 1) // parts

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


# Keys of one series, such as part-0.gz to part-7.gz, go to the shards in turn: a block of `count` numbers, which begins
# at a multiple of `count`, has an owner for each. A hash says where a block begins, so that numbers with gaps, such as
# times in steps of 60, are spread as well as any other keys:
#
#     key           block of 4    place    hash of "part-", block, ""    owner
#     part-0.gz     0             0        2                             2
#     part-1.gz     0             1        2                             3
#     part-3.gz     0             3        2                             1
#     part-4.gz     1             0        3                             3
def first_owner(key: str, count: int) -> int:
    """The shard that an object belongs to; of a divided one, its first part."""
    name = without_compression_ending(key)
    found = _LAST_NUMBER.search(name)
    start, end = found.span() if found else (len(name), len(name))
    block, place = divmod(int(name[start:end] or "0"), count)
    series = f"{name[:start]}\0{block}\0{key[end:]}".encode("utf-8", "surrogatepass")
    return (place + int.from_bytes(hashlib.blake2b(series, digest_size=8).digest())) % count
