"""The main job as a user starts it, and its results in a form that can be compared."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import sqlalchemy as sa
from store_contents import documents_below

import holded_pipeline as hp

ROOT = Path(__file__).parent.parent.parent
SCHEMAS = ROOT / "examples" / "schemas"
# Without what differs by run or bucket: times, the run's id, the bucket, and the correlation id derived from it.
_ROWS = """
SELECT event_id, event_type, company_id, user_id, occurred_at, business_context, data_quality_score, data::text,
       metadata - 'processing' - 'schema' - 'correlation_id'
FROM business_events ORDER BY event_id
"""
_COMPANIES = "SELECT to_jsonb(company_analytics) - 'updated_at' AS row FROM company_analytics ORDER BY company_id"
_TYPES = "SELECT to_jsonb(event_type_summaries) - 'updated_at' AS row FROM event_type_summaries ORDER BY event_type"


@attrs.frozen
class JobServers:
    """A bucket and a database that only one job uses."""

    lake: hp.MinIO
    db: hp.Postgres

    def store(self, samples: list[hp.testing.Sample], *, objects: int) -> None:
        """Distributes the samples over objects under `raw/`."""
        for number in range(objects):
            lines = hp.testing.sample_lines(samples[number::objects])
            self.lake.filesystem().pipe(f"{self.lake.bucket}/raw/{number:02}.jsonl", lines)

    def command(self, *arguments: str) -> list[str]:
        """The command that runs the main job on these servers."""
        lake = self.lake
        servers = ["--minio", lake.endpoint, "--bucket", lake.bucket, "--access-key", lake.access_key]
        return [
            sys.executable, str(ROOT / "examples" / "ingest_to_postgres.py"), *servers, "--region", lake.region,
            "--postgres", self.db.url, *arguments,
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        """The environment variables of the job, with the secrets."""
        password = {} if self.db.password is None else {"PGPASSWORD": self.db.password.reveal()}
        return os.environ | {"MINIO_SECRET_KEY": self.lake.secret_key.reveal()} | password

    def run(self, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Runs the job to its end."""
        return subprocess.run(
            self.command(*arguments),
            env=environment or self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=150,
        )

    def results(self) -> JobResults:
        """The rows and objects that are there now."""
        engine = self.db.engine()
        with engine.connect() as connection:
            rows = [tuple(row) for row in connection.execute(sa.text(_ROWS))]
            companies = list(connection.execute(sa.text(_COMPANIES)).scalars())
            types = list(connection.execute(sa.text(_TYPES)).scalars())
        engine.dispose()
        rejections = documents_below(self.lake, "rejected/")
        events = documents_below(self.lake, "enriched/")
        rejected = [
            (each["record"], each["stage"], each["reason"], each["source"]["key"], each["source"]["line"])
            for each in rejections
        ]
        enriched = [(each["id"], each["source"]["key"], each["source"]["line"]) for each in events]
        return JobResults(rows, companies, types, sorted(rejected, key=repr), sorted(enriched))

    def count_rows(self) -> int:
        """The number of committed rows; 0 while there is no table."""
        engine = self.db.engine()
        try:
            with engine.connect() as connection:
                return int(connection.execute(sa.text("SELECT count(*) FROM business_events")).scalar_one())
        except sa.exc.ProgrammingError:
            return 0
        finally:
            engine.dispose()


@attrs.frozen
class JobResults:
    """Rows, summaries, rejections and enriched events. Two runs over the same input have equal results."""

    rows: list[Any]
    companies: list[Any]
    types: list[Any]
    rejected: list[Any]
    enriched: list[Any]
