"""The desk: takes a question to the store and sends the reply in the form and under the condition asked for."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

import brotli  # type: ignore[import-untyped]
from fastapi import APIRouter, Request, Response

from dashapp.api import negotiate
from dashapp.api.conditional import held_by
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


@dataclass(frozen=True, slots=True)
class Desk:
    """What handlers need; whatever waits for the store runs in `pool`, never on the event loop."""

    reader: SeriesReader
    cache: ResponseCache
    pool: Executor
    now_us: Callable[[], EpochUs]

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """What the function returns, from a thread of the pool."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)

    async def send(self, request: Request, form: str | None, offered: Sequence[str], ask: Ask) -> Response:
        """The response to a question that can be answered in the forms offered."""
        chosen = negotiate.choose(form, request.headers.get("accept"), offered)
        is_held = held_by(request.headers.get("if-none-match"))
        return await self.call(_respond, ask, chosen, is_held, request.headers.get("accept-encoding"))


def get(router: APIRouter, path: str, **options: Any) -> Callable[[T], T]:
    """Registers a handler for GET, and for HEAD out of sight of the OpenAPI document."""

    def register(handler: Any) -> Any:
        router.add_api_route(path, handler, methods=["GET"], operation_id=handler.__name__, **options)
        router.add_api_route(path, handler, methods=["HEAD"], **{**options, "include_in_schema": False})
        return handler

    return register


def _respond(ask: Ask, form: str, is_held: Callable[[str], bool], accept_encoding: str | None) -> Response:
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
    return Response(body, media_type=negotiate.MEDIA_TYPES[form], headers=headers)
