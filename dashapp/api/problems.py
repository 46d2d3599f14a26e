"""Errors as the API answers them: `{"error": CODE, "message": ..., "details": {...}}`, never a stack trace."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from dashapp.errors import TickertoneError

log = logging.getLogger(__name__)

_CODES = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}


def problem(status: int, code: str, message: str, details: dict[str, Any] | None = None) -> JSONResponse:
    """An error as a response."""
    return JSONResponse({"error": code, "message": message, "details": details or {}}, status_code=status)


def install(server: FastAPI) -> None:
    """Answer every error of the API's routes in this form."""

    async def known(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, TickertoneError)
        return problem(error.http_status, error.code, str(error), error.details)

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        found = [{"at": ".".join(map(str, each["loc"])), "message": each["msg"]} for each in error.errors()]
        return problem(400, "BAD_REQUEST", "The request does not fit the API.", {"errors": found})

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        code = _CODES.get(error.status_code, "HTTP_ERROR")
        return problem(error.status_code, code, f"{request.method} {request.url.path}: {error.detail}.")

    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return problem(503, "UNAVAILABLE", "The server could not answer; its log says why. Try again later.")

    server.add_exception_handler(TickertoneError, known)
    server.add_exception_handler(RequestValidationError, invalid)
    server.add_exception_handler(HTTPException, http)
    server.add_exception_handler(Exception, unforeseen)


def add_not_found(server: FastAPI) -> None:
    """Answer unknown paths under /api with 404; add it after all routes, before the page's catch-all."""

    async def not_found(request: Request) -> JSONResponse:
        return problem(404, "NOT_FOUND", f"{request.method} {request.url.path} does not exist.")

    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    server.add_api_route("/api/{rest:path}", not_found, methods=methods, include_in_schema=False)
