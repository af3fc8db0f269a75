"""A pipeline that has nothing to do with Holded: its own records, its own table, public names only."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import apache_beam as beam
import sqlalchemy as sa

import holded_pipeline as hp

readings = sa.Table(
    "readings",
    sa.MetaData(),
    sa.Column("station", sa.Text, primary_key=True),
    sa.Column("taken", sa.TIMESTAMP(timezone=True), primary_key=True),
    sa.Column("celsius", sa.Numeric(5, 2)),
    sa.Column("anomaly", sa.Boolean),
)

SCHEMA = {
    "type": "object",
    "required": ["station", "unix"],
    "properties": {"station": {"type": "string"}, "celsius": {"type": "number"}},
}


def as_reading(document, source):
    """An envelope: a weather station's record."""
    return hp.Event(
        id=f"{document['station']}/{document['unix']}",
        type="reading",
        company_id=str(document["station"]),
        occurred_at=datetime.fromtimestamp(document["unix"], UTC),
        data=document,
        source=source,
    )


def anomaly(event):
    """An enricher."""
    return {"is": not -40 < event.data["celsius"] < 50}


def reading_row(event):
    return {
        "station": event.data["station"],
        "taken": event.occurred_at,
        "celsius": event.data["celsius"],
        "anomaly": event.metadata["anomaly"]["is"],
    }


def test_it_reads_checks_enriches_and_loads(run, lake, db):
    readings.metadata.create_all(db.engine())
    documents = [{"station": f"s{n % 3}", "unix": 1_700_000_000 + n, "celsius": n} for n in range(100)]
    documents[10]["celsius"] = "warm"  # for the schema to reject
    documents[20]["celsius"] = 10_000  # for the database
    del documents[30]["unix"]  # for the envelope
    del documents[40]["celsius"]  # for the enricher
    body = "\n".join(json.dumps(document) for document in documents)
    lake.filesystem().pipe(f"{lake.bucket}/weather/2026.ndjson", body.encode())

    def build(pipeline):
        raw = pipeline | "Stations" >> hp.ReadMinIO(lake, "weather/", envelope=as_reading)
        checked = raw.passed | "Plausible" >> hp.ValidateSchema({"reading": SCHEMA}, subject="{type}")
        enriched = checked.passed | hp.Enrich(anomaly)
        loaded = enriched.passed | hp.WritePostgres(db, table=readings, row=reading_row, on_conflict="update")
        back = (
            raw.rejected | "R" >> beam.Map(lambda r: (r.source.line, r.stage, r.reason)),
            checked.rejected | "C" >> beam.Map(lambda r: (r.source.line, r.stage, r.reason)),
            enriched.rejected | "E" >> beam.Map(lambda r: (r.source.line, r.stage, r.reason)),
            loaded.rejected | "L" >> beam.Map(lambda r: (r.source.line, r.stage, r.reason)),
        ) | beam.Flatten()
        return {"rejected": back, "receipts": loaded.passed}

    ran = run(build)
    assert sorted(ran["rejected"]) == [
        (11, "validate", "schema_violation"),
        (21, "write", "numeric_value_out_of_range"),
        (31, "read", "envelope_error"),
        (41, "enrich", "enricher_error"),
    ]
    with db.engine().connect() as connection:
        rows = connection.execute(sa.select(readings).order_by(readings.c.taken)).all()
    assert len(rows) == 96 == sum(receipt.inserted for receipt in ran["receipts"])
    assert tuple(rows[-1]) == ("s0", datetime.fromtimestamp(1_700_000_099, UTC), Decimal(99), True)
    assert [row.anomaly for row in rows].count(True) == 50
