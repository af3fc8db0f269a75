"""The main job as a user starts it, and what it left behind, in a form that can be compared."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import sqlalchemy as sa

import holded_pipeline as hp

ROOT = Path(__file__).parent.parent.parent
SCHEMAS = ROOT / "examples" / "schemas"
# Without what a run or a place makes: times, the run's id, the bucket, and the correlation id that follows from it.
_ROWS = """
SELECT event_id, event_type, company_id, user_id, occurred_at, business_context, data_quality_score, data::text,
       metadata - 'processing' - 'schema' - 'correlation_id'
FROM business_events ORDER BY event_id
"""
_COMPANIES = "SELECT to_jsonb(company_analytics) - 'updated_at' AS row FROM company_analytics ORDER BY company_id"
_TYPES = "SELECT to_jsonb(event_type_summaries) - 'updated_at' AS row FROM event_type_summaries ORDER BY event_type"


@attrs.frozen
class Place:
    """A bucket and a database that one job has for itself."""

    lake: hp.MinIO
    db: hp.Postgres

    def store(self, samples: list[hp.testing.Sample], *, objects: int) -> None:
        """Deals the samples out to objects under `raw/`."""
        for number in range(objects):
            lines = hp.testing.sample_lines(samples[number::objects])
            self.lake.filesystem().pipe(f"{self.lake.bucket}/raw/{number:02}.jsonl", lines)

    def command(self, *arguments: str) -> list[str]:
        """The main job over this place."""
        lake = self.lake
        servers = ["--minio", lake.endpoint, "--bucket", lake.bucket, "--access-key", lake.access_key]
        return [
            sys.executable, str(ROOT / "examples" / "ingest_to_postgres.py"), *servers, "--region", lake.region,
            "--postgres", self.db.url, *arguments,
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        """The secrets, where the job looks for them."""
        password = {} if self.db.password is None else {"PGPASSWORD": self.db.password.reveal()}
        return os.environ | {"MINIO_SECRET_KEY": self.lake.secret_key.reveal()} | password

    def run(self, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """The job, to its end."""
        return subprocess.run(
            self.command(*arguments),
            env=environment or self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=150,
        )

    def outcome(self) -> Outcome:
        """What is there now."""
        engine = self.db.engine()
        with engine.connect() as connection:
            rows = [tuple(row) for row in connection.execute(sa.text(_ROWS))]
            companies = list(connection.execute(sa.text(_COMPANIES)).scalars())
            types = list(connection.execute(sa.text(_TYPES)).scalars())
        engine.dispose()
        rejected = [
            (each["record"], each["stage"], each["reason"], each["source"]["key"], each["source"]["line"])
            for each in self.documents("rejected/")
        ]
        enriched = [(each["id"], each["source"]["key"], each["source"]["line"]) for each in self.documents("enriched/")]
        return Outcome(rows, companies, types, sorted(rejected, key=repr), sorted(enriched))

    def documents(self, prefix: str) -> list[dict[str, Any]]:
        """The lines of all objects below a prefix."""
        filesystem = self.lake.filesystem()
        paths = filesystem.find(f"{self.lake.bucket}/{prefix}")
        return [json.loads(line) for path in paths for line in gzip.decompress(filesystem.cat(path)).splitlines()]

    def count(self) -> int:
        """Rows that are committed; 0 as long as there is no table."""
        engine = self.db.engine()
        try:
            with engine.connect() as connection:
                return int(connection.execute(sa.text("SELECT count(*) FROM business_events")).scalar_one())
        except sa.exc.ProgrammingError:
            return 0
        finally:
            engine.dispose()


@attrs.frozen
class Outcome:
    """Rows, summaries, rejections and enriched events; two runs over the same input have equal ones."""

    rows: list[Any]
    companies: list[Any]
    types: list[Any]
    rejected: list[Any]
    enriched: list[Any]
