"""What a JSON Schema says about a value, as far as a column can say it: types, members, limits."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any, Final

import attrs

TYPES: Final = frozenset({"null", "boolean", "object", "array", "string", "integer", "number"})
_NOT_READ: Final = (
    "$dynamicRef",
    "$recursiveRef",
    "dependencies",
    "dependentSchemas",
    "else",
    "patternProperties",
    "then",
    "unevaluatedProperties",
)
"""Keywords that may declare members, which no column is made for."""

Located = tuple[Any, Any]
"""A schema, and the resolver of `referencing` for its references."""


@attrs.frozen
class Part:
    """What a schema says about a value.

    Attributes:
        types: the JSON types that it may have. A number that may be an integer has both.
        members: for each declared member, the schemas that it must fit (each group of them is an alternative).
        required: the members that are always there.
        is_closed: whether other members are not allowed.
        limits: the keywords `format`, `maxLength`, `minimum` and `maximum`.
        not_read: keywords that say more, which no column is made for.
        chain: the schemas that this was read from, by identity; for recursion.
    """

    types: frozenset[str] = TYPES
    members: Mapping[str, tuple[tuple[Located, ...], ...]] = attrs.field(factory=dict)
    required: frozenset[str] = frozenset()
    is_closed: bool = False
    limits: Mapping[str, Any] = attrs.field(factory=dict)
    not_read: frozenset[str] = frozenset()
    chain: frozenset[int] = frozenset()

    def both(self, other: Part) -> Part:
        """A value that fits both."""
        members = dict(self.members)
        for name, groups in other.members.items():
            own = members.get(name, ((),))
            members[name] = tuple(one + more for one in own for more in groups)
        return Part(
            self.types & other.types,
            members,
            self.required | other.required,
            self.is_closed or other.is_closed,
            _narrower(self.limits, other.limits),
            self.not_read | other.not_read,
            self.chain | other.chain,
        )

    def either(self, other: Part) -> Part:
        """A value that fits one of them."""
        members = {name: (*self.members.get(name, ()), *other.members.get(name, ())) for name in self.members}
        members |= {name: groups for name, groups in other.members.items() if name not in members}
        required = self.required & other.required
        return Part(
            self.types | other.types,
            members,
            required,
            self.is_closed and other.is_closed,
            {name: value for name, value in self.limits.items() if other.limits.get(name) == value},
            self.not_read | other.not_read,
            self.chain | other.chain,
        )


class PartReader:
    """Reads schemas.

    Args:
        specification: of the schemas' draft, as `referencing` has it.
        ref_stands_alone: whether keywords beside a `$ref` are ignored, as in drafts 4, 6 and 7.
    """

    def __init__(self, specification: Any, *, ref_stands_alone: bool) -> None:
        self._specification = specification
        self._ref_stands_alone = ref_stands_alone

    def read_member(self, alternatives: tuple[tuple[Located, ...], ...], chain: frozenset[int]) -> Part:
        """What `Part.members` says about one member; `chain` is that of the parts around it."""
        return _either([self._all(group, chain) for group in alternatives])

    def read(self, located: Located, chain: frozenset[int] = frozenset()) -> Part:
        """What a schema says.

        {"allOf": [{"$ref": "money.json"}, {"maximum": 9}]} is what both of these say. {"anyOf": [{"type": "null"}, …]}
        is what any of them says.
        """
        schema, resolver = located
        if schema is False:
            return Part(types=frozenset())
        if not isinstance(schema, Mapping) or id(schema) in chain:
            return Part()
        chain |= {id(schema)}
        if isinstance(schema.get("$id"), str):
            resolver = resolver.in_subresource(self._specification.create_resource(schema))
        refers = isinstance(schema.get("$ref"), str)
        part = Part(chain=chain) if refers and self._ref_stands_alone else _own_part(schema, resolver, chain)
        if refers:
            found = resolver.lookup(schema["$ref"])
            part = part.both(self.read((found.contents, found.resolver), chain))
            if self._ref_stands_alone:
                return part
        if isinstance(schema.get("allOf"), list):
            part = part.both(self._all(tuple((each, resolver) for each in schema["allOf"]), chain))
        for keyword in ("anyOf", "oneOf"):
            if isinstance(schema.get(keyword), list):
                part = part.both(_either([self.read((each, resolver), chain) for each in schema[keyword]]))
        return part

    def _all(self, group: tuple[Located, ...], chain: frozenset[int]) -> Part:
        return reduce(Part.both, (self.read(each, chain) for each in group), Part(chain=chain))


def _either(parts: list[Part]) -> Part:
    """One of several; null alone says nothing about what the others are, so it adds only its type."""
    null = frozenset({"null"})
    others = [part for part in parts if part.types and part.types != null]
    if not others:
        return parts[0] if parts else Part()
    union = reduce(Part.either, others)
    return attrs.evolve(union, types=union.types | null) if any(part.types == null for part in parts) else union


def _own_part(schema: Any, resolver: Any, chain: frozenset[int]) -> Part:
    """What the keywords of a schema say themselves."""
    types = schema.get("type", TYPES)
    types = frozenset({types} if isinstance(types, str) else types)
    types |= {"integer"} if "number" in types else frozenset()
    for values in ([schema["const"]] if "const" in schema else None, schema.get("enum")):
        if isinstance(values, list):
            types &= frozenset(name for value in values for name in _types_of(value))
    limits = {name: schema[name] for name in ("format", "maxLength", "minimum", "maximum") if name in schema}
    declared = schema.get("properties")
    members = {name: (((each, resolver),),) for name, each in declared.items()} if isinstance(declared, Mapping) else {}
    required = schema.get("required")
    return Part(
        types & TYPES,
        members,
        frozenset(required if isinstance(required, list) else ()),
        schema.get("additionalProperties") is False or schema.get("unevaluatedProperties") is False,
        limits,
        frozenset(name for name in _NOT_READ if schema.get(name) not in (None, False, True, {})),
        chain,
    )


def _types_of(value: Any) -> set[str]:
    if value is None or isinstance(value, bool):
        return {"null"} if value is None else {"boolean"}
    if isinstance(value, int):
        return {"integer"}
    for kind, name in ((str, "string"), (list, "array"), (Mapping, "object")):
        if isinstance(value, kind):
            return {name}
    return {"integer", "number"}


def _narrower(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """The limits of a value that keeps both."""
    choose: dict[str, Any] = {"maxLength": min, "maximum": min, "minimum": max, "format": lambda first, _: first}
    common = {name: choose[name](one[name], other[name]) for name in one if name in other}
    return {**one, **other, **common}
