"""Objects that are no JSON text are rejected under the name of their format; text is never taken for one."""

from __future__ import annotations

import io
import lzma
import random
import sqlite3
import tarfile
import zipfile

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.model import json_codec
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.store.compression import checked_text
from holded_pipeline.store.formats import require_text

TEXT = b'{"a": 1}\n' * 50
NOISE = random.Random(3).randbytes(400)


def zipped() -> bytes:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("a.jsonl", TEXT)
        return file.getvalue()


def tarred() -> bytes:
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            member = tarfile.TarInfo("a.jsonl")
            member.size = len(TEXT)
            archive.addfile(member, io.BytesIO(TEXT))
        return file.getvalue()


def database() -> bytes:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE t (a)")
        return connection.serialize()


def with_dictionary() -> bytes:
    samples = [b'{"type": "invoice", "n": %d}' % number for number in range(2000)]
    dictionary = zstandard.train_dictionary(2048, samples)
    return zstandard.ZstdCompressor(dict_data=dictionary).compress(TEXT)


FORMATS = {
    "zip": zipped(),
    "tar": tarred(),
    "SQLite": database(),
    "Parquet": b"PAR1" + NOISE,
    "Avro": b"Obj\x01" + NOISE,
    "ORC": b"ORC" + NOISE,
    "Arrow": b"ARROW1\0\0" + NOISE,
    "lzma": lzma.compress(TEXT, format=lzma.FORMAT_ALONE),
    "UTF-16": TEXT.decode().encode("utf-16"),
    "UTF-16 ": TEXT.decode().encode("utf-16-be"),
    "UTF-32": TEXT.decode().encode("utf-32"),
    "UTF-32 ": TEXT.decode().encode("utf-32-le"),
    "zstd with a dictionary": with_dictionary(),
    "MiB of memory": lzma.compress(TEXT, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30}]),
    "a binary format": bytes(range(32)) * 8,
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("step", [7, 1 << 16])
def test_a_format_is_named(name, step):
    body = FORMATS[name]
    chunks = [body[at : at + step] for at in range(0, len(body), step)]
    with pytest.raises(RejectRecord, match=name.strip()) as caught:
        b"".join(checked_text(lambda: iter(chunks)))
    assert caught.value.reason == "unsupported_format"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.lists(JSON, min_size=1, max_size=8), st.sampled_from([b"\n", b"\r\n", b"\r", b" "]))
def test_json_text_is_no_format(values, between):
    require_text(between.join(json_codec.encode(value) for value in values))


@pytest.mark.parametrize(
    "line", [b"ORC;1;2\n", b"PARE a line of words\n", b"PK first\n", b"%PDF- is a word here too\n"]
)
def test_words_that_begin_as_a_format_are_text(line):
    require_text(line * 10)
