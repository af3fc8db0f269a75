"""Answers `POST /collect` as a plain ASGI application.

FastAPI resolves the dependencies of a request anew each time; for a package of one event that costs more than to check
and store it. So this route stands before FastAPI's own one, which is there for OpenAPI.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from holded_pipeline.api.collecting.collect_response import body_of, status_of
from holded_pipeline.api.collecting.request_body import layout_of_content_type, read_body
from holded_pipeline.api.problems import Problem
from holded_pipeline.api.service import service_of


async def respond_to_collect(request: Request) -> Response:
    """Stores the package of a request, and answers what became of each event.

    Raises:
        Problem: the package as a whole is not accepted, or could not be stored.
    """
    service = service_of(request)
    caller = await service.authenticator.authenticate(request, "collect")
    layout = layout_of_content_type(request)
    with service.senders.sending(request.client), service.memory.share(caller.name, caller.address) as share:
        body = await read_body(request, share, service.limits)
        package = await service.collector.collect(body, layout, caller)
    return Response(body_of(package), status_of(package), media_type="application/json")


class CollectRoute(Route):
    """`POST /collect`, to be put before the routes of FastAPI."""

    def __init__(self) -> None:
        super().__init__("/collect", self._answer, methods=["POST"], include_in_schema=False)
        self.app = self._answer

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Matches `POST` alone: FastAPI's own route answers other methods, as those of other paths, and is counted."""
        match, child_scope = super().matches(scope)
        return (match, child_scope) if match is Match.FULL else (Match.NONE, {})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = self  # metrics name a request by the path of its route
        try:
            response = await respond_to_collect(Request(scope, receive))
        except Problem as problem:
            response = problem.response()
        await response(scope, receive, send)
