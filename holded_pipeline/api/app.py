"""`create_app`: the parts put together."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from importlib.metadata import version as installed
from typing import Any, Literal

from fastapi import FastAPI

from holded_pipeline.api import problems
from holded_pipeline.api.observed import Observed
from holded_pipeline.api.routes import router
from holded_pipeline.api.schema_check import Schemas
from holded_pipeline.api.service import Service
from holded_pipeline.api.settings import Limits, Writing
from holded_pipeline.schemas.subjects import Subject
from holded_pipeline.servers.secret import Secret
from holded_pipeline.store.minio import MinIO


def create_app(
    lake: MinIO,
    *,
    keys: Mapping[str, Secret | str] | None = None,
    prefix: str = "raw/",
    rejected_prefix: str = "rejected/",
    schemas: Schemas | None = None,
    subject: str | Subject = "{type}",
    version: int | Literal["latest"] = "latest",
    limits: Limits | None = None,
    writing: Writing | None = None,
) -> FastAPI:
    """The ingestion API, to be served by uvicorn or mounted in an application of yours.

    `POST /collect` answers 202 when the store has confirmed the events: from then on no crash of this process can
    lose them. Several processes may serve one bucket; each has a queue, recent events and rate limits of its own.

    Nothing is opened before the app's lifespan begins, and at its end all that was taken in is stored. An
    application that mounts it must run its lifespan: `async with app.router.lifespan_context(app)`.

    Args:
        lake: the store and its bucket. Its `retry` and `timeout` are cut down to `writing.store_seconds`.
        keys: API keys by names, which metrics show. Without any, only this machine is answered.
        prefix: what the keys of stored events begin with; below it they are filed by the hour they were received.
        rejected_prefix: the same for what is refused at the door.
        schemas: checks events before they are accepted, see `ValidateSchema`; None accepts all that is JSON.
        subject: see `ValidateSchema`.
        version: see `ValidateSchema`.
        limits: what is accepted.
        writing: how it is written.

    Raises:
        ValueError: an argument is wrong, e.g. a key is too short.
        ConfigurationError: the environment variable of a key is not set.
    """
    service = Service(
        lake,
        keys=keys or {},
        prefix=prefix,
        rejected_prefix=rejected_prefix,
        schemas=schemas,
        subject=subject,
        version=version,
        limits=limits or Limits(),
        writing=writing or Writing(),
    )
    app = FastAPI(
        title="holded_pipeline ingestion API",
        description="Events in, and an answer when no crash can lose them any more.",
        version=installed("holded-pipeline"),
        lifespan=_lifespan,
        redoc_url=None,
    )
    app.state.service = service
    app.include_router(router)
    problems.install(app)
    app.add_middleware(Observed, metrics=service.metrics)
    _describe(app)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    await service.open()
    try:
        yield
    finally:
        await service.close()


def _describe(app: FastAPI) -> None:
    """OpenAPI as it is: problems in their own form, and none of FastAPI's own errors, which are never sent."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        schemas = document["components"]["schemas"]
        schemas["Problem"] = problems.SCHEMA
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for path in document["paths"].values():
            for call in path.values():
                found = call["responses"].get("422", {})
                if "HTTPValidationError" in str(found):
                    del call["responses"]["422"]
        return document

    vars(app)["openapi"] = openapi  # FastAPI's own way to change it, in words that a type checker accepts
