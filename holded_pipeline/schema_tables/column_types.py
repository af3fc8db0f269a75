"""The column type for what a JSON Schema says about a value."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

_INT32 = (-(2**31), 2**31 - 1)
_INT64 = (-(2**63), 2**63 - 1)
_MAX_VARCHAR = 10_485_760
_NUMBER = frozenset({"integer", "number"})


def column_type(types: frozenset[str], limits: Mapping[str, Any]) -> sa.types.TypeEngine[Any]:
    """The type of a column for values of these JSON types, null apart.

    {"integer"} with {"minimum": 0, "maximum": 100} is INTEGER, without limits BIGINT. Numbers are NUMERIC, which keeps
    every digit. Several types, objects and arrays are JSONB.
    """
    if types == {"boolean"}:
        return sa.Boolean()
    if types == {"integer"}:
        return _integer_type(limits)
    if types and types <= _NUMBER:
        return sa.Numeric()
    return _text_type(limits) if types == {"string"} else JSONB()


def _integer_type(limits: Mapping[str, Any]) -> sa.types.TypeEngine[Any]:
    low, high = limits.get("minimum"), limits.get("maximum")
    if any(isinstance(limit, int | float | Decimal) and not _INT64[0] <= limit <= _INT64[1] for limit in (low, high)):
        return sa.Numeric()
    if low is not None and high is not None and low >= _INT32[0] and high <= _INT32[1]:
        return sa.Integer()
    return sa.BigInteger()


def _text_type(limits: Mapping[str, Any]) -> sa.types.TypeEngine[Any]:
    by_format: dict[Any, sa.types.TypeEngine[Any]] = {
        "date-time": sa.TIMESTAMP(timezone=True),
        "date": sa.Date(),
        "uuid": sa.Uuid(as_uuid=False),
    }
    found = by_format.get(limits.get("format"))
    if found is not None:
        return found
    longest = limits.get("maxLength")
    return sa.String(longest) if isinstance(longest, int) and 0 < longest <= _MAX_VARCHAR else sa.Text()
