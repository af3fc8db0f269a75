"""The calls, as OpenAPI describes them."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Security
from starlette.responses import JSONResponse, Response

from holded_pipeline.api import answers
from holded_pipeline.api.archive import Cursor, partition_of
from holded_pipeline.api.authentication import BEARER, HEADER
from holded_pipeline.api.body import layout_of_content_type, read_body
from holded_pipeline.api.problems import Problem, described, not_now
from holded_pipeline.api.service import Service

# What any call that needs a key may answer.
_ANY = ("no_valid_key", "no_keys_set_up", "too_many_requests", "internal_error")
_LOOK = ("invalid_parameter", "busy", "store_unavailable", "took_too_long")
router = APIRouter()


def _json_content(schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema, "example": example}}}


async def entered(
    request: Request, _header: Annotated[Any, Security(HEADER)], _bearer: Annotated[Any, Security(BEARER)]
) -> str:
    """The name of the request's API key. Before all else: what is refused here costs nothing more."""
    return await service_of(request).gate.enter(request)


def service_of(request: Request) -> Service:
    """What the app was made with.

    Raises:
        ConfigurationError: the app's lifespan does not run.
    """
    service: Service = request.app.state.service
    service.require_open()
    return service


Key = Annotated[str, Depends(entered)]
Day = Annotated[date | None, Query(alias="date", description="the UTC day on which they were received")]
Hour = Annotated[int | None, Query(ge=0, le=23, description="an hour of that day")]


@router.post(
    "/collect",
    summary="Store a package of events",
    status_code=202,
    response_model=answers.Collected,
    responses={
        202: {
            "description": "Accepted: the store has confirmed the events listed as accepted.",
            "content": {
                "application/json": {
                    "examples": {
                        "all": {"value": answers.collected(2, 0)},
                        "some": {"value": answers.collected(1, 1)},
                    }
                }
            },
        },
        **described(
            *("empty_body", "invalid_json", "several_values", "invalid_gzip", "too_slow"),
            *("body_too_large", "inflated_too_large", "too_many_events", "too_costly"),
            *("unsupported_media_type", "unsupported_charset", "unsupported_encoding"),
            *("busy", "store_unavailable", "schemas_unavailable", "schemas_unusable", "stopping"),
            *_ANY,
        ),
        422: {
            "description": "None of the events is accepted: the same form as 202, with each reason.",
            "model": answers.Collected,
            "content": {"application/json": {"example": answers.collected(0, 1)}},
        },
    },
    openapi_extra={"requestBody": answers.BODY},
)
async def collect(request: Request, key: Key) -> Response:
    """Answers when the events are stored: what is `accepted` survives any crash.

    An event that is `rejected` is not JSON or breaks a limit (and, where this server checks schemas, its schema):
    send it again only when it is mended. After 429, 503, or no answer at all, send the whole package again as it
    is: an event with a message id stays one event however often it is sent.
    """
    service = service_of(request)
    layout = layout_of_content_type(request)
    with service.memory.share() as share:
        body = await read_body(request, share, service.limits)
        done = await service.collector.collect(body, layout, key)
    status = 422 if done.rejected and not done.accepted else 202
    return Response(done.model_dump_json(), status, media_type="application/json")


@router.get(
    "/events",
    summary="Read stored events",
    responses={
        200: {
            "description": "A page.",
            **_json_content(answers.PAGE_SCHEMA, {"events": [answers.STORED], "next_cursor": None}),
        },
        **described(*_ANY, *_LOOK, "invalid_cursor"),
    },
)
async def events(
    request: Request,
    _: Key,
    day: Day = None,
    hour: Hour = None,
    limit: Annotated[int, Query(ge=1, le=1_000, description="events on a page")] = 100,
    cursor: Annotated[str | None, Query(max_length=4_096, description="next_cursor of the page before")] = None,
) -> Response:
    """The events of a day (today's, if none is given) in the order in which they were stored.

    A page is shorter than `limit` when its events are large. There are more as long as `next_cursor` is not null.
    """
    service = service_of(request)
    partition = partition_of(day or datetime.now(UTC).date(), hour)
    position = Cursor() if cursor is None else Cursor.decode(cursor)
    page = await service.look(lambda: service.archive.page(partition, position, limit))
    then = "null" if page.cursor is None else json.dumps(page.cursor.encode())
    body = b'{"events":[' + b",".join(page.lines) + b'],"next_cursor":' + then.encode() + b"}"
    return Response(body, media_type="application/json")


@router.get(
    "/events/{event_id}",
    summary="Read one event",
    responses={
        200: {"description": "The event, as it is stored.", **_json_content(answers.STORED_SCHEMA, answers.STORED)},
        **described(*_ANY, *_LOOK, "not_recent", "no_such_event"),
    },
)
async def event(
    request: Request,
    _: Key,
    event_id: Annotated[str, Path(max_length=255)],
    day: Day = None,
    hour: Hour = None,
) -> Response:
    """A recent event at once; an older one, or one that another process took in, with the day it was received."""
    service = service_of(request)
    line = service.recent.get(event_id)
    if line is not None:
        return Response(line, media_type="application/json")
    if day is None:
        today = datetime.now(UTC).date()
        raise Problem(
            404,
            "not_recent",
            f"the event is not among the recent ones of this process; add date={today}, the UTC day it was received",
        )
    partition = partition_of(day, hour)
    line = await service.look(lambda: service.archive.find(partition, event_id))
    if line is None:
        raise Problem(404, "no_such_event", f"no event of this id was received on {day}; try the day before or after")
    return Response(line, media_type="application/json")


@router.get(
    "/health",
    summary="Whether the process runs",
    response_model=answers.Alive,
    responses={200: {"description": "It runs.", "content": {"application/json": {"example": {"status": "ok"}}}}},
)
async def health() -> answers.Alive:
    """Says nothing of the store: a process must not be restarted for the store's sake."""
    return answers.Alive(status="ok")


@router.get(
    "/ready",
    summary="Whether the store can be reached",
    response_model=answers.Alive,
    responses={
        200: {"description": "It can.", "content": {"application/json": {"example": {"status": "ready"}}}},
        **described("not_ready", "internal_error"),
    },
)
async def ready(request: Request) -> Response:
    """Asks the store, at most once a second and not for long."""
    service = service_of(request)
    try:
        async with asyncio.timeout(service.writing.store_seconds):
            await service.readiness.check()
    except Exception as error:  # whatever it is: not ready
        service.log_not_ready(error)
        raise not_now("not_ready", "the store cannot be reached", service.writing.retry_after) from error
    return JSONResponse({"status": "ready"})


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    responses={
        200: {
            "description": "Prometheus's text format.",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": answers.FIGURES}},
        },
        **described(*_ANY),
    },
)
async def metrics(request: Request, _: Key) -> Response:
    """Requests, events, bytes, latencies, queues and errors of this process."""
    text = service_of(request).metrics.text()
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")
