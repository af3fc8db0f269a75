"""Schemas in a directory."""

from __future__ import annotations

import json
from pathlib import Path

import attrs

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.schemas.references import LocalResolver, LocalSchemas


@attrs.frozen
class SchemaDirectory:
    """JSON Schemas in the files of a directory.

    The subject of a schema is its file's path below the directory, `/` between the levels, without `.schema.json`
    or `.json`. `$ref` resolves by `$id` first, then by path from the file it stands in, never outside the directory.

    The files are read once, where the pipeline is built: workers need no copy of them.

    Attributes:
        path: the directory.
    """

    path: Path = attrs.field(converter=Path)

    def prepare(self) -> LocalSchemas:
        """Reads every file.

        Raises:
            ConfigurationError: the directory is missing or a file in it is no JSON; the message names it.
        """
        root = self.path.resolve()
        if not root.is_dir():
            raise ConfigurationError(f"the schema directory {self.path} does not exist; give the path of one")
        documents: dict[str, object] = {}
        paths: dict[str, str] = {}
        for file in sorted(root.rglob("*.json")):
            if not file.resolve().is_relative_to(root):
                raise ConfigurationError(f"{file} is a link out of the schema directory; put the schema itself there")
            relative = file.relative_to(root).as_posix()
            subject = relative.removesuffix(".json").removesuffix(".schema")
            if subject in documents:
                raise ConfigurationError(f"{relative} and {paths[subject]} are both the schema of {subject!r}")
            documents[subject] = _read(file)
            paths[subject] = relative
        return LocalSchemas(documents, paths)

    def open(self) -> LocalResolver:
        """The schemas, read now; pipelines read them earlier (see `prepare`)."""
        return self.prepare().open()


def _read(file: Path) -> object:
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError) as error:
        raise ConfigurationError(f"the schema file {file} cannot be read: {error}") from error
