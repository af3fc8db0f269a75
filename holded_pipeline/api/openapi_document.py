"""/openapi.json and /docs: built once, and sent as the same bytes each time."""

from __future__ import annotations

import json

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse, Response

OPENAPI_PATH = "/openapi.json"


def add_document_routes(app: FastAPI) -> None:
    """Adds the routes of the document and of the page that shows it.

    FastAPI's own routes encode the document for each request, 60 KB of it, for anybody.

    Args:
        app: made with `openapi_url=None`, so that it has no such routes yet.
    """
    bodies: dict[tuple[str, str], bytes] = {}

    def body_of(path: str, root: str) -> bytes:
        """The bytes to send; the last root alone is kept, since it is that of the mount."""
        if (path, root) not in bodies:
            for stale in [each for each in bodies if each[1] != root]:
                del bodies[stale]
            bodies[path, root] = _openapi_bytes(app, root) if path == OPENAPI_PATH else _docs_page(app, root)
        return bodies[path, root]

    async def openapi(request: Request) -> Response:
        return Response(body_of(OPENAPI_PATH, request.scope.get("root_path", "")), media_type="application/json")

    async def docs(request: Request) -> Response:
        return HTMLResponse(body_of("/docs", request.scope.get("root_path", "")))

    app.add_route(OPENAPI_PATH, openapi, include_in_schema=False)
    app.add_route("/docs", docs, include_in_schema=False)


def _openapi_bytes(app: FastAPI, root: str) -> bytes:
    servers = {"servers": [{"url": root.rstrip("/")}]} if root.rstrip("/") else {}
    return json.dumps(app.openapi() | servers, ensure_ascii=False, separators=(",", ":")).encode()


def _docs_page(app: FastAPI, root: str) -> bytes:
    page = get_swagger_ui_html(openapi_url=root.rstrip("/") + OPENAPI_PATH, title=f"{app.title} - Swagger UI")
    return bytes(page.body)
