"""Alembic's migrations of the business tables; `postgres.migrate` runs them.

A migration that was released is frozen: databases were made by it. It imports nothing from this package, its SQL
stands in files with the number of its revision, and a change of the tables is a new file in `versions`.
"""
