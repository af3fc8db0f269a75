"""Schemas in the files of a directory."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import attrs

from holded_pipeline.model.errors import ConfigurationError
from holded_pipeline.model.near_names import listed, near_names
from holded_pipeline.schemas.iglu import IGLU_PATH, latest_versions
from holded_pipeline.schemas.references import LocalResolver, LocalSchemas
from holded_pipeline.schemas.schema_rules import SchemaRules, parse_draft

_LISTED = 1_000  # entries of a directory that a misspelt path is compared with


@attrs.frozen
class SchemaDirectory:
    """JSON Schemas in the files of a directory.

    The subject of a schema is its file's path below the directory, `/` between the levels, without `.schema.json`
    or `.json`. `$ref` resolves by `$id` as it is written, then by `$id` and by path relative to the file that contains
    it, then by path from the top of the directory; never outside it.

    The files are read once, when the transform is applied: workers need no copy of them.

    Attributes:
        path: the directory.
        layout: how files are named. `path` is the way above. `iglu` is Snowplow's: the file
            `com.acme/order/jsonschema/1-0-0` has the subject `com.acme/order/jsonschema/1-0-0`, which may have `iglu:`
            before it; `com.acme/order` is its latest version. Folders above, such as `schemas`, are not part of it.
            Other files are ignored.
        draft: the draft of schemas whose `$schema` is missing or unknown: "4", "6", "7", "2019-09" or "2020-12". None
            for the newest where it is missing, and an error where it is unknown.
        formats: whether `format` is checked.
        content: whether `contentEncoding` and `contentMediaType` are checked, in the drafts that have them (from 7 on).
            None for as the draft says: in draft 7 alone.

    Raises:
        ValueError: `layout` or `draft` is not known.

    Example:
        The file `schemas/sales/order.schema.json` has the subject `sales/order`:

        >>> order_schemas = hp.SchemaDirectory("schemas/")
        >>> validate = hp.ValidateSchema(order_schemas, subject="sales/order")

    **Guarantees:** nothing is fetched. Two schemas are never taken for one: where two files have one subject or one
    `$id`, the error names both.
    """

    path: Path = attrs.field(converter=Path)
    layout: Literal["path", "iglu"] = attrs.field(
        default="path", kw_only=True, validator=attrs.validators.in_(("path", "iglu"))
    )
    draft: Any = attrs.field(default=None, kw_only=True, converter=attrs.converters.optional(parse_draft))
    formats: bool = attrs.field(default=True, kw_only=True)
    content: bool | None = attrs.field(default=None, kw_only=True)

    def prepare(self) -> LocalSchemas:
        """Reads every file.

        Raises:
            ConfigurationError: the directory is missing or has no schema, a file in it is not JSON or a link out of it,
                or two files have the same subject or `$id`.
        """
        root = self.path.resolve()
        if not root.is_dir():
            raise self._missing(root)
        documents: dict[str, object] = {}
        paths: dict[str, str] = {}
        read: dict[Path, object] = {}  # by the file that links lead to
        for file, subject in self._subjects(root):
            path = file.relative_to(root).as_posix()
            if not file.resolve().is_relative_to(root):
                raise ConfigurationError(f"{file} is a link out of the schema directory; put the schema itself there")
            if subject in documents:
                raise ConfigurationError(
                    f"{path} and {paths[subject]} are both the schema of {subject!r}; remove or rename one"
                )
            if file.resolve() not in read:
                read[file.resolve()] = _read_schema(file)
            documents[subject] = read[file.resolve()]
            paths[subject] = path
        if not documents:
            raise self._empty(root)
        rules = SchemaRules(self.draft, self.formats, self.content)
        schemas = LocalSchemas(documents, paths, rules, latest_versions(documents) if self.layout == "iglu" else {})
        schemas.prepare()
        return schemas

    def open(self) -> LocalResolver:
        """Reads every file and returns a resolver. A pipeline opens what `prepare` returned instead."""
        return self.prepare().open()

    def _subjects(self, root: Path) -> Iterator[tuple[Path, str]]:
        """Each schema's file and its subject."""
        for file in sorted(root.rglob("*" if self.layout == "iglu" else "*.json")):
            path = file.relative_to(root).as_posix().removesuffix(".json")
            if self.layout == "path":
                yield file, path.removesuffix(".schema")
            elif (named := IGLU_PATH.fullmatch(path)) and file.is_file():
                yield file, named["subject"]

    def _missing(self, root: Path) -> ConfigurationError:
        """The error for a path that is no directory."""
        if root.is_file():
            return ConfigurationError(f"{self.path} is a file; give hp.SchemaDirectory the directory that it is in")
        above = next(each for each in root.parents if each.is_dir())
        advice = f"give the path of an existing directory, from {Path.cwd()} on"
        with contextlib.suppress(OSError):  # it may not be readable
            names = sorted(f"{each.name}/" for each in islice(above.iterdir(), _LISTED) if each.is_dir())
            near = near_names(f"{root.relative_to(above).parts[0]}/", names)
            if names:
                advice = f"{above} has {listed([*near, *(name for name in names if name not in near)])}"
        return ConfigurationError(f"the schema directory {self.path} does not exist; {advice}")

    def _empty(self, root: Path) -> ConfigurationError:
        """The error for a directory that could only reject every event."""
        names = (file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file())
        expected = "named vendor/name/jsonschema/1-0-0" if self.layout == "iglu" else "that ends in .json"
        advice = "check the path"
        for name in names:
            if self.layout == "path" and IGLU_PATH.fullmatch(name):
                advice = f'{name} is named as in an Iglu registry, so give layout="iglu"'
                break
            advice = f"check the path, and the names of its files, such as {name}"
        return ConfigurationError(
            f"the schema directory {self.path} has no file {expected}, so every event would be rejected; {advice}"
        )


def _read_schema(file: Path) -> object:
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError, RecursionError) as error:
        raise ConfigurationError(f"the schema file {file} cannot be read: {error}") from error
