"""A codec that is put into the table of codecs is read and written everywhere."""

from __future__ import annotations

import bz2
from typing import get_args

import apache_beam as beam
import attrs
import pytest
from event_factory import make_event
from pipeline_runs import run_enrich
from store_contents import objects_below, put_object

import holded_pipeline as hp
from holded_pipeline.enriching.reference_data import format_of
from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.store.compression import CODECS, Codec, Compression

MAGIC = b"BZh"


def decompress_bz2(chunks):
    decompressor = bz2.BZ2Decompressor()
    try:
        for chunk in chunks:
            yield decompressor.decompress(chunk)
    except OSError as error:
        raise RejectRecord("corrupt_compression", f"the bzip2 data are damaged: {error}") from error
    if not decompressor.eof:
        raise RejectRecord("corrupt_compression", "the bzip2 data end in the middle")


@pytest.fixture
def bzip2(monkeypatch):
    """The name of a codec that is in the table during one test."""
    monkeypatch.setitem(CODECS, "bzip2", Codec(".bz2", (MAGIC,), decompress_bz2, bz2.BZ2Compressor))
    return "bzip2"


def read(run, lake, prefix, **settings):
    return run(lambda p: (p | hp.ReadMinIO(lake, prefix, **settings))._asdict())


def test_type_checkers_know_every_codec():
    assert get_args(Compression) == tuple(CODECS)


def test_written_events_read_back(run, lake, bzip2):
    events = [make_event(number, source=hp.Source("b", "raw/a", "e", number + 1)) for number in range(3)]
    run(lambda p: {"written": p | beam.Create(events) | hp.WriteMinIO(lake, "enriched/", compression=bzip2)})
    stored = objects_below(lake, "enriched/")
    assert stored
    assert all(key.endswith(".jsonl.bz2") and body.startswith(MAGIC) for key, body in stored.items())
    ran = read(run, lake, "enriched/", envelope="event")
    assert ran["rejected"] == []
    assert sorted((attrs.evolve(e, raw=b"") for e in ran["passed"]), key=lambda e: e.id) == events


def test_written_rejections_read_back(run, lake, bzip2):
    put_object(lake, "raw/a.jsonl", b"{}\n")
    run(
        lambda p: {
            "written": (p | hp.ReadMinIO(lake, "raw/")).rejected | hp.WriteRejected(lake, "bad/", compression=bzip2)
        }
    )
    assert [key.endswith(".jsonl.bz2") for key in objects_below(lake, "bad/")] == [True]
    ran = run(lambda p: (p | hp.ReadRejected(lake, "bad/"))._asdict())
    assert [(each.raw, each.attempts) for each in ran["rejected"]] == [(b"{}", 2)]


def test_a_damaged_object_is_one_rejection(run, lake, bzip2):
    put_object(lake, "raw/a.jsonl.bz2", bz2.compress(b"{}\n{}\n")[:-5])
    ran = read(run, lake, "raw/")
    assert [(each.reason, each.payload_kind) for each in ran["rejected"]] == [("corrupt_compression", "object")]


@pytest.mark.parametrize("name", ["gzip", "zstd", "bzip2"])
def test_a_key_says_lines_before_the_ending_of_its_codec(run, lake, bzip2, name):
    del bzip2  # which puts it into the table
    compressor = CODECS[name].compressor()
    body = compressor.compress(b'{"a":\n1}\n') + compressor.flush()
    for ending in (".jsonl", ".NDJSON", ".json"):
        put_object(lake, f"raw/a{ending}{CODECS[name].ending}", body)
    found = sorted((each.source.key.split(".")[1], each.raw) for each in read(run, lake, "raw/")["rejected"])
    lines = [b"1}", b'{"a":']
    assert found == [
        *(("NDJSON", line) for line in lines),
        ("json", b'{"a":\n1}'),
        *(("jsonl", line) for line in lines),
    ]


def test_a_lookup_reads_an_object_of_it(run, lake, bzip2):
    del bzip2
    put_object(lake, "reference/companies.csv.bz2", bz2.compress(b"id,name\nc,Acme\n"))
    assert format_of("reference/companies.csv.bz2") == "csv"
    companies = hp.Lookup.object(
        lake, "reference/companies.csv.bz2", of=lambda event: event.company_id, key="id", name="company"
    )
    ran = run_enrich(run, companies, events=[make_event()])
    assert ran["passed"][0].metadata["company"]["name"] == "Acme"


def test_a_name_outside_the_table_is_rejected_with_the_names_in_it(lake, bzip2):
    del bzip2
    with pytest.raises(ValueError, match="compression must be 'gzip', 'zstd', 'bzip2', 'xz' or None, got 'brotli'"):
        hp.WriteMinIO(lake, "enriched/", compression="brotli")
