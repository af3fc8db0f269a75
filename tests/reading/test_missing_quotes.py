"""A string without its closing quote ends with its line: its record is rejected alone, the others are unaltered."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.reading.framing import frame

ROWS = [{"id": number, "p": text, "q": [1, {"r": "z"}]} for number, text in enumerate(["x", "a {b", "c} d", ""])]
STYLES = {
    "an element a line": lambda rows: "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n",
    "indented elements": lambda rows: "[\n  " + ",\n  ".join(map(json.dumps, rows)) + "\n]\n",
    "as json_agg writes": lambda rows: "[" + ", \n ".join(map(json.dumps, rows)) + "]\n",
    "printed array": lambda rows: json.dumps(rows, indent=2),
    "printed documents": lambda rows: "\n".join(json.dumps(row, indent=2) for row in rows),
}


@given(st.sampled_from(sorted(STYLES)), st.integers(0, 3), st.integers(1, 50))
def test_one_missing_quote_rejects_one_record(style, broken, size):
    marked = [{**row, "p": f"{row['p']}@{number}"} for number, row in enumerate(ROWS)]
    text = STYLES[style](marked).replace(f'@{broken}"', "").encode()
    framed = list(frame([text[at : at + size] for at in range(0, len(text), size)], key="raw/a.json"))
    assert len(framed) == len(ROWS)
    good = [json.loads(record.raw) for number, record in enumerate(framed) if number != broken]
    assert good == [row for number, row in enumerate(marked) if number != broken]


@pytest.mark.parametrize(
    "text",
    [
        b'[\n{"id":1,"p":"x},\n{"id":2},\n{"id":3}\n]',
        b'[\n{"id":1,"p":"x,"q":"{"},\n{"id":2},\n{"id":3}\n]',
        b'[\n{id":1},\n{"id":2},\n{"id":3}\n]',
        b'[\n{"id":1,"p":x"},\n{"id":2},\n{"id":3}\n]',
        b'[\n{"id":1,"p":"x\\\n"},\n{"id":2},\n{"id":3}\n]',
        b'[\n"x,\n{"id":2},\n{"id":3}\n]',
        b'[\n{"id":1]},\n{"id":2},\n{"id":3}\n]',
        b'[\n{"id":[1},\n{"id":2},\n{"id":3}\n]',
        b'[\n{"id":1}},\n{"id":2},\n{"id":3}\n]',
    ],
)
def test_a_quote_or_bracket_too_few_or_too_many_does_not_include_the_next_element(text):
    _, second, third = frame([text], key="raw/a.json")
    assert (second.raw, second.item, third.raw, third.item) == (b'{"id":2}', 2, b'{"id":3}', 3)


def test_arrays_after_one_with_a_missing_quote_are_read():
    text = b'[{"a":1},\n {"a":"x}]\n[{"a":3},\n {"a":4}]'
    assert [(r.line, r.item) for r in frame([text], key="raw/a.json")] == [(1, 1), (1, 2), (3, 1), (3, 2)]
