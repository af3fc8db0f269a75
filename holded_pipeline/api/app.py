"""`create_app`: builds the FastAPI application."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from importlib.metadata import version as installed_version
from typing import Any, Literal

from fastapi import FastAPI

from holded_pipeline.api import problems
from holded_pipeline.api.access.key_source import Keys
from holded_pipeline.api.collecting.endpoint import CollectRoute
from holded_pipeline.api.collecting.schema_check import Schemas
from holded_pipeline.api.collecting.spool import Spool
from holded_pipeline.api.openapi_document import add_document_routes
from holded_pipeline.api.routes import router
from holded_pipeline.api.service import Service
from holded_pipeline.api.settings import Limits, Writing
from holded_pipeline.api.watching.middleware import MonitoringMiddleware
from holded_pipeline.api.watching.trailing_slash import TrailingSlashMiddleware
from holded_pipeline.schemas.subjects import Subject
from holded_pipeline.store.minio import MinIO


def create_app(
    lake: MinIO,
    *,
    keys: Keys | None = None,
    prefix: str = "raw/",
    rejected_prefix: str = "rejected/",
    schemas: Schemas | None = None,
    subject: str | Subject = "{type}",
    version: int | Literal["latest"] = "latest",
    limits: Limits | None = None,
    writing: Writing | None = None,
    spool: Spool | None = None,
) -> FastAPI:
    """Creates the ingestion API, to be served by `serve` or mounted in an application of your own.

    `POST /collect` answers 202 when the store has confirmed the events, or, while it does not answer, the disk of the
    spool: from then on no crash of this process can lose them. Several processes may serve one bucket; each has its own
    queue, recent events and rate limits.

    The lifespan of the app opens its connections. Its end writes all packages that were accepted. An application
    that mounts the app must run its lifespan: `async with app.router.lifespan_context(app)`.

    Args:
        lake: the store and its bucket. Neither its `timeout` nor its retries go beyond `writing.store_seconds`.
        keys: API keys by name, each an `ApiKey`, or a text or `Secret` that may only collect; or a `KeyFile`. The
            names are in metrics, in the audit log, and in the events that a key sends (`metadata.sender`). Several keys
            may have one name, as a list. Without keys only requests from this machine are answered.
        prefix: the prefix of the objects with events; below it there is a partition for each hour of receipt.
        rejected_prefix: the prefix of the objects with events that the schema check rejected.
        schemas: the schemas that events are checked against before they are accepted, see `ValidateSchema`; None for
            no check.
        subject: see `ValidateSchema`.
        version: see `ValidateSchema`.
        limits: what is accepted, see `Limits`.
        writing: how events are written, see `Writing`.
        spool: a folder on the local disk that takes events while the store does not answer, see `Spool`; None to answer
            503 then.

    Raises:
        ValueError: an argument is wrong, for example an API key is too short.
        ConfigurationError: the environment variable of a key is not set; (starting) the key file cannot be used.
    """
    service = Service(
        lake,
        keys={} if keys is None else keys,
        prefix=prefix,
        rejected_prefix=rejected_prefix,
        schemas=schemas,
        subject=subject,
        version=version,
        limits=limits or Limits(),
        writing=writing or Writing(),
        spool=spool,
    )
    app = FastAPI(
        title="holded_pipeline ingestion API",
        description="Accepts events, and answers when they are stored.",
        version=installed_version("holded-pipeline"),
        lifespan=_lifespan,
        openapi_url=None,  # see `add_document_routes`
    )
    app.state.service = service
    app.router.routes.append(CollectRoute())
    app.include_router(router)
    problems.install_handlers(app)
    app.add_middleware(MonitoringMiddleware, metrics=service.metrics)
    app.add_middleware(TrailingSlashMiddleware)
    _customize_openapi(app)
    add_document_routes(app)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    await service.open()
    try:
        yield
    finally:
        await service.close()


def _customize_openapi(app: FastAPI) -> None:
    """Adds the schema of problems to OpenAPI, and removes FastAPI's own error responses, which are never sent."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schemas = document["components"]["schemas"]
        schemas["Problem"] = problems.SCHEMA
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for path in document["paths"].values():
            for operation in path.values():
                response = operation["responses"].get("422", {})
                if "HTTPValidationError" in str(response):
                    del operation["responses"]["422"]
        return document

    vars(app)["openapi"] = openapi  # `app.openapi = …`, as FastAPI's docs have it, in a form that mypy accepts
