"""Composable Apache Beam transforms from any S3-compatible store to PostgreSQL, losing nothing."""
