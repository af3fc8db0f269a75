"""JSON values that cannot be changed: what an enricher is given, so that it cannot alter what is stored.

They are dicts and lists by `isinstance` and to every encoder. A copy of one (`dict(value)`, `value.copy()`,
`copy.copy`, `copy.deepcopy`, a pickle) is a plain dict or list; `copy.deepcopy` makes one that can be changed all
through. Since they are, code in C can change them without asking them; `Draft.was_changed` tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn

CHANGE_REJECTED = (
    "tried to change the event, which enrichers only read: return what is to be added, "
    "or change a copy (copy.deepcopy(event.data))"
)
"""What a change is answered with."""

_ATOMS = frozenset({str, int, float, bool, type(None), Decimal})


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise TypeError(CHANGE_REJECTED)


def _plain(value: Any) -> Any:
    """A copy that can be changed, of the value and of everything in it."""
    if isinstance(value, dict):
        return {name: member if type(member) in _ATOMS else _plain(member) for name, member in value.items()}
    if isinstance(value, list):
        return [member if type(member) in _ATOMS else _plain(member) for member in value]
    return value


class FrozenDict(dict[str, Any]):
    """A dict whose methods refuse to change it."""

    __slots__ = ()

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def copy(self) -> dict[str, Any]:
        """A plain dict of the same members."""
        return dict(self)

    __copy__ = copy

    def __deepcopy__(self, _: dict[int, Any]) -> Any:
        return _plain(self)

    def __reduce_ex__(self, _: Any) -> tuple[Any, ...]:
        return dict, (_plain(self),)


class FrozenList(list[Any]):
    """A list whose methods refuse to change it."""

    __slots__ = ()

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def copy(self) -> list[Any]:
        """A plain list of the same members."""
        return list(self)

    __copy__ = copy

    def __deepcopy__(self, _: dict[int, Any]) -> Any:
        return _plain(self)

    def __reduce_ex__(self, _: Any) -> tuple[Any, ...]:
        return list, (_plain(self),)


def read_only(value: Any) -> Any:
    """A copy of a JSON value that cannot be changed, nor anything in it.

    Raises:
        RecursionError: it is nested too deep, or holds itself.
    """
    kind = type(value)
    if kind in _ATOMS or kind is FrozenDict or kind is FrozenList:
        return value
    if isinstance(value, Mapping):
        return FrozenDict({n: m if type(m) in _ATOMS else read_only(m) for n, m in value.items()})
    if isinstance(value, list | tuple):
        return FrozenList([m if type(m) in _ATOMS else read_only(m) for m in value])
    return value
