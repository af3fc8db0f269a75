"""Read-only JSON values: what an enricher is given, so that it cannot change what is stored.

They are dicts and lists to `isinstance` and to every encoder. A copy (`dict(value)`, `value.copy()`, `copy.copy`,
`copy.deepcopy`, a pickle) is a plain dict or list; in the copy of `copy.deepcopy` everything can be changed. Code in C
can change them past their methods; `Draft.was_changed` detects that.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from itertools import compress
from typing import Any, NoReturn

CHANGE_REJECTED = (
    "tried to change the event, which enrichers only read: return what is to be added, "
    "or change a copy (copy.deepcopy(event.data))"
)
"""The message of the error that a change raises."""

_ATOMS: frozenset[type] = frozenset({str, int, float, bool, type(None), Decimal})


class _IsContainer(dict[type, bool]):
    """Whether a value of a type may have members; for a type that is not known, it may."""

    def __missing__(self, kind: type) -> bool:
        return True


_is_container = _IsContainer(dict.fromkeys(_ATOMS, False)).__getitem__  # called by `map`, without a step of Python
_set_member = dict.__setitem__


def _reject_change(*_: Any, **__: Any) -> NoReturn:
    raise TypeError(CHANGE_REJECTED)


def _mutable_copy(value: Any) -> Any:
    """A copy of the value and of everything in it, all of which can be changed."""
    if isinstance(value, dict):
        return {name: member if type(member) in _ATOMS else _mutable_copy(member) for name, member in value.items()}
    if isinstance(value, list):
        return [member if type(member) in _ATOMS else _mutable_copy(member) for member in value]
    return value


class FrozenDict(dict[str, Any]):
    """A dict whose methods raise instead of changing it."""

    __slots__ = ()

    __setitem__ = __delitem__ = __ior__ = _reject_change
    clear = pop = popitem = setdefault = update = _reject_change

    def copy(self) -> dict[str, Any]:
        """A plain dict of the same members."""
        return dict(self)

    __copy__ = copy

    def __deepcopy__(self, _: dict[int, Any]) -> Any:
        return _mutable_copy(self)

    def __reduce_ex__(self, _: Any) -> tuple[Any, ...]:
        return dict, (_mutable_copy(self),)


class FrozenList(list[Any]):
    """A list whose methods raise instead of changing it."""

    __slots__ = ()

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _reject_change
    append = clear = extend = insert = pop = remove = reverse = sort = _reject_change

    def copy(self) -> list[Any]:
        """A plain list of the same members."""
        return list(self)

    __copy__ = copy

    def __deepcopy__(self, _: dict[int, Any]) -> Any:
        return _mutable_copy(self)

    def __reduce_ex__(self, _: Any) -> tuple[Any, ...]:
        return list, (_mutable_copy(self),)


def read_only(value: Any) -> Any:
    """A read-only copy of a JSON value and of everything in it.

    Raises:
        RecursionError: it is nested too deep, or contains itself.
    """
    kind = type(value)
    if kind in _ATOMS or kind is FrozenDict or kind is FrozenList:
        return value
    if kind is dict:
        frozen = FrozenDict(value)
        for name in compress(frozen, map(_is_container, map(type, frozen.values()))):
            _set_member(frozen, name, read_only(frozen[name]))
        return frozen
    if kind is list or isinstance(value, list | tuple):
        return FrozenList([member if type(member) in _ATOMS else read_only(member) for member in value])
    if isinstance(value, Mapping):  # its methods may be a user's
        return FrozenDict({n: m if type(m) in _ATOMS else read_only(m) for n, m in value.items()})
    return value
