"""Composable Apache Beam transforms from any S3-compatible store to PostgreSQL, losing nothing."""

from holded_pipeline.clients.minio import MinIO
from holded_pipeline.clients.postgres import Postgres
