"""What a test does to a real schema registry, over its REST API: register, delete, set the compatibility."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

import holded_pipeline as hp
from holded_pipeline.schemas.references import references_in

_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
DRAFT = "https://json-schema.org/draft/2020-12/schema"


class RegistryServer:
    """Subjects get a prefix of their own, so that tests do not meet."""

    def __init__(self, url: str, *, prefix: str) -> None:
        self.url = url
        self._prefix = prefix
        self._session = requests.Session()
        self._session.headers["Content-Type"] = _MEDIA_TYPE
        self._subjects: list[str] = []

    def subject(self, name: str) -> str:
        return self._prefix + name

    def post(self, name: str, body: Mapping[str, Any]) -> requests.Response:
        """A version more, as the request's body says; what differs from the one before is let in, unless forbidden."""
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
        """The answer; a JSON Schema gets the newest draft if it names none: some registries know the kind by it."""
        if kind == "JSON":
            schema = {"$schema": DRAFT, **schema}
        return self.post(name, {"schema": json.dumps(schema), "schemaType": kind, "references": list(references)})

    def registered(self, name: str, schema: Any, **more: Any) -> int:
        """Its id."""
        answer = self.register(name, schema, **more)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["id"])

    def refer(self, name: str, *, to: str, version: int = 1) -> dict[str, Any]:
        """One entry of `references`: `name` is what stands in `$ref`."""
        return {"name": name, "subject": self.subject(to), "version": version}

    def set_compatibility(self, name: str, level: str) -> None:
        place = quote(self.subject(name), safe="")
        answer = self._session.put(f"{self.url}/config/{place}", json={"compatibility": level}, timeout=20)
        assert answer.ok, answer.text

    def delete(self, name: str, version: int | None = None) -> requests.Response:
        """Softly: a version stays for those who refer to it."""
        place = f"subjects/{quote(self.subject(name), safe='')}"
        more = "" if version is None else f"/versions/{version}"
        return self._session.delete(f"{self.url}/{place}{more}", timeout=20)

    def register_directory(self, folder: Path) -> None:
        """Every schema of a directory under its subject, a PHP class name's `/` as backslashes, referred to first."""
        schemas = hp.SchemaDirectory(folder).prepare()
        done: set[str] = set()

        def add(name: str) -> None:
            done.add(name)
            references = []
            uri = schemas._uri(name)
            for written, target in dict(references_in(schemas.documents[name], uri)).items():
                other = schemas._named(written, target, name)
                assert other is not None, f"{name} refers to {written}"
                if other not in done:
                    add(other)
                references.append(self.refer(written, to=other.replace("/", "\\")))
            self.registered(name.replace("/", "\\"), schemas.documents[name], references=references)

        for name in schemas.documents:
            if name not in done:
                add(name)

    def close(self) -> None:
        """Deletes what was registered, those who refer before those who are referred to."""
        for permanent in ("false", "true"):
            for subject in reversed(self._subjects):
                place = f"{self.url}/subjects/{quote(subject, safe='')}"
                self._session.delete(place, params={"permanent": permanent}, timeout=20)
        self._session.close()

    def wait_past(self, moment: float) -> None:
        """Until the clock that caches go by is past it."""
        while time.monotonic() <= moment:
            time.sleep(0.01)
