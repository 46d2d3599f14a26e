"""Requests to the page: their bodies are read as far as they are small enough, and nonsense is told to be that.

Dash reads whatever comes, of any length and for as long as it takes, and fails where it cannot make sense of it.
"""

from __future__ import annotations

import logging

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashapp.api.problems import problem, told
from dashapp.api.upload import BodyMemory, read_body
from dashapp.errors import TickertoneError

log = logging.getLogger(__name__)

# What the page sends most of are the tickers it knows: ten thousand of them are half a megabyte.
MOST_BYTES = 4_000_000
CALLBACK_PATH = "/_dash-update-component"
_OF_DASH = ("/_dash-", "/_reload-hash")
# That many of the largest at one time.
_AT_ONCE = 16


class BoundedBodies:
    """ASGI middleware; bodies to the paths of `but` are left to those who take them."""

    def __init__(self, app: ASGIApp, *, but: tuple[str, ...]) -> None:
        self._app = app
        self._but = but
        self._memory = BodyMemory(_AT_ONCE * MOST_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["path"] in self._but or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        with self._memory.share() as share:
            try:
                body = await read_body(Request(scope, receive), share, max_bytes=MOST_BYTES)
            except TickertoneError as error:
                await told(error)(scope, receive, send)
                return
            except HTTPException as error:
                await problem(error.status_code, "TIMEOUT", f"{error.detail}.")(scope, receive, send)
                return
            except ClientDisconnect:
                return  # nobody is there to be answered
            is_read = False

            async def replay() -> Message:
                nonlocal is_read
                if is_read:
                    return await receive()
                is_read = True
                return {"type": "http.request", "body": body, "more_body": False}

            await self._app(scope, replay, send)


class NonsenseToDash:
    """ASGI middleware: where Dash fails since it cannot make sense of a request, that is told to be a bad one.

    Callbacks tell of their own failures; so what fails beside them are callbacks, and scripts, that do not exist.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or not scope["path"].startswith(_OF_DASH):
            await self._app(scope, receive, send)
            return
        has_failed = False

        async def watch(message: Message) -> None:
            nonlocal has_failed
            has_failed = has_failed or message.get("status") == 500
            if not has_failed:
                await send(message)

        await self._app(scope, receive, watch)
        if has_failed:
            log.warning("%s %s: Dash can make no sense of it", scope["method"], scope["path"][:60])
            answer = problem(404, "NOT_FOUND", "There is no such script.")
            if scope["path"] == CALLBACK_PATH:
                answer = problem(400, "BAD_REQUEST", "The request fits no callback of the page.")
            await answer(scope, receive, send)


def _has_body(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
