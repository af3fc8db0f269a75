"""Reference data in an object, as rows by key: CSV with a header, a JSON array or object, or JSON lines."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, get_args

import attrs

from holded_pipeline.model import json_codec
from holded_pipeline.model.errors import ConfigurationError, RejectRecord
from holded_pipeline.store.compression import without_compression_ending

Format = Literal["csv", "json", "jsonl"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

_ENDINGS: Final[Mapping[str, Format]] = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl"}


def format_of(name: str) -> Format:
    """The format of an object, by the extension of its name.

    Raises:
        ValueError: the extension is not known.
    """
    plain = without_compression_ending(name)
    for ending, kind in _ENDINGS.items():
        if plain.endswith(ending):
            return kind
    raise ValueError(f'the name {name!r} has no extension that tells its format; give format="csv", "json" or "jsonl"')


def key_text(value: Any) -> str | None:
    """A value as key: a text as it is, an integer as its digits; None for other values, which are no keys."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


@attrs.frozen
class ReferenceFormat:
    """How the rows of an object are parsed.

    Attributes:
        format: `csv`, `json` or `jsonl`.
        key: the column that rows are found by; None for a JSON object, whose names are the keys.
        columns: the columns to keep; None for all but the key.
    """

    format: Format
    key: str | None
    columns: tuple[str, ...] | None

    def rows(self, text: bytes) -> dict[str, dict[str, Any]]:
        """The rows by their key. Values of CSV are texts; those of JSON keep their type, to the last digit.

        Raises:
            ConfigurationError: the text is not of this format, lacks a column, or has a key twice; says where.
        """
        found: dict[str, dict[str, Any]] = {}
        for position, key, row in self._parse(text):
            if key is None:
                raise ConfigurationError(f"{position} has no text or integer as {self.key!r}, which is its key")
            if key in found:
                raise ConfigurationError(
                    f"{position} has the key {key!r}, which an earlier row has too; keep one of them"
                )
            found[key] = row
        return found

    def _parse(self, text: bytes) -> Iterator[tuple[str, str | None, dict[str, Any]]]:
        if self.format == "csv":
            return self._parse_csv(text)
        if self.format == "jsonl":
            lines = enumerate(text.split(b"\n"), 1)
            return self._rows_of_objects(
                (f"line {number}", _decode(line, number)) for number, line in lines if line.strip()
            )
        return self._parse_document(_decode(text, None))

    def _parse_csv(self, text: bytes) -> Iterator[tuple[str, str | None, dict[str, Any]]]:
        try:
            reader = csv.reader(io.StringIO(text.decode("utf-8-sig"), newline=""), strict=True)
            header = next(reader, [])
            columns = self._column_positions(header)
            key = header.index(self.key or "")
            for row in reader:
                position = f"line {reader.line_num}"
                if not row:
                    continue
                if len(row) != len(header):
                    raise ConfigurationError(f"{position} has {len(row)} fields, and the header {len(header)}")
                if any("\0" in field for field in row):
                    raise ConfigurationError(f"{position} holds U+0000, which PostgreSQL cannot store; remove it")
                yield position, row[key], {name: row[index] for name, index in columns.items()}
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"byte {error.start} is not UTF-8: {error.reason}") from error
        except csv.Error as error:
            raise ConfigurationError(f"line {reader.line_num} is not CSV: {error}") from error

    def _column_positions(self, header: Sequence[str]) -> dict[str, int]:
        twice = sorted(name for name, times in Counter(header).items() if times > 1)
        if twice:
            raise ConfigurationError(f"the header names {twice[0]!r} twice")
        wanted = [name for name in header if name != self.key] if self.columns is None else self.columns
        missing = [name for name in (self.key or "", *wanted) if name not in header]
        if missing:
            raise ConfigurationError(f"the header has no column {missing[0]!r}; it has: {', '.join(header) or 'none'}")
        return {name: header.index(name) for name in wanted}

    def _parse_document(self, document: Any) -> Iterator[tuple[str, str | None, dict[str, Any]]]:
        if isinstance(document, list):
            return self._rows_of_objects((f"element {number}", element) for number, element in enumerate(document))
        if not isinstance(document, dict):
            raise ConfigurationError("it is neither an array nor an object")
        if self.key is not None:
            raise ConfigurationError("it is one object, whose names are the keys; omit key=")
        return ((f"the name {name!r}", name, self._select_columns(value)) for name, value in document.items())

    def _rows_of_objects(self, rows: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, str | None, dict[str, Any]]]:
        if self.key is None:
            raise ConfigurationError("its rows need a key column; name it with key=")
        for position, row in rows:
            if not isinstance(row, dict):
                raise ConfigurationError(f"{position} is not an object")
            yield position, key_text(row.get(self.key)), self._select_columns(row)

    def _select_columns(self, row: Any) -> dict[str, Any]:
        if not isinstance(row, dict):
            return {"value": row}
        if self.columns is None:
            return {name: value for name, value in row.items() if name != self.key}
        return {name: row.get(name) for name in self.columns}


def _decode(text: bytes, line: int | None) -> Any:
    try:
        return json_codec.decode(text)
    except RejectRecord as fault:
        raise ConfigurationError(f"{'it' if line is None else f'line {line}'} is not JSON: {fault.message}") from fault
