"""User code as a type checker sees it. `mypy` checks it strictly; it is never run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self

import apache_beam as beam
import sqlalchemy as sa
from fastapi import FastAPI

import holded_pipeline as hp
from holded_pipeline.api import ApiKey, Limits, Writing, create_app

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


class Opened:
    """A user's enricher that opens something on a worker."""

    def __enter__(self) -> Self:
        """Opens it."""
        return self

    def __exit__(self, *error: object) -> None:
        """Closes it."""

    def __call__(self, event: hp.Event) -> Mapping[str, Any]:
        """Is called with each event."""
        return {"company": event.company_id}


class Batched:
    """A user's batch enricher."""

    def enrich_batch(self, events: Sequence[hp.Event]) -> list[Mapping[str, Any] | Exception]:
        """Returns one item for each event."""
        return [{"n": 1} if event.data else hp.RejectRecord("empty", "give it data") for event in events]


class OpensFunction:
    """A user's context manager whose `__enter__` returns a function."""

    def __enter__(self) -> Callable[[hp.Event], Mapping[str, Any]]:
        """Returns the function to call."""
        return enricher

    def __exit__(self, *error: object) -> None:
        """Closes it."""


def has_amount(event: hp.Event) -> hp.RuleVerdict:
    """A user's quality rule."""
    if event.type != "t":
        return hp.NOT_APPLICABLE
    return None if "amount" in event.data else "it has no amount"


rules = [hp.QualityRule("amount.there", "completeness", 1, has_amount, version="1")]


mask = hp.Mask(["/email"], key=hp.Secret.env("K"), casefold=True)
shipped = [
    hp.Lookup.table(db, "companies", key="id", of="company_id", columns=["name"], on_missing="reject"),
    hp.Lookup.object(lake, "r/c.csv", key="id", of=lambda event: event.data.get("company"), ttl=60, name="company"),
]


def row(event: hp.Event) -> dict[str, Any]:
    """A user's row."""
    return {"id": event.id}


class Plugin:
    """A user's plugin."""

    @hp.hookimpl
    def register_enrichers(self, register: Any) -> None:
        """Registers one enricher."""
        register("size", enricher, version="1", timeout=2, retry=hp.Retry(5), transient=(LookupError,))


def pipeline(p: beam.Pipeline) -> beam.PCollection:
    """A user's pipeline."""
    raw: hp.Outcome = p | hp.ReadMinIO(lake, "raw/", envelope=envelope)
    checked: hp.Outcome = raw.passed | hp.ValidateSchema({"t": True}, subject="{type}", version=1)
    enriched: hp.Outcome = checked.passed | hp.Enrich(
        hp.Quality(rules, extend=True),
        enricher,
        hp.Enricher("n", enricher, on_error="skip", timeout=1.5),
        hp.Enricher("opened", Opened()),
        hp.Enricher("batched", Batched(), batch_size=10, batch_seconds=0.5),
        hp.Enricher("answering", OpensFunction()),
        *shipped,
        hp.Enricher("slow", shipped[0], batch_size=500, timeout=30),
        hp.Lateness(900),
        hp.Fingerprint(["/updatedAt"]),
        mask,
        registry=hp.PluginRegistry([Plugin()]),
        min_quality=0.5,
    )
    hidden = enriched.passed | "HideFields" >> beam.Map(mask.hide)
    loaded: hp.Outcome = hidden | hp.WritePostgres(db, table=table, row=row, on_conflict="update")
    return (raw.rejected, checked.rejected, enriched.rejected, loaded.rejected) | hp.WriteRejected(lake, "rejected/")


def replay(p: beam.Pipeline) -> beam.PCollection:
    """A user's replay."""
    back: hp.Replayed = p | hp.ReadRejected(lake, "rejected/", reason=["schema_violation"], since=datetime.now(UTC))
    loaded: hp.Outcome = back.passed | hp.WritePostgres(db)
    again = (back.rejected, loaded.rejected) | hp.WriteRejected(
        lake, "rejected/", max_rejected={"write": 0.1, "*": 5}, of=back.passed
    )
    return back.passed | hp.SettleRejected(lake, "rejected/", after=(loaded.passed, again))


def forecast_replay() -> int:
    """A user's forecast."""
    found: hp.Forecast = hp.forecast(lake, "rejected/", [hp.Enrich("quality")], stage="validate")
    return found.passes


def check_after_run() -> list[str]:
    """A user's check after a run."""
    differences: list[hp.AnalyticsDifference] = hp.verify_analytics(db)
    samples = hp.testing.sample_events(10, seed=1)
    report: hp.testing.EnricherReport = hp.testing.check_enricher(enricher, budget_seconds=0.5, rules=["json"])
    found: hp.testing.PluginReport = hp.testing.check_plugin(Plugin(), hp.testing.contract_events())
    if report.rejected or found.envelopes:
        raise hp.testing.ContractError("mine", [])
    return [difference.key for difference in differences] + [str(sample.event_id) for sample in samples]


def ingestion() -> FastAPI:
    """A user's API."""
    return create_app(
        lake,
        keys={
            "wallet": hp.Secret.env("WALLET_KEY"),
            "shop": [ApiKey("a-key-of-24-characters-1", companies=["c1"]), ApiKey(sha256="0" * 64, scopes=["admin"])],
        },
        schemas=hp.SchemaDirectory("schemas/"),
        subject="{type}",
        limits=Limits(rate="100/second", events=1_000),
        writing=Writing(max_wait=0.05),
    )
