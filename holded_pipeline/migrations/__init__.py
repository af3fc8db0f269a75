"""Alembic's migrations of the business tables; `postgres.migrate` runs them.

A migration that was released is frozen: what changes the tables afterwards is a new file in `versions`.
"""
