"""JSON, decoded and encoded without altering a value.

`decode` accepts RFC 8259, but rejects what cannot be stored unaltered: NaN and Infinity, lone surrogates, U+0000
(PostgreSQL cannot store it), a name twice in one object (readers disagree on which counts), and nesting beyond a limit.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NoReturn

import msgspec

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.json_names import reject_duplicate_names
from holded_pipeline.model.json_numbers import (
    MAX_INTEGER_DIGITS,
    MAX_NUMBER_GROWTH,
    MAX_STORED_GROWTH,
    NumberTooLargeError,
    begin_document,
    check_decimal,
    doubles_may_grow,
    growth_for,
    has_long_integer,
    parse_common_number,
    parse_number,
    parse_sent_integer,
    parse_sent_number,
)
from holded_pipeline.model.json_strings import has_surrogate, is_storable, strings_of

MAX_DEPTH = 100
"""Levels of nesting accepted by default. Far above any business document, far below what breaks a parser."""

DEEPEST = 500
"""The largest `max_depth`: Python bounds how deeply calls may be nested, and decoding runs within other calls."""

_MAX_SEARCH_DEPTH = 1_000  # levels after which a value made by code is assumed to contain itself
_MAX_INTEGER_BITS = (10**MAX_INTEGER_DIGITS).bit_length() - 1
_BOM = b"\xef\xbb\xbf"
# Possessive quantifiers (*+): backtracking would keep over 100 bytes for each byte of a string. A string without an end
# goes to the end of the text: to look for its end again from each quote within it would take quadratic time.
_BRACKETS_OUTSIDE_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|([\[{])|([\]}])', re.DOTALL)


_decoder = msgspec.json.Decoder(float_hook=parse_number)
_sent_decoder = msgspec.json.Decoder(float_hook=parse_sent_number)
_encoder = msgspec.json.Encoder(decimal_format="number")
_grammar = msgspec.json.Decoder(msgspec.Raw)


encode: Callable[[Any], bytes] = _encoder.encode
"""Compact UTF-8 JSON of a JSON value; big integers and Decimals as numbers, in full.

Raises:
    TypeError: `value` contains something that JSON has no form for. NaN and Infinity: see `check_json_value`.
"""

decode_own: Callable[[bytes], Any] = _decoder.decode
"""The JSON value of what `encode` wrote: as exact as `decode`, without its checks."""

decode_common: Callable[[bytes], Any] = msgspec.json.Decoder(float_hook=parse_common_number).decode
"""The same for what was sent; ValueError for numbers that `decode` has to look at."""


def decode_bounded(text: bytes) -> Any:
    """The same, with a bound on what numbers grow to; ValueError if they grow to more."""
    begin_document(MAX_STORED_GROWTH)
    return _sent_decoder.decode(text)


def is_json(text: bytes) -> bool:
    """Whether it is one JSON value by the grammar; `decode` may reject it all the same."""
    try:
        _grammar.decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def decode(raw: bytes, *, max_depth: int = MAX_DEPTH, max_growth: int | None = None) -> Any:
    """The JSON value of `raw`, exact to the last digit.

    A byte order mark before it is skipped. Integers are `int` of any size, other numbers `float` where that is
    exact, else `Decimal`. Its numbers may grow by `max_growth` digits; without it, by what suits its size.

    Raises:
        RejectRecord: `invalid_utf8`, `invalid_json`, `not_finite`, `lone_surrogate`, `nul_character`,
            `duplicate_name`, `number_too_large` or `too_deep`, with the position in the text where it is known.
    """
    text = raw.removeprefix(_BOM)
    if text.count(b"[") + text.count(b"{") > max_depth and _depth(text) > max_depth:
        raise RejectRecord("too_deep", f"the document is nested more than {max_depth} levels deep; flatten it")
    most_growth = growth_for(len(text)) if max_growth is None else max_growth
    begin_document(most_growth)
    try:
        value = _sent_decoder.decode(text)
    except (ValueError, RecursionError, ArithmeticError) as error:
        begin_document(most_growth)
        _raise_reason(text, error)
    if b"\\u0000" in text:
        _reject_nul(value)
    _reject_duplicate_names(text, value)
    return value


def _depth(text: bytes) -> int:
    depth = deepest = 0
    for match in _BRACKETS_OUTSIDE_STRINGS.finditer(text):
        if match[1]:
            depth += 1
            deepest = max(deepest, depth)
        elif match[2]:
            depth -= 1
    return deepest


def _raise_reason(text: bytes, error: Exception) -> NoReturn:
    """Raises `RejectRecord` with the reason for which the fast decoder failed; slow, so only called after a failure."""
    try:
        decoded = text.decode()
    except UnicodeDecodeError as fault:
        raise RejectRecord("invalid_utf8", f"byte {fault.start} is not UTF-8: {fault.reason}{_hint(text)}") from error
    try:
        value = json.loads(
            decoded, parse_constant=_reject_constant, parse_float=parse_sent_number, parse_int=parse_sent_integer
        )
    except NumberTooLargeError as fault:
        raise RejectRecord("number_too_large", f"a number cannot be kept: {fault}") from error
    except json.JSONDecodeError as fault:
        position = f"line {fault.lineno}, column {fault.colno}"
        raise RejectRecord("invalid_json", f"not JSON: {fault.msg} at {position}{_hint(text)}") from error
    except (ValueError, ArithmeticError, RecursionError) as fault:
        raise RejectRecord("invalid_json", f"not a JSON value that can be kept unaltered: {fault}") from error
    if any(has_surrogate(string) for string in strings_of(value)):
        raise RejectRecord("lone_surrogate", "a \\ud800-\\udfff escape stands without its other half") from error
    raise RejectRecord("invalid_json", f"not JSON: {error}") from error


def _hint(text: bytes) -> str:
    return "; it looks like UTF-16 or UTF-32, send UTF-8" if b"\0" in text else ""


def _reject_constant(name: str) -> NoReturn:
    raise RejectRecord("not_finite", f"{name} is not a JSON number; send null, or leave the field out")


def _reject_nul(value: Any) -> None:
    if any("\0" in string for string in strings_of(value)):
        raise RejectRecord("nul_character", "a string holds \\u0000, which PostgreSQL cannot store; remove it")


def _reject_duplicate_names(text: bytes, value: Any) -> None:
    """Rejects a text with an object that has a name twice, of which decoding kept the last member only."""
    # A dropped member drops its colon, so equal numbers of colons prove that no name occurred twice:
    #   {"a":1,"b":":"}      has 3 colons, and its value encodes to {"a":1,"b":":"}, which has 3: no name twice.
    #   {"a":1,"a":2}        has 2 colons, and its value encodes to {"a":2}, which has 1: a name may occur twice.
    #   {"a":1,"a":"\u003a"}  has 2 colons, and its value encodes to {"a":":"}, which has 2, too: an escaped colon makes
    #                        up for the dropped one. So a text with such an escape is checked the slow way.
    if text.count(b":") == encode(value).count(b":") and b"\\u003" not in text:
        return
    reject_duplicate_names(text)


def encode_checked(value: Any) -> bytes:
    """`encode` for a value in which code may have put NaN or Infinity.

    Raises:
        TypeError: `value` contains something that JSON has no form for.
    """
    encoded = encode(value)
    # What NaN and Infinity become, the exponent of a Decimal, one without exponent, and those of very many floats
    is_suspect = b"null" in encoded or b"E+" in encoded or b"E-" in encoded or has_long_integer(encoded)
    if is_suspect or doubles_may_grow(encoded, MAX_STORED_GROWTH):
        check_json_value(value)
    return encoded


def check_json_value(value: Any) -> None:
    """Checks that a value made by code is JSON, so that `decode(encode(value))` equals it.

    Raises:
        TypeError: it contains a type, a non-string key, or a number that JSON has no form for; the message says where.
    """
    if not _survives_encoding(value):
        _raise_for_non_json(value)


def plain_copy(value: Any, *, max_bytes: int) -> tuple[Any, bytes]:
    """A copy, in new dicts and lists, of a JSON value made by code; and its JSON text.

    Raises:
        TypeError: it is not JSON (see `check_json_value`), has more than `max_bytes` bytes as JSON, or is nested more
            than `MAX_DEPTH` levels deep, as a value that contains itself is.
    """
    try:
        encoded = _encoder.encode(value)
    except RecursionError as error:
        raise TypeError("it contains itself, or is nested too deep") from error
    except (TypeError, ValueError, ArithmeticError) as error:
        _raise_for_non_json(value)
        raise TypeError(f"{error}; give plain Python values") from error
    if len(encoded) > max_bytes:
        raise TypeError(f"it has {len(encoded):,} bytes as JSON, and {max_bytes:,} are kept")
    if encoded.count(b"[") + encoded.count(b"{") > MAX_DEPTH and _depth(encoded) > MAX_DEPTH:
        raise TypeError(f"it is nested more than {MAX_DEPTH} levels deep")
    begin_document(MAX_NUMBER_GROWTH)
    try:
        copy = _sent_decoder.decode(encoded)
    except msgspec.ValidationError as error:
        raise TypeError(f"it cannot be kept: {error.__cause__ or error}") from error
    if copy != value or b"\\u0000" in encoded:
        _raise_for_non_json(value)
        encoded = _encoder.encode(copy)
    return copy, encoded


def _survives_encoding(value: Any) -> bool:
    """Proves in C that a value is JSON. False proves nothing: a tuple is JSON, but decodes to a list."""
    try:
        encoded = _encoder.encode(value)
        begin_document(MAX_STORED_GROWTH)
        return b"\\u0000" not in encoded and bool(_sent_decoder.decode(encoded) == value)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, NumberTooLargeError):
            raise TypeError(f"it is no JSON that can be kept: {error.__cause__}") from error
        return False
    except (TypeError, ValueError, ArithmeticError, RecursionError):
        return False


def _raise_for_non_json(value: Any) -> None:
    pending: list[tuple[str, Any]] = [("", value)]
    while pending:
        pointer, current = pending.pop()
        if current is None or isinstance(current, bool):
            continue
        if isinstance(current, str):
            _check_string(pointer, current)
        elif pointer.count("/") > _MAX_SEARCH_DEPTH:
            raise TypeError(f"it contains itself, or is nested more than {_MAX_SEARCH_DEPTH} levels deep")
        elif isinstance(current, int | float | Decimal):
            _check_number(pointer, current)
        elif isinstance(current, dict):
            for name, member in current.items():
                if not isinstance(name, str):
                    raise TypeError(f"the key {name!r} at {pointer or 'the top'} is not a string")
                _check_string(pointer, name)
                pending.append((f"{pointer}/{name}", member))
        elif isinstance(current, list | tuple):
            pending.extend((f"{pointer}/{index}", member) for index, member in enumerate(current))
        else:
            raise TypeError(f"{type(current).__name__} at {pointer or 'the top'} is not a JSON value")


def _check_number(pointer: str, number: float | Decimal) -> None:
    if isinstance(number, int):
        if number.bit_length() > _MAX_INTEGER_BITS:
            raise TypeError(f"an integer at {pointer or 'the top'} has more than {MAX_INTEGER_DIGITS:,} digits")
        return
    # math.isfinite goes through a float, which a large Decimal does not fit
    if not (number.is_finite() if isinstance(number, Decimal) else math.isfinite(number)):
        raise TypeError(f"{number!r} at {pointer or 'the top'} is not a JSON number")
    if isinstance(number, Decimal):
        try:
            check_decimal(number)
        except NumberTooLargeError as error:
            raise TypeError(f"a number at {pointer or 'the top'} cannot be kept: {error}") from error


def _check_string(pointer: str, string: str) -> None:
    if not is_storable(string):
        raise TypeError(f"a string at {pointer or 'the top'} contains U+0000 or a lone surrogate")
