"""PostgreSQL: connection, business tables, migrations, and how a batch is copied, merged and rid of poison rows.

Only this room and `migrations` import psycopg and Alembic; what a row is made of by a user's function is for
`transforms`.
"""
