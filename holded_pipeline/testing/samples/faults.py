"""The faults that a sample record can have: one of each kind that this library distinguishes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

import attrs

from holded_pipeline.testing.samples.messages import CONTEXT, MESSAGE_ID, TIMESTAMP

_TOO_DEEP = 150
_BEFORE_DATA = b'"data":{'


@attrs.frozen
class Fault:
    """One kind of fault.

    Attributes:
        name: what is wrong, e.g. `truncated`.
        stage: where a pipeline rejects such a record: `read`, `validate` or `write`.
        reason: the reason code of the rejection; None if the database server gives it.
        corrupt: a function `(message) -> bytes` that makes the faulty record from a good message.
    """

    name: str
    stage: Literal["read", "validate", "write"]
    reason: str | None
    corrupt: Callable[[dict[str, Any]], bytes] = attrs.field(repr=False)


Corrupt = Callable[[dict[str, Any]], bytes]


def _ascii(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _insert_member(member: bytes) -> Corrupt:
    """Inserts an invalid member at the start of the business document."""
    return lambda message: _ascii(message).replace(_BEFORE_DATA, _BEFORE_DATA + member + b",", 1)


def _change_data(change: Callable[[dict[str, Any]], object]) -> Corrupt:
    def corrupt(message: dict[str, Any]) -> bytes:
        data = dict(message["data"])
        change(data)
        return _ascii({**message, "data": data})

    return corrupt


def _change_headers(change: Callable[[dict[str, Any]], object]) -> Corrupt:
    def corrupt(message: dict[str, Any]) -> bytes:
        headers = dict(message.get("headers") or message["attributes"])
        change(headers)
        return _ascii({"data": message["data"], "headers": headers})

    return corrupt


def _truncate(message: dict[str, Any]) -> bytes:
    line = _ascii(message)
    return line[: len(line) * 2 // 3]


def _add_conflicting_headers(message: dict[str, Any]) -> bytes:
    headers = message.get("headers") or message["attributes"]
    return _ascii({"data": message["data"], "headers": headers, "attributes": {"type": "another"}})


_UNKNOWN_TYPE = {"type": r"Holded\Wallet\Domain\Card\Events\CardFrozenEvent"}

FAULTS: tuple[Fault, ...] = (
    Fault("broken_json", "read", "invalid_json", lambda message: _ascii(message).replace(b'":', b'"', 1)),
    Fault("truncated", "read", "invalid_json", _truncate),
    Fault("not_a_number", "read", "not_finite", _insert_member(b'"ratio":NaN')),
    Fault("invalid_utf8", "read", "invalid_utf8", _insert_member(b'"label":"caf\xe9"')),
    Fault("lone_surrogate", "read", "lone_surrogate", _insert_member(rb'"label":"\ud83d"')),
    Fault("nul_character", "read", "nul_character", _insert_member(rb'"label":"a\u0000b"')),
    Fault("duplicate_name", "read", "duplicate_name", _insert_member(b'"label":1,"label":2')),
    Fault("too_deep", "read", "too_deep", _insert_member(b'"tree":' + b"[" * _TOO_DEEP + b"]" * _TOO_DEEP)),
    Fault("not_an_object", "read", "not_an_object", lambda message: _ascii(message["data"]["id"])),
    Fault("missing_headers", "read", "missing_field", lambda message: _ascii({"data": message["data"]})),
    Fault("missing_data", "read", "missing_field", lambda m: _ascii({k: v for k, v in m.items() if k != "data"})),
    Fault("missing_type", "read", "missing_field", _change_headers(lambda headers: headers.pop("type"))),
    Fault("missing_company", "read", "missing_field", _change_headers(lambda headers: headers.pop(CONTEXT))),
    Fault("missing_timestamp", "read", "missing_field", _change_headers(lambda headers: headers.pop(TIMESTAMP))),
    Fault("missing_message_id", "read", "missing_field", _change_headers(lambda headers: headers.pop(MESSAGE_ID))),
    Fault("bad_timestamp", "read", "invalid_field", _change_headers(lambda h: h.update({TIMESTAMP: "yesterday"}))),
    Fault("bad_company", "read", "invalid_field", _change_headers(lambda h: h.update({CONTEXT: {"accountId": []}}))),
    Fault("conflicting_headers", "read", "conflicting_headers", _add_conflicting_headers),
    Fault("wrong_type", "validate", "schema_violation", _change_data(lambda data: data.update(id=12_345))),
    Fault("missing_required", "validate", "schema_violation", _change_data(lambda data: data.pop("id"))),
    Fault("bad_format", "validate", "schema_violation", _change_data(lambda data: data.update(createdAt="31/12/2025"))),
    Fault("out_of_enum", "validate", "schema_violation", _change_data(lambda data: data.update(status="teleported"))),
    Fault("below_minimum", "validate", "schema_violation", _change_data(lambda data: data.update(version=0))),
    Fault(
        "several_at_once", "validate", "schema_violation", _change_data(lambda d: d.update(status=None, version="two"))
    ),
    Fault(
        "unknown_type", "validate", "unknown_subject", _change_headers(lambda headers: headers.update(_UNKNOWN_TYPE))
    ),
    Fault("number_out_of_reach", "write", None, _insert_member(b'"exchangeRate":1e-20000')),
)
"""Every kind of fault.

`unknown_type` is only rejected where each type has a schema of its own (`subject="{type}"`), and
`number_out_of_reach` only by a database: PostgreSQL's JSONB holds numbers of up to 16,383 digits
behind the point.
"""
