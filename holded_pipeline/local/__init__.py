"""A real S3 server and a real PostgreSQL for a laptop, a notebook or a test, without Docker.

Importing this starts nothing; `stack()` does.
"""

from holded_pipeline.local.stacks import Stack, stack

__all__ = ["Stack", "stack"]
