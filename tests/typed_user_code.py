"""What a user's own code looks like to a type checker. `mypy` reads it strictly; nobody runs it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
import sqlalchemy as sa

import holded_pipeline as hp

lake = hp.MinIO("http://localhost:9000", bucket="b", access_key="a", secret_key=hp.Secret.env("S"))
db = hp.Postgres("postgresql://u@localhost/d", password=hp.Secret.env("P"), retry=hp.Retry(60))
table = sa.Table("t", sa.MetaData(), sa.Column("id", sa.Text, primary_key=True))


def envelope(document: Any, source: hp.Source) -> hp.Event:
    """A user's envelope."""
    if "id" not in document:
        raise hp.RejectRecord("missing_id", "give it an id")
    return hp.Event(
        id=document["id"], type="t", company_id="c", occurred_at=datetime.now(UTC), data=document, source=source
    )


def enricher(event: hp.Event) -> Mapping[str, Any]:
    """A user's enricher."""
    return {"size": len(event.data)}


def row(event: hp.Event) -> dict[str, Any]:
    """A user's row."""
    return {"id": event.id}


class Plugin:
    """A user's plugin."""

    @hp.hookimpl
    def register_enrichers(self, register: Any) -> None:
        """Brings one enricher."""
        register("size", enricher, version="1")


def pipeline(p: beam.Pipeline) -> beam.PCollection:
    """A user's pipeline."""
    raw: hp.Outcome = p | hp.ReadMinIO(lake, "raw/", envelope=envelope)
    checked: hp.Outcome = raw.passed | hp.ValidateSchema({"t": True}, subject="{type}", version=1)
    enriched: hp.Outcome = checked.passed | hp.Enrich(
        "quality", enricher, hp.Enricher("n", enricher, on_error="skip"), registry=hp.Registry([Plugin()])
    )
    loaded: hp.Outcome = enriched.passed | hp.WritePostgres(db, table=table, row=row, on_conflict="update")
    return (raw.rejected, checked.rejected, enriched.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")


def replay(p: beam.Pipeline) -> beam.PCollection:
    """A user's replay."""
    back: hp.Replayed = p | hp.ReadRejected(lake, "rejected/", reason=["schema_violation"], since=datetime.now(UTC))
    loaded: hp.Outcome = back.passed | hp.WritePostgres(db)
    again = (back.rejected, loaded.rejected) | hp.WriteRejected(
        lake, "rejected/", max_rejected={"write": 0.1, "*": 5}, of=back.passed
    )
    return back.passed | hp.SettleRejected(lake, "rejected/", after=(loaded.passed, again))


def foresee() -> int:
    """A user's forecast."""
    found: hp.Forecast = hp.forecast(lake, "rejected/", [hp.Enrich("quality")], stage="validate")
    return found.passes


def afterwards() -> list[str]:
    """A user's check."""
    differences: list[hp.Difference] = hp.verify_analytics(db)
    samples = hp.testing.sample_events(10, seed=1)
    return [difference.key for difference in differences] + [str(sample.event_id) for sample in samples]
