"""The documentation of the API at /api/docs: Swagger UI out of a package, so that nothing comes from outside."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException

from dashapp.api.desk import get

OPENAPI_URL = "/api/openapi.json"

_PACKAGE = "fastapi_swagger"
_TYPES = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
# Without null it would show a badge that asks a server on the internet.
_PARAMETERS = {"validatorUrl": None, "displayRequestDuration": True, "defaultModelsExpandDepth": 0}


def add_routes(router: APIRouter, at: Callable[[str], str]) -> None:
    """Adds the page and what it needs; `at` gives the address of a path of the server."""

    @get(router, "/api/docs", include_in_schema=False)
    async def page(request: Request) -> Response:
        return HTMLResponse(page_html(request.app.title, at))

    @get(router, "/api/docs/{name}", include_in_schema=False)
    async def part(name: str) -> Response:
        if name not in _TYPES:
            raise HTTPException(404, "there is no such file")
        body = await asyncio.to_thread(_packed, name)
        headers = {"Content-Encoding": "gzip", "Cache-Control": "public, max-age=31536000, immutable"}
        return Response(body, media_type=_TYPES[name], headers=headers)


@lru_cache
def page_html(product: str, at: Callable[[str], str]) -> str:
    """The page, with addresses by `at`; one script stands in it, which a Content-Security-Policy has to allow."""
    urls = {name: at(f"/api/docs/{name}?v={_version()}") for name in _TYPES}
    answer = get_swagger_ui_html(
        openapi_url=at(OPENAPI_URL),
        title=f"{product} API",
        swagger_js_url=urls["swagger-ui-bundle.js"],
        swagger_css_url=urls["swagger-ui.css"],
        swagger_favicon_url=urls["favicon-32x32.png"],
        swagger_ui_parameters=_PARAMETERS,
    )
    return bytes(answer.body).decode()


@lru_cache
def _packed(name: str) -> bytes:
    """The file, packed with gzip, which every browser takes."""
    return gzip.compress((files(_PACKAGE) / "resources" / name).read_bytes(), 6, mtime=0)


def _version() -> str:
    return version("fastapi-swagger")
