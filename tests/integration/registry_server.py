"""Changes a real schema registry over its REST API: register, delete, set the compatibility."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

import holded_pipeline as hp
from holded_pipeline.schemas.referenced_subjects import ReferencedSubjects
from holded_pipeline.schemas.uris import references_in

_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
DRAFT = "https://json-schema.org/draft/2020-12/schema"


class RegistryServer:
    """A client whose subjects have a prefix, so that tests do not share any."""

    def __init__(self, url: str, *, prefix: str) -> None:
        self.url = url
        self._prefix = prefix
        self._session = requests.Session()
        self._session.headers["Content-Type"] = _MEDIA_TYPE
        self._subjects: list[str] = []

    def subject(self, name: str) -> str:
        return self._prefix + name

    def post(self, name: str, body: Mapping[str, Any]) -> requests.Response:
        """Registers a version. An incompatible one is allowed unless `set_compatibility` was called."""
        subject = self.subject(name)
        if subject not in self._subjects:
            self.set_compatibility(name, "NONE")
        answer = self._session.post(f"{self.url}/subjects/{quote(subject, safe='')}/versions", json=body, timeout=20)
        if answer.ok and subject not in self._subjects:
            self._subjects.append(subject)
        return answer

    def register(
        self, name: str, schema: Any, *, kind: str = "JSON", references: Sequence[Mapping[str, Any]] = ()
    ) -> requests.Response:
        """The answer. A JSON Schema without a draft gets the newest: some registries need one to know its type."""
        if kind == "JSON":
            schema = {"$schema": DRAFT, **schema}
        return self.post(name, {"schema": json.dumps(schema), "schemaType": kind, "references": list(references)})

    def register_ok(self, name: str, schema: Any, **more: Any) -> int:
        """Registers a schema, checks that it worked, and returns its id."""
        answer = self.register(name, schema, **more)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["id"])

    def refer(self, name: str, *, to: str, version: int = 1) -> dict[str, Any]:
        """One entry of `references`: `name` is what a `$ref` contains."""
        return {"name": name, "subject": self.subject(to), "version": version}

    def set_compatibility(self, name: str, level: str) -> None:
        subject = quote(self.subject(name), safe="")
        answer = self._session.put(f"{self.url}/config/{subject}", json={"compatibility": level}, timeout=20)
        assert answer.ok, answer.text

    def delete(self, name: str, version: int | None = None) -> requests.Response:
        """A soft delete: the schemas that refer to a version still find it."""
        path = f"subjects/{quote(self.subject(name), safe='')}"
        more = "" if version is None else f"/versions/{version}"
        return self._session.delete(f"{self.url}/{path}{more}", timeout=20)

    def register_directory(self, folder: Path) -> None:
        """Registers every schema of a directory, those referred to first. Subjects get a backslash for each `/`."""
        schemas = hp.SchemaDirectory(folder).prepare()
        referenced = ReferencedSubjects(schemas)
        done: set[str] = set()

        def add(name: str) -> None:
            done.add(name)
            references = []
            uri = schemas.uri_of_subject(name)
            for written, target in dict(references_in(schemas.documents[name], uri)).items():
                other = referenced.find(written, target, name)
                assert other is not None, f"{name} refers to {written}"
                if other == name:
                    continue
                if other not in done:
                    add(other)
                references.append(self.refer(written, to=other.replace("/", "\\")))
            self.register_ok(name.replace("/", "\\"), schemas.documents[name], references=references)

        for name in schemas.documents:
            if name not in done:
                add(name)

    def close(self) -> None:
        """Deletes what was registered, in reverse order: first those that refer to others."""
        for permanent in ("false", "true"):
            for subject in reversed(self._subjects):
                url = f"{self.url}/subjects/{quote(subject, safe='')}"
                self._session.delete(url, params={"permanent": permanent}, timeout=20)
        self._session.close()

    def wait_past(self, moment: float) -> None:
        """Waits until `time.monotonic()`, the clock of the caches, is past a moment."""
        while time.monotonic() <= moment:
            time.sleep(0.01)
