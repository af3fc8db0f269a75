"""The HTTP routes, with their OpenAPI descriptions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Security
from starlette.responses import JSONResponse, Response

from holded_pipeline.api import response_models
from holded_pipeline.api.access.api_key import Scope
from holded_pipeline.api.access.authentication import BEARER, HEADER
from holded_pipeline.api.access.caller import Caller
from holded_pipeline.api.collecting.endpoint import respond_to_collect
from holded_pipeline.api.problems import Problem, problem_responses, unavailable
from holded_pipeline.api.received.archive import Cursor, partition_of
from holded_pipeline.api.received.held_response import HeldResponse
from holded_pipeline.api.received.iso_day import IsoDay
from holded_pipeline.api.service import service_of

# Problems of every route that needs a key, and of the routes that search the store.
_KEY_PROBLEMS = (
    "no_valid_key",
    "expired_key",
    "missing_scope",
    "no_keys_set_up",
    "too_many_requests",
    "internal_error",
    "not_started",
)
_SEARCH_PROBLEMS = ("invalid_parameter", "over_share", "busy", "store_unavailable", "took_too_long")
router = APIRouter()


def _json_content(schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema, "example": example}}}


def authenticate(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    """What gives a route its caller, whose key has this scope. It runs first: a denied request costs nothing more."""

    async def caller(
        request: Request, _header: Annotated[Any, Security(HEADER)], _bearer: Annotated[Any, Security(BEARER)]
    ) -> Caller:
        return await service_of(request).authenticator.authenticate(request, scope)

    return caller


Sender = Annotated[Caller, Depends(authenticate("collect"))]
Reader = Annotated[Caller, Depends(authenticate("read"))]
MetricsReader = Annotated[Caller, Depends(authenticate("metrics"))]
Day = Annotated[IsoDay | None, Query(alias="date", description="the UTC day on which the events were received")]
Hour = Annotated[int | None, Query(ge=0, le=23, description="an hour of that day")]


@router.post(
    "/collect",
    summary="Store a package of events",
    status_code=202,
    response_model=response_models.CollectResponse,
    responses={
        202: {
            "description": "Accepted: the store, or this server's spool, has confirmed the events listed as accepted.",
            "content": {
                "application/json": {
                    "examples": {
                        "all": {"value": response_models.example_response(2, 0)},
                        "some": {"value": response_models.example_response(1, 1)},
                    }
                }
            },
        },
        **problem_responses(
            *("empty_body", "invalid_json", "several_values", "invalid_gzip", "too_slow"),
            *("body_too_large", "inflated_too_large", "too_many_events", "too_costly"),
            *("unsupported_media_type", "unsupported_charset", "unsupported_encoding"),
            *("over_share", "busy", "store_unavailable", "schemas_unavailable", "schemas_unusable", "stopping"),
            *_KEY_PROBLEMS,
        ),
        422: {
            "description": "No event is accepted: the same form as 202, with the reason for each.",
            "model": response_models.CollectResponse,
            "content": {"application/json": {"example": response_models.example_response(0, 1)}},
        },
    },
    openapi_extra={"requestBody": response_models.REQUEST_BODY},
)
async def collect(request: Request, _: Sender) -> Response:
    """Responds when the events are stored: events listed as `accepted` survive any crash.

    Events listed as `rejected` are not JSON, exceed a limit, or, if this server checks schemas, break their schema.
    Fix them before you send them again. After 429, 503, or no response at all, send the whole package again
    unchanged: an event with a message id stays one event however often it is sent.
    """
    # This is the description of the route for OpenAPI; `CollectRoute` stands before it and answers.
    return await respond_to_collect(request)


@router.get(
    "/events",
    summary="Read stored events",
    responses={
        200: {
            "description": "A page.",
            **_json_content(
                response_models.PAGE_SCHEMA, {"events": [response_models.EXAMPLE_STORED_EVENT], "next_cursor": None}
            ),
        },
        **problem_responses(*_KEY_PROBLEMS, *_SEARCH_PROBLEMS, "invalid_cursor"),
    },
)
async def list_events(
    request: Request,
    caller: Reader,
    *,
    day: Day = None,
    hour: Hour = None,
    limit: Annotated[int, Query(ge=1, le=1_000, description="events on a page")] = 100,
    cursor: Annotated[str | None, Query(max_length=4_096, description="next_cursor of the previous page")] = None,
) -> Response:
    """The events of a day (default: today) in the order in which they were stored.

    A page has fewer events than `limit` if they are large. There is a next page if `next_cursor` is not null.
    """
    service = service_of(request)
    partition = partition_of(day or datetime.now(UTC).date(), hour)
    position = Cursor() if cursor is None else Cursor.decode(cursor)
    page = await service.search(lambda: service.archive.read_page(partition, position, limit))
    next_cursor = "null" if page.cursor is None else json.dumps(page.cursor.encode())
    body = b'{"events":[' + b",".join(page.lines) + b'],"next_cursor":' + next_cursor.encode() + b"}"
    return HeldResponse(body, service.memory, caller.name)


@router.get(
    "/events/{event_id}",
    summary="Read one event",
    responses={
        200: {
            "description": "The event as it is stored.",
            **_json_content(response_models.STORED_EVENT_SCHEMA, response_models.EXAMPLE_STORED_EVENT),
        },
        **problem_responses(*_KEY_PROBLEMS, *_SEARCH_PROBLEMS, "not_recent", "no_such_event"),
    },
)
async def get_event(
    request: Request,
    caller: Reader,
    *,
    event_id: Annotated[str, Path(max_length=255)],
    day: Day = None,
    hour: Hour = None,
) -> Response:
    """A recent event needs only its id; an older one, or one of another server, also the day it was received."""
    service = service_of(request)
    line = await service.find_recent(event_id)
    if line is not None:
        return HeldResponse(line, service.memory, caller.name)
    if day is None:
        today = datetime.now(UTC).date()
        raise Problem(
            404,
            "not_recent",
            f"this server does not have the event in memory; add date={today}, the UTC day it was received",
        )
    partition = partition_of(day, hour)
    line = await service.search(lambda: service.archive.find_event(partition, event_id))
    if line is None:
        raise Problem(404, "no_such_event", f"no event with this id was received on {day}; try the day before or after")
    return HeldResponse(line, service.memory, caller.name)


_HEALTHY = {"status": "healthy", "dependencies": {"store": "healthy", "schemas": "healthy"}}


@router.head("/health", include_in_schema=False)
@router.get(
    "/health",
    summary="Whether the process runs, and its dependencies answer",
    response_model=response_models.Health,
    responses={200: {"description": "The process runs.", "content": {"application/json": {"example": _HEALTHY}}}},
)
async def health(request: Request) -> Response:
    """Answers 200 in any case: an outage of the store is no reason to restart the process.

    The status is `degraded` if a dependency did not answer within half a second. It is asked at most once a second.
    """
    words = await request.app.state.service.health()
    status = "degraded" if "unavailable" in words.values() else "healthy"
    return JSONResponse({"status": status, "dependencies": words})


@router.head("/ready", include_in_schema=False)
@router.get(
    "/ready",
    summary="Whether events can be accepted",
    response_model=response_models.ServerStatus,
    responses={
        200: {
            "description": "The store can be reached, or the spool can take events until it can.",
            "content": {"application/json": {"example": {"status": "ready"}}},
        },
        **problem_responses("not_ready", "internal_error", "not_started"),
    },
)
async def ready(request: Request) -> Response:
    """Checks the store, at most once a second. `spooling` means that it does not answer, and the spool takes events."""
    service = service_of(request)
    try:
        async with asyncio.timeout(service.writing.store_seconds):
            status = await service.check_ready()
    except Exception as error:  # any error means not ready
        service.log_not_ready(error)
        raise unavailable("not_ready", "the store cannot be reached", service.writing.retry_after) from error
    return JSONResponse({"status": status})


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={
        200: {
            "description": "The Prometheus text format.",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": response_models.EXAMPLE_METRICS}},
        },
        **problem_responses(*_KEY_PROBLEMS, "metrics_removed"),
    },
)
async def metrics(request: Request, _: MetricsReader) -> Response:
    """Requests, events, bytes, latencies, queues and errors of this server, its workers added up."""
    text = await service_of(request).metrics_text()
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


# FastAPI adds no HEAD to a GET. `/openapi.json` has it: that route is starlette's.
for _path, _endpoint in (("/health", health), ("/ready", ready), ("/metrics", metrics)):
    router.add_api_route(_path, _endpoint, methods=["HEAD"], include_in_schema=False)
