"""Errors as the API answers them: `{"error": CODE, "message": ..., "details": {...}}`, never a stack trace."""

from __future__ import annotations

import logging
from itertools import takewhile
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from dashapp.errors import TickertoneError, TryLater, Unauthorized

log = logging.getLogger(__name__)

# When to ask again where nobody can tell.
RETRY_AFTER_S = 5

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_CATCH_ALL = "api_not_found"
_CODES = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 408: "TIMEOUT"}


def problem(
    status: int,
    code: str,
    message: str,
    details: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    """An error as a response."""
    body = {"error": code, "message": message, "details": details or {}}
    return JSONResponse(body, status_code=status, headers=headers)


def told(error: TickertoneError) -> JSONResponse:
    """An error that was raised on purpose as a response."""
    return problem(error.http_status, error.code, str(error), error.details, _headers(error))


def install(server: FastAPI) -> None:
    """Answer every error of the API's routes in this form."""

    async def known(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, TickertoneError)
        return told(error)

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        found = [{"at": ".".join(map(str, each["loc"])), "message": each["msg"]} for each in error.errors()]
        return problem(400, "BAD_REQUEST", "The request does not fit the API.", {"errors": found})

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        code = _CODES.get(error.status_code, "HTTP_ERROR")
        message = f"{request.method} {request.url.path}: {error.detail}."
        if error.status_code == 405:  # the router names the methods of one route, and there may be several
            allowed = sorted(_methods(request))
            return problem(405, code, message, {"allowed": allowed}, {"Allow": ", ".join(allowed)})
        return problem(error.status_code, code, message)

    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        message = "The server could not answer; its log says why. Try again later."
        return problem(503, "UNAVAILABLE", message, headers={"Retry-After": str(RETRY_AFTER_S)})

    server.add_exception_handler(TickertoneError, known)
    server.add_exception_handler(RequestValidationError, invalid)
    server.add_exception_handler(HTTPException, http)
    server.add_exception_handler(Exception, unforeseen)


def _headers(error: TickertoneError) -> dict[str, str]:
    """What HTTP wants said beside a status."""
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, TryLater):
        return {"Retry-After": str(error.retry_after_s)}
    if error.http_status == 503:
        return {"Retry-After": str(RETRY_AFTER_S)}
    return {}


def add_not_found(server: FastAPI) -> None:
    """Answer unknown paths under /api with 404, and known ones asked with another method with 405; add it after all
    routes, before the page's catch-all."""

    async def not_found(request: Request) -> JSONResponse:
        if _methods(request):
            raise HTTPException(405, "Method Not Allowed")
        return problem(404, "NOT_FOUND", f"{request.method} {request.url.path} does not exist.")

    server.add_api_route(
        "/api/{rest:path}", not_found, methods=list(_METHODS), include_in_schema=False, name=_CATCH_ALL
    )


def _methods(request: Request) -> set[str]:
    """The methods that routes take at the path of a request."""
    routes = takewhile(lambda route: getattr(route, "name", "") != _CATCH_ALL, request.app.routes)
    return {
        method
        for route in routes
        for method in _METHODS
        if route.matches({**request.scope, "method": method})[0] is Match.FULL
    }
