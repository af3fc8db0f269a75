"""The environment variables by which other programs find local servers."""

from __future__ import annotations

from sqlalchemy.engine import make_url

from holded_pipeline.postgres.postgres import Postgres
from holded_pipeline.store.minio import MinIO


def variables_of(lake: MinIO, db: Postgres) -> dict[str, str]:
    """What clients of libpq and of S3 read, and the command `holded-pipeline`; the secrets are in it."""
    url = make_url(db.url)
    secret_key = lake.secret_key.reveal()
    return {
        "PGHOST": str(url.host),
        "PGPORT": str(url.port),
        "PGUSER": str(url.username),
        "PGPASSWORD": "" if db.password is None else db.password.reveal(),
        "PGDATABASE": str(url.database),
        "PGSSLMODE": "disable",
        "AWS_ENDPOINT_URL": lake.endpoint,
        "AWS_ACCESS_KEY_ID": lake.access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_DEFAULT_REGION": lake.region,
        "MINIO_SECRET_KEY": secret_key,
        "HOLDED_STORE_ENDPOINT": lake.endpoint,
        "HOLDED_STORE_BUCKET": lake.bucket,
        "HOLDED_STORE_ACCESS_KEY": lake.access_key,
        "HOLDED_DATABASE_URL": db.url,
    }
