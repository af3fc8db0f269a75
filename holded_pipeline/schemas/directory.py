"""Schemas in the files of a directory."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import attrs

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.schemas.references import LocalResolver, LocalSchemas

_logger = logging.getLogger("holded_pipeline")


@attrs.frozen
class SchemaDirectory:
    """JSON Schemas in the files of a directory.

    The subject of a schema is its file's path below the directory, `/` between the levels, without `.schema.json`
    or `.json`. `$ref` resolves by `$id` first, then by path from the file that contains it, never outside the
    directory.

    The files are read once, when the transform is applied: workers need no copy of them.

    Attributes:
        path: the directory.

    Example:
        The file `schemas/sales/order.schema.json` has the subject `sales/order`:

        >>> order_schemas = hp.SchemaDirectory("schemas/")
        >>> validate = hp.ValidateSchema(order_schemas, subject="sales/order")
    """

    path: Path = attrs.field(converter=Path)

    def prepare(self) -> LocalSchemas:
        """Reads every file.

        Raises:
            ConfigurationError: the directory is missing, a file in it is not JSON or a link out of it, or two files
                have the same subject.
        """
        root = self.path.resolve()
        if not root.is_dir():
            raise ConfigurationError(
                f"the schema directory {self.path} does not exist; give the path of an existing directory"
            )
        documents: dict[str, object] = {}
        paths: dict[str, str] = {}
        for file in sorted(root.rglob("*.json")):
            if not file.resolve().is_relative_to(root):
                raise ConfigurationError(f"{file} is a link out of the schema directory; put the schema itself there")
            path = file.relative_to(root).as_posix()
            subject = path.removesuffix(".json").removesuffix(".schema")
            if subject in documents:
                raise ConfigurationError(
                    f"{path} and {paths[subject]} are both the schema of {subject!r}; remove or rename one"
                )
            documents[subject] = _read_schema(file)
            paths[subject] = path
        if not documents:
            _logger.warning(
                "the schema directory %s has no .json file, so no event has a schema; check the path", self.path
            )
        return LocalSchemas(documents, paths)

    def open(self) -> LocalResolver:
        """Reads every file and returns a resolver. A pipeline opens what `prepare` returned instead."""
        return self.prepare().open()


def _read_schema(file: Path) -> object:
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError) as error:
        raise ConfigurationError(f"the schema file {file} cannot be read: {error}") from error
