"""Tables that are made from JSON Schemas.

This room stands on `schemas`, which finds and reads the schema, and on SQLAlchemy; `postgres` loads the table.
"""
