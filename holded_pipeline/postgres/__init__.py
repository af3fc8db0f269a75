"""PostgreSQL: connection, business tables, migrations, and how a batch is copied, merged and freed of poison rows.

Only this room and `migrations` import psycopg and Alembic. Calls of a user's row function are made in `transforms`.
"""
