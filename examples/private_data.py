"""Private data: a look-up, e-mail addresses replaced by tokens, and a fingerprint that gives nothing away.

    python examples/private_data.py                     starts real servers and stops them at the end
    EXAMPLE_MASK_KEY=... EXAMPLE_FINGERPRINT_KEY=... python examples/private_data.py --keep data

The keys come from the environment, where the workers read them; without them the example makes random ones, so that
the tokens of two runs differ. A token is the same for the same address, so tables can be joined by it. What `hide`
does not cover is listed in docs/reference/enrichers.md: the messages below raw/, and what was rejected.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Sequence

# First the library, then Beam, so that Beam says nothing about packages that it does not need.
import holded_pipeline as hp  # isort: skip
import apache_beam as beam
import sqlalchemy as sa
from plain_errors import print_status
from small_example import lines_of, print_rejected, print_rows, run_on_servers, store_sample

RAW = "private_data/raw/"
REJECTED = "private_data/rejected/"
MASK_KEY, FINGERPRINT_KEY = "EXAMPLE_MASK_KEY", "EXAMPLE_FINGERPRINT_KEY"
ADDRESS = "ada@example.com"

SAMPLE = [
    {
        "event_id": f"visit-{number}",
        "event_type": "visit",
        "company_id": company,
        "timestamp": "2026-01-12T10:00:00Z",
        "email": email,
    }
    for number, (company, email) in enumerate(
        [("company-1", ADDRESS), ("company-2", " Ada@Example.com"), ("nobody", "bob@example.com")], 1
    )
]


def make_companies(db: hp.Postgres) -> None:
    """Makes the table that events are looked up in; the last company of the sample is not in it."""
    engine = db.engine()
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE IF NOT EXISTS example_companies (id text PRIMARY KEY, segment text)"))
        connection.execute(
            sa.text(
                "INSERT INTO example_companies VALUES ('company-1', 'bakery'), ('company-2', 'cinema') "
                "ON CONFLICT (id) DO NOTHING"
            )
        )
    engine.dispose()


def make_keys() -> None:
    """Sets the keys that the environment lacks to random ones."""
    for variable in (MASK_KEY, FINGERPRINT_KEY):
        if not os.environ.get(variable):
            print_status(f"{variable} is not set: this run has a random key")
            os.environ[variable] = secrets.token_urlsafe(32)


def build(pipeline: beam.Pipeline, lake: hp.MinIO, db: hp.Postgres) -> None:
    """The pipeline. An enricher never changes the data; `mask.hide` does, after the steps that need clear values."""
    segment = hp.Lookup.table(
        db, "example_companies", key="id", of="company_id", columns=["segment"], name="company", on_missing="reject"
    )
    mask = hp.Mask(["/email"], key=hp.Secret.env(MASK_KEY), casefold=True)
    fingerprint = hp.Fingerprint(key=hp.Secret.env(FINGERPRINT_KEY))

    raw = pipeline | hp.ReadMinIO(lake, RAW, envelope="flat")
    enriched = raw.passed | hp.Enrich(segment, mask, fingerprint)
    hidden = enriched.passed | "Hide" >> beam.Map(mask.hide).with_output_types(hp.Event)
    loaded = hidden | hp.WritePostgres(db, on_conflict="update")
    _ = (raw.rejected, enriched.rejected, loaded.rejected) | hp.WriteRejected(lake, REJECTED)


def show(lake: hp.MinIO, db: hp.Postgres) -> int:
    """Runs the pipeline once; returns 0 if both spellings have one token, and no address is in the table."""
    make_keys()
    make_companies(db)
    store_sample(lake, f"{RAW}2026-01-12.jsonl", lines_of(SAMPLE))
    pipeline = beam.Pipeline(runner="FnApiRunner")
    build(pipeline, lake, db)
    print(hp.run(pipeline))
    print("\nwhat the table has:")
    of_the_sample = "FROM business_events WHERE source->>'key' LIKE 'private_data/%'"
    rows = print_rows(
        db,
        "SELECT metadata->'company'->>'segment' AS segment, left(data->>'email', 12) AS token, "
        f"left(metadata->'fingerprint'->>'hmac_sha256', 12) AS fingerprint {of_the_sample} ORDER BY event_id",
    )
    clear = print_rows(db, f"SELECT event_id {of_the_sample} AND (data::text || metadata::text) ILIKE '%{ADDRESS}%'")
    print("\nrejected:")
    print_rejected(lake, REJECTED)
    return 0 if rows and len({row["token"] for row in rows}) == 1 and not clear else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 if the table has tokens and no address."""
    return run_on_servers(__doc__, show, argv)


if __name__ == "__main__":
    sys.exit(main())
