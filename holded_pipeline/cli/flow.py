"""The pipelines that the command runs."""

from __future__ import annotations

from typing import Any, Final

import apache_beam as beam
import attrs

from holded_pipeline.cli.connections import database_of, lake_of, schemas_of
from holded_pipeline.cli.settings import Settings
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.runs.ledger import Ledger
from holded_pipeline.schemas.schema_source import SchemaSource
from holded_pipeline.store.minio import MinIO
from holded_pipeline.transforms.beam.recorded_runs import record_run
from holded_pipeline.transforms.enrich import Enrich
from holded_pipeline.transforms.ingest_events import IngestEvents
from holded_pipeline.transforms.read_rejected import ReadRejected
from holded_pipeline.transforms.settle_rejected import SettleRejected
from holded_pipeline.transforms.validate_schema import ValidateSchema
from holded_pipeline.transforms.write_minio import WriteMinIO
from holded_pipeline.transforms.write_postgres import WritePostgres
from holded_pipeline.transforms.write_rejected import WriteRejected

LOSING_RUNNERS: Final = ("DaskRunner",)
"""Runners that lose branches of a pipeline without an error."""


@attrs.frozen
class Flow:
    """Builds the pipelines of one set of settings.

    Attributes:
        settings: what the file says.
        lake: the store.
        db: the database.
        schemas: where schemas come from.
        subject: of an event.
    """

    settings: Settings
    lake: MinIO
    db: Postgres
    schemas: SchemaSource
    subject: str

    @classmethod
    def of(cls, settings: Settings) -> Flow:
        """The flow over the servers that the settings name."""
        if settings.runs.runner in LOSING_RUNNERS:
            raise ValueError(f"Beam's {settings.runs.runner} loses branches without an error; name another runner")
        return cls(settings, lake_of(settings), database_of(settings), *schemas_of(settings))

    @property
    def ledger(self) -> Ledger:
        """Which objects are settled."""
        return Ledger(self.db, self.settings.flow.name)

    def ingest(self, shard: tuple[int, int] | None = None) -> beam.Pipeline:
        """A new pipeline: from raw events to the tables; with a shard, of its objects."""
        flow = self.settings.flow
        pipeline = self._pipeline()
        _ = pipeline | IngestEvents(
            self.lake,
            self.db,
            self.schemas,
            raw=flow.raw,
            shard=shard,
            enriched=flow.enriched,
            rejected=flow.rejected,
            subject=self.subject,
            envelope=flow.envelope,
            records=flow.records,
            enrichers=flow.enrichers,
            min_quality=flow.min_quality,
            ledger=self.ledger,
            max_rejected=flow.max_rejected,
            on_conflict=flow.on_conflict,
            on_empty=flow.on_empty,
        )
        return pipeline

    def replay(self, selection: dict[str, Any]) -> beam.Pipeline:
        """A new pipeline: the selected rejections go through the same steps again, and are settled."""
        flow = self.settings.flow
        pipeline = self._pipeline()
        record_run(pipeline, self.db, f"{flow.name} replay")
        back = pipeline | "Read" >> ReadRejected(self.lake, flow.rejected, **selection)
        events, rejected = back.passed, [back.rejected]
        for step in self.steps():
            outcome = events | step
            events = outcome.passed
            rejected.append(outcome.rejected)
        stored = events | "Store" >> WriteMinIO(self.lake, flow.enriched)
        loaded = events | "Load" >> WritePostgres(self.db, on_conflict=flow.on_conflict)
        again = (*rejected, loaded.rejected) | "WriteRejected" >> WriteRejected(self.lake, flow.rejected)
        after = (stored, loaded.passed, again)
        _ = back.passed | "Settle" >> SettleRejected(self.lake, flow.rejected, after=after)
        return pipeline

    def steps(self) -> list[Any]:
        """The steps between the source and the sinks."""
        flow = self.settings.flow
        return [
            ValidateSchema(self.schemas, subject=self.subject),
            Enrich(*flow.enrichers, min_quality=flow.min_quality),
        ]

    def _pipeline(self) -> beam.Pipeline:
        return beam.Pipeline(runner=self.settings.runs.runner)
