"""Composable Apache Beam transforms from any S3-compatible store to PostgreSQL, losing nothing."""

import typing as _typing

from holded_pipeline.transforms.beam import quiet_import as _quiet_import  # noqa: F401  before what imports Beam

# isort: split
from holded_pipeline import local, testing
from holded_pipeline.enriching.builtin import Quality
from holded_pipeline.enriching.enricher import Enricher
from holded_pipeline.enriching.enricher_types import EnrichBatch
from holded_pipeline.enriching.fingerprint import Fingerprint
from holded_pipeline.enriching.lateness import Lateness
from holded_pipeline.enriching.lookup import Lookup
from holded_pipeline.enriching.masking import Mask
from holded_pipeline.enriching.quality import NOT_APPLICABLE, QualityRule, RuleVerdict
from holded_pipeline.local.process import StartError
from holded_pipeline.model.errors import (
    AlreadySettledError,
    ConfigurationError,
    EnricherError,
    HoldedPipelineError,
    LeaseLostError,
    ObjectUnreadableError,
    ObjectVanishedError,
    RejectRecord,
    TooManyRejectedError,
    TransientError,
    UnbalancedError,
)
from holded_pipeline.model.timestamp_rules import Timestamps
from holded_pipeline.model.values import Event, Outcome, Rejected, SchemaRef, Source, Violation
from holded_pipeline.plugins.hookspecs import hookimpl
from holded_pipeline.plugins.registry import PluginRegistry
from holded_pipeline.postgres.analytics import AnalyticsDifference, verify_analytics
from holded_pipeline.postgres.evolve import TableDifference, evolve
from holded_pipeline.postgres.migrate import migrate
from holded_pipeline.postgres.paused_analytics import pause_analytics, rebuild_analytics
from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.rejected.forecast import Forecast
from holded_pipeline.runs.lease import Lease
from holded_pipeline.runs.ledger import Ledger
from holded_pipeline.runs.leftovers import Leftover, Leftovers, leftovers
from holded_pipeline.runs.metrics import RunMetrics
from holded_pipeline.runs.plan import plan
from holded_pipeline.runs.run_loop import RunsSummary
from holded_pipeline.runs.run_page import RunPage, run_page
from holded_pipeline.runs.run_records import RunObject, RunRecord, runs
from holded_pipeline.runs.run_report import RunReport
from holded_pipeline.runs.settlement import Settlement
from holded_pipeline.schema_tables.schema_table import SchemaTable, table_from_schema
from holded_pipeline.schemas.directory import SchemaDirectory
from holded_pipeline.schemas.mapping import SchemaMapping
from holded_pipeline.schemas.registry import SchemaRegistry
from holded_pipeline.schemas.schema_source import SchemaSource
from holded_pipeline.servers.retry import Retry
from holded_pipeline.servers.secret import Secret
from holded_pipeline.store.minio import MinIO
from holded_pipeline.store.read_plan import ReadPlan
from holded_pipeline.stored.columns import columns_of
from holded_pipeline.stored.events import StoredEvents, events
from holded_pipeline.stored.rejections import StoredRejections, rejected
from holded_pipeline.transforms.drop_events import DropEvents
from holded_pipeline.transforms.enrich import Enrich
from holded_pipeline.transforms.forecast import forecast
from holded_pipeline.transforms.ingest_events import STANDARD_ENRICHERS, Ingested, IngestEvents
from holded_pipeline.transforms.read_minio import ReadMinIO
from holded_pipeline.transforms.read_rejected import ReadRejected, Replayed
from holded_pipeline.transforms.run import report, run
from holded_pipeline.transforms.run_every import run_every
from holded_pipeline.transforms.run_on_dask import run_on_dask
from holded_pipeline.transforms.run_shares import run_shares
from holded_pipeline.transforms.settle_objects import SettleObjects
from holded_pipeline.transforms.settle_rejected import SettleRejected
from holded_pipeline.transforms.validate_schema import ValidateSchema
from holded_pipeline.transforms.workers.load_rows import LoadReceipt
from holded_pipeline.transforms.workers.write_objects import WrittenObject
from holded_pipeline.transforms.write_minio import WriteMinIO
from holded_pipeline.transforms.write_postgres import WritePostgres
from holded_pipeline.transforms.write_rejected import WriteRejected

if not _typing.TYPE_CHECKING:  # a type checker would take every name for granted
    from holded_pipeline._old_names import __getattr__  # noqa: F401  Python calls it

__all__ = [
    "NOT_APPLICABLE",
    "STANDARD_ENRICHERS",
    "AlreadySettledError",
    "AnalyticsDifference",
    "ConfigurationError",
    "DropEvents",
    "Enrich",
    "EnrichBatch",
    "Enricher",
    "EnricherError",
    "Event",
    "Fingerprint",
    "Forecast",
    "HoldedPipelineError",
    "IngestEvents",
    "Ingested",
    "Lateness",
    "Lease",
    "LeaseLostError",
    "Ledger",
    "Leftover",
    "Leftovers",
    "LoadReceipt",
    "Lookup",
    "Mask",
    "MinIO",
    "ObjectUnreadableError",
    "ObjectVanishedError",
    "Outcome",
    "PluginRegistry",
    "Postgres",
    "Quality",
    "QualityRule",
    "ReadMinIO",
    "ReadPlan",
    "ReadRejected",
    "RejectRecord",
    "Rejected",
    "Replayed",
    "Retry",
    "RuleVerdict",
    "RunMetrics",
    "RunObject",
    "RunPage",
    "RunRecord",
    "RunReport",
    "RunsSummary",
    "SchemaDirectory",
    "SchemaMapping",
    "SchemaRef",
    "SchemaRegistry",
    "SchemaSource",
    "SchemaTable",
    "Secret",
    "SettleObjects",
    "SettleRejected",
    "Settlement",
    "Source",
    "StartError",
    "StoredEvents",
    "StoredRejections",
    "TableDifference",
    "Timestamps",
    "TooManyRejectedError",
    "TransientError",
    "UnbalancedError",
    "ValidateSchema",
    "Violation",
    "WriteMinIO",
    "WritePostgres",
    "WriteRejected",
    "WrittenObject",
    "columns_of",
    "events",
    "evolve",
    "forecast",
    "hookimpl",
    "leftovers",
    "local",
    "migrate",
    "pause_analytics",
    "plan",
    "rebuild_analytics",
    "rejected",
    "report",
    "run",
    "run_every",
    "run_on_dask",
    "run_page",
    "run_shares",
    "runs",
    "table_from_schema",
    "testing",
    "verify_analytics",
]
