"""The error for a schema that cannot be used, which names its subject."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.model.values import SchemaRef

_MAX_MESSAGE = 500  # characters


def unusable_schema(ref: SchemaRef, why: str) -> ConfigurationError:
    """The error for a schema that cannot be used, for a reason that reads on after a colon."""
    version = "" if ref.version is None else f", version {ref.version},"
    return ConfigurationError(f"the schema of subject {ref.subject!r}{version} is not usable: {why}")


def truncate_message(text: str) -> str:
    """The message without its middle, if it is long: it may repeat a whole document."""
    return text if len(text) <= _MAX_MESSAGE else f"{text[: _MAX_MESSAGE - 60]} […] {text[-50:]}"


@contextlib.contextmanager
def naming_schema(ref: SchemaRef) -> Iterator[None]:
    """Raises `unusable_schema` for what a wrong schema makes the functions of `uris` raise.

    Raises:
        ConfigurationError: a URI in it is not valid, or its levels are more than Python can follow.
    """
    try:
        yield
    except ValueError as error:  # also of a lone surrogate in a URI
        raise unusable_schema(ref, str(error)) from error
    except RecursionError as error:
        raise unusable_schema(ref, "it has too many levels; put parts of it under $defs and refer to them") from error
