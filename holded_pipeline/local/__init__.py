"""A real S3 server and a real PostgreSQL for a laptop, a notebook or a test, without Docker.

Importing this starts nothing; `stack()` and `start()` do.
"""

import typing as _typing

__all__ = ["Stack", "stack", "start"]

if _typing.TYPE_CHECKING:
    from holded_pipeline.local.stacks import Stack, stack, start
else:

    def __getattr__(name: str) -> object:
        """Imports the servers' drivers when they are asked for: most who import the package start no server."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from holded_pipeline.local import stacks  # noqa: PLC0415  as said above

        return getattr(stacks, name)

    def __dir__() -> list[str]:
        return [*globals(), *__all__]
