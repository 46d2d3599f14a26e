"""The desk: takes a question to the store and sends the reply in the form and under the condition asked for."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import brotli  # type: ignore[import-untyped]
from fastapi import APIRouter, Request, Response
from starlette.types import Receive, Scope, Send

from dashapp.api import negotiate
from dashapp.api.conditional import held_by
from dashapp.api.upload import BodyMemory
from dashapp.model.time import EpochUs
from dashapp.query.cache import ResponseCache
from dashapp.query.reply import Reply
from dashapp.query.series import SeriesReader

T = TypeVar("T")

# Gives the reply to a question: in which form, and what the client holds already.
Ask = Callable[[str, Callable[[str], bool]], Reply]

# Below this a header costs more than compression saves.
SMALLEST_BYTES = 1_000
# Brotli of 100 kB takes 1 ms at 4 and leaves a tenth; a long answer is sent sooner than it would be packed so well.
_QUALITY, _LONG_QUALITY, _LONG_BYTES = 4, 1, 300_000
_COMPRESSIBLE = ("json", "columns", "csv")
# Answers on their way to clients that may be slow: some ten of the longest, or thousands of those that pages ask for.
ANSWERS_MEMORY_BYTES = 256_000_000


@dataclass(frozen=True, slots=True)
class Desk:
    """What handlers need; whatever waits for the store runs in `pool`, never on the event loop."""

    reader: SeriesReader
    cache: ResponseCache
    pool: Executor
    now_us: Callable[[], EpochUs]
    memory: BodyMemory = field(default_factory=lambda: BodyMemory(ANSWERS_MEMORY_BYTES))

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """What the function returns, from a thread of the pool."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)

    async def send(self, request: Request, form: str | None, offered: Sequence[str], ask: Ask) -> Response:
        """The response to a question that can be answered in the forms offered."""
        chosen = negotiate.choose(form, request.headers.get("accept"), offered)
        is_held = held_by(request.headers.get("if-none-match"))
        accepted = request.headers.get("accept-encoding")
        return await self.call(_respond, ask, chosen, is_held, accepted, self.memory)


def get(router: APIRouter, path: str, **options: Any) -> Callable[[T], T]:
    """Registers a handler for GET, and for HEAD out of sight of the OpenAPI document."""

    def register(handler: Any) -> Any:
        router.add_api_route(path, handler, methods=["GET"], operation_id=handler.__name__, **options)
        router.add_api_route(path, handler, methods=["HEAD"], **{**options, "include_in_schema": False})
        return handler

    return register


class HeldAnswer(Response):
    """An answer whose bytes count as held until they are sent, or nobody is there any more."""

    def __init__(self, body: bytes, *, memory: BodyMemory, media_type: str, headers: dict[str, str]) -> None:
        """Raises Overloaded when there is no room for it."""
        memory.take(len(body))
        super().__init__(body, media_type=media_type, headers=headers)
        self._memory = memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self.body, "more_body": True})
            # The server takes this when the client has taken what came before.
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._memory.take(-len(self.body))


def _respond(
    ask: Ask, form: str, is_held: Callable[[str], bool], accept_encoding: str | None, memory: BodyMemory
) -> Response:
    reply = ask(form, is_held)
    headers = {
        "ETag": reply.etag,
        "Cache-Control": "no-cache",
        "Vary": "Accept, Accept-Encoding",
        "Tickertone-Revision": str(reply.revision),
    }
    if reply.body is None:
        return Response(status_code=304, headers=headers)
    headers["Tickertone-Cache"] = "hit" if reply.cache_hit else "miss"
    if reply.next_cursor is not None:
        headers["Tickertone-Next-Cursor"] = reply.next_cursor
    body = reply.body
    coding = negotiate.coding(accept_encoding) if form in _COMPRESSIBLE and len(body) >= SMALLEST_BYTES else None
    if coding == "br":
        body = brotli.compress(body, quality=_QUALITY if len(body) < _LONG_BYTES else _LONG_QUALITY)
    elif coding == "gzip":
        body = gzip.compress(body, 1, mtime=0)
    if coding is not None:
        headers["Content-Encoding"] = coding
    return HeldAnswer(body, memory=memory, media_type=negotiate.MEDIA_TYPES[form], headers=headers)
