"""IngestEvents: the standard flow, from raw events to PostgreSQL, as one transform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import apache_beam as beam

from holded_pipeline.enriching.enricher import Enricher
from holded_pipeline.enriching.enricher_types import AnyEnricher
from holded_pipeline.model.timestamp_rules import Timestamps
from holded_pipeline.model.values import Event
from holded_pipeline.plugins.registry import PluginRegistry
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.reading.envelopes import Envelope
from holded_pipeline.rejected.error_budget import MaxRejected
from holded_pipeline.runs.ledger import Ledger
from holded_pipeline.runs.read_planner import OnEmpty
from holded_pipeline.schemas.schema_source import SchemaSource
from holded_pipeline.schemas.subjects import Subject
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.read_plan import ReadPlan
from holded_pipeline.transforms.beam.notebook import require_notebook_packages
from holded_pipeline.transforms.enrich import Enrich
from holded_pipeline.transforms.read_minio import ReadMinIO
from holded_pipeline.transforms.settle_objects import SettleObjects
from holded_pipeline.transforms.validate_schema import ValidateSchema
from holded_pipeline.transforms.write_minio import WriteMinIO
from holded_pipeline.transforms.write_postgres import WritePostgres
from holded_pipeline.transforms.write_rejected import WriteRejected

STANDARD_ENRICHERS = ("processing", "business_context", "quality")


class Ingested(NamedTuple):
    """What `IngestEvents` returns.

    Attributes:
        events: PCollection of `Event`: the enriched events, as they were stored.
        stored: PCollection of `WrittenObject`: the objects with them.
        loaded: PCollection of `LoadReceipt`: the batches of rows.
        rejected: PCollection of `WrittenObject`: the objects with dead letters.
        settled: PCollection of one `Settlement`, when all of it is durable.
    """

    events: beam.PCollection
    stored: beam.PCollection
    loaded: beam.PCollection
    rejected: beam.PCollection
    settled: beam.PCollection


class IngestEvents(beam.PTransform):
    """The standard flow: new raw events are checked, enriched, stored as JSON and loaded into PostgreSQL.

    It is made of the public transforms alone: `ReadMinIO`, `ValidateSchema`, `Enrich`, `WriteMinIO`, `WritePostgres`,
    `WriteRejected` and `SettleObjects`. Each run takes the objects that the ledger does not know, accounts for every
    record of each, and is recorded in `pipeline_runs`. Applied to a pipeline it returns an `Ingested`.

    Args:
        lake: the store and its bucket.
        db: the database. Its tables are created and migrated as needed.
        schemas: where the schemas are: a `SchemaRegistry`, a `SchemaDirectory`, or a mapping of subject to schema.
        raw: prefix or glob of the raw events.
        units: instead of `raw`, a plan of `hp.plan`, or a share that has whole objects; see `ReadMinIO`.
        shard: `(i, n)`: this is run `i` of `n` that divide the objects among them; see `ReadMinIO`.
        enriched: what the keys of enriched events begin with.
        rejected: what the keys of dead letters begin with.
        subject: the subject of an event's schema: a text, a template such as `{type}`, or a function.
        envelope: how a JSON document becomes an event, see `ReadMinIO`.
        records: where the records are inside each document, see `ReadMinIO`.
        enrichers: what `Enrich` takes.
        min_quality: events with a lower quality score are rejected, see `Enrich`.
        ledger: which objects are settled; by default a ledger of `db` that is named by bucket and `raw`, or the
            pattern of the plan.
        max_rejected: the error budget, see `WriteRejected`; a share refers to the records read.
        on_conflict: what happens to an event whose id is in the table already, see `WritePostgres`.
        on_empty: what happens if no object matches `raw`, see `ReadMinIO`.
        timestamps: which times are plausible, see `ReadMinIO`.
        registry: where names of envelopes and enrichers are looked up; by default the installed plugins'.

    Example:
        >>> with beam.Pipeline(runner="FnApiRunner") as p:
        ...     ingested = p | hp.IngestEvents(lake, db, schemas, raw="raw/", subject="{type}")

    Raises:
        ValueError: an argument is wrong.
        UnbalancedError: (running) the records of an object are not all accounted for; nothing is settled.
        TooManyRejectedError: (running) the error budget is exceeded.
        ConfigurationError: a setting, a grant, a table, a schema or a bucket is wrong or missing.
        TransientError: (running) a server did not answer within its `retry`.

    **Guarantees:** each record of each new object is stored, a duplicate, or a dead letter, or the run fails. A run
    that fails settles nothing, and the next reads its objects again: rows are not doubled, and what the first attempt
    wrote below `enriched` is in no manifest. Events without a fault are never rejected because a server is away.
    """

    def __init__(
        self,
        lake: MinIO,
        db: Postgres,
        schemas: SchemaSource | Mapping[str, Any],
        *,
        raw: str = "raw/",
        units: ReadPlan | None = None,
        shard: tuple[int, int] | None = None,
        enriched: str = "enriched/",
        rejected: str = "rejected/",
        subject: str | Subject = "{type}",
        envelope: str | Envelope = "holded",
        records: str | None = None,
        enrichers: Sequence[str | Enricher | AnyEnricher] = STANDARD_ENRICHERS,
        min_quality: float | None = None,
        ledger: Ledger | None = None,
        max_rejected: MaxRejected | None = None,
        on_conflict: Literal["ignore", "update", "reject"] = "ignore",
        on_empty: OnEmpty = "warn",
        timestamps: Timestamps | None = None,
        registry: PluginRegistry | None = None,
    ) -> None:
        require_notebook_packages()
        super().__init__()
        if isinstance(enrichers, str):
            raise ValueError(f'enrichers must be several, got the text {enrichers!r}; pass ("{enrichers}",)')  # noqa: TRY004
        listed = units.pattern if isinstance(units, ReadPlan) else raw
        self._ledger = ledger or Ledger(db, f"{lake.bucket}/{listed}")
        self._read = ReadMinIO(
            lake,
            raw if units is None else None,
            units=units,
            shard=shard,
            envelope=envelope,
            records=records,
            on_empty=on_empty,
            timestamps=timestamps,
            registry=registry,
            new_only=self._ledger,
        )
        self._validate = ValidateSchema(schemas, subject=subject)
        self._enrich = Enrich(*enrichers, min_quality=min_quality, registry=registry)
        self._store = WriteMinIO(lake, enriched)
        self._load = WritePostgres(db, on_conflict=on_conflict)
        self._lake = lake
        self._rejected = rejected
        self._max_rejected = max_rejected

    def expand(self, pipeline: beam.pvalue.PBegin) -> Ingested:
        """Reads, checks, enriches, stores, loads, and settles what was read."""
        raw = pipeline | "Read" >> self._read
        checked = raw.passed | "Validate" >> self._validate
        enriched = checked.passed | "Enrich" >> self._enrich
        stored = enriched.passed | "Store" >> self._store
        loaded = enriched.passed | "Load" >> self._load
        write_rejected = WriteRejected(self._lake, self._rejected, max_rejected=self._max_rejected, of=raw)
        rejected = (
            raw.rejected,
            checked.rejected,
            enriched.rejected,
            loaded.rejected,
        ) | "WriteRejected" >> write_rejected
        settled = (stored, loaded, rejected) | "Settle" >> SettleObjects(self._ledger)
        enriched.passed.element_type = Event
        return Ingested(enriched.passed, stored, loaded.passed, rejected, settled)
