"""Alembic's migrations of the business tables; `clients.migrate` runs them."""
