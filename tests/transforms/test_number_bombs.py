"""Small records with numbers that are huge when they are written out never reach the table."""

from __future__ import annotations

import json
from decimal import Decimal

import apache_beam as beam
import psycopg
import pytest

import holded_pipeline as hp

BOMBS = {
    "one number": "1e999999999",
    "one that no driver reads": "1e4300",
    "one that postgresql takes": "1e131071",
    "one, negative": "1e-999999999",
    "beyond decimal": "1e99999999999999999999",
    "many": "[" + ",".join(["1e131071"] * 9_000) + "]",
    "many that are shorter": "[" + ",".join(["1e4299"] * 9_000) + "]",
    "many fractions": "[" + ",".join(["1e-16383"] * 9_000) + "]",
    "many that fit a double": "[" + ",".join(["1e308"] * 80_000) + "]",
}


def message(number_text):
    document = json.loads(json.dumps(hp.testing.sample_documents(1)[0]))
    document["data"]["n"] = "@"
    return json.dumps(document, separators=(",", ":")).replace('"@"', number_text).encode()


def put(lake, *records):
    lake.filesystem().pipe(f"{lake.bucket}/raw/a.jsonl", b"".join(record + b"\n" for record in records))


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_record_whose_numbers_grow_too_much_is_rejected_when_it_is_read(run, lake, bomb):
    put(lake, message(bomb), message("1e3"))
    ran = run(lambda p: (p | hp.ReadMinIO(lake, "raw/"))._asdict())
    assert [each.reason for each in ran["rejected"]] == ["number_too_large"]
    assert len(ran["passed"]) == 1


def grow(event):
    return {"n": [Decimal("1e4299")] * int(event.data["n"])}


def grow_beyond(event):
    return {"n": Decimal("1e999999") if event.data["n"] > 1 else 1}


@pytest.mark.parametrize("enricher", [grow, grow_beyond])
def test_what_an_enricher_adds_is_bounded_too(run, lake, enricher):
    put(lake, message("9000"), message("1"))

    def build(p):
        return ((p | hp.ReadMinIO(lake, "raw/")).passed | hp.Enrich(enricher))._asdict()

    ran = run(build)
    assert [each.reason for each in ran["rejected"]] == ["enricher_output"]
    assert "digits" in ran["rejected"][0].message
    assert len(ran["passed"]) == 1


@pytest.mark.parametrize(("number", "count"), [("1e308", 40_000), ("1e4299", 20), ("1e-16383", 5), ("5e-324", 1)])
def test_what_was_accepted_can_be_read_again(run, lake, db, number, count):
    numbers = [number] * count
    put(lake, message(f"[{','.join(numbers)}]"))

    def build(p):
        raw = p | hp.ReadMinIO(lake, "raw/")
        stored = raw.passed | hp.Enrich(grow_as_much_as_is_kept)
        loaded = stored.passed | hp.WritePostgres(db)
        return {
            "written": stored.passed | hp.WriteMinIO(lake, "enriched/"),
            "loaded": loaded.passed,
            "rejected": (raw.rejected, stored.rejected, loaded.rejected) | beam.Flatten(),
        }

    assert run(build)["rejected"] == []
    with psycopg.connect(db.url) as connection:
        ((data, copied),) = connection.execute("SELECT data, octet_length(to_json(e)::text) FROM business_events e")
        with connection.cursor().copy("COPY business_events TO STDOUT") as copy:
            assert sum(map(len, copy)) < 20_000_000
    assert data["n"] == [json.loads(f"{Decimal(number):f}")] * count  # as PostgreSQL writes it
    assert copied < 20_000_000
    (event,) = hp.events(lake, "enriched/")
    assert list(map(Decimal, map(str, event.data["n"]))) == list(map(Decimal, numbers))
    (read,) = run(lambda p: (p | hp.ReadMinIO(lake, "enriched/", envelope="event"))._asdict())["passed"]
    assert read.data == event.data


def grow_as_much_as_is_kept(event):
    return {"n": [Decimal("1e4299")] * 4}
