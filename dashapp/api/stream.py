"""The live stream: server-sent events over the hub."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import WithJsonSchema
from starlette.types import Receive, Scope, Send

from dashapp.api.desk import get
from dashapp.api.events import EventId, parse_event_id
from dashapp.api.hub import Hub, Listener
from dashapp.api.params import ScorerAsked, TickersOrAll, only_what_is_known, parse_tickers
from dashapp.model.resolution import FINEST, RESOLUTIONS, parse_resolution
from dashapp.store.follow import Watch

_NAMES = [resolution.name for resolution in RESOLUTIONS]
_ResolutionsAsked = Annotated[
    str,
    WithJsonSchema({"type": "string", "example": "1m,5m"}),
    Query(description=f"Resolutions joined by commas, of {', '.join(_NAMES)}"),
]
_EVENT_ID = WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,15}-[0-9]{1,8}-[0-9]{1,15}$"})
_LastEventIdAsked = Annotated[str | None, _EVENT_ID, Query(description="As the header Last-Event-ID, which wins")]
_LastEventIdSent = Annotated[
    str | None, _EVENT_ID, Header(description="The id of the last event that was received: what came after it comes")
]


def build_stream_router(hub: Hub, scorer: Callable[[str], str], pool: Executor) -> APIRouter:
    """The route of the stream; `scorer` checks, in `pool`, that a scorer has scores."""
    router = APIRouter()

    @get(
        router,
        "/api/v2/stream",
        tags=["stream"],
        dependencies=[Depends(only_what_is_known)],
        status_code=200,  # FastAPI does not find it in a response that takes none
        response_class=EventStream,
        responses=_RESPONSES,
    )
    async def stream(
        request: Request,
        resolutions: _ResolutionsAsked = FINEST.name,
        tickers: TickersOrAll = None,
        scorer_asked: Annotated[ScorerAsked, Query(alias="scorer")] = None,
        last_event_id: _LastEventIdAsked = None,
        last_event_id_sent: Annotated[_LastEventIdSent, Header(alias="Last-Event-ID")] = None,
    ) -> Response:
        """Changes of buckets as they happen, merged for 100 ms: `bucket_update` when a bucket closed or a closed one
        changed, `partial_bucket` when an open one changed or moved on, `heartbeat`, and `resync` when everything has to
        be loaded anew.

        Who comes back with the id of the last event misses nothing. Who has loaded buckets of revision R at the time
        MS (milliseconds since 1970) and passes R-0-MS as `last_event_id` misses nothing since then.
        """
        hub.check_room()
        told = last_event_id_sent or last_event_id
        watch = Watch(
            seconds=_seconds(resolutions),
            tickers=frozenset(parse_tickers(tickers)) if tickers and tickers.strip() else None,
            scorer="",
        )
        last = parse_event_id(told) if told else None
        if scorer_asked:
            known = await asyncio.get_running_loop().run_in_executor(pool, scorer, scorer_asked)
            watch = Watch(watch.seconds, watch.tickers, known)
        if request.method == "HEAD":
            return Response(media_type=EventStream.media_type, headers=_HEADERS)
        return EventStream(hub, Listener(watch, follows_default=not scorer_asked), last)

    return router


class EventStream(Response):
    """The response that never ends by itself, but with the connection or the server."""

    media_type = "text/event-stream"

    def __init__(self, hub: Hub, listener: Listener, last: EventId | None) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(_HEADERS)
        self._hub = hub
        self._listener = listener
        self._last = last

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; raises TooManyStreams before anything is sent."""

        async def write(payload: bytes) -> None:
            await send({"type": "http.response.body", "body": payload, "more_body": True})

        with self._hub.admitted(self._listener):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            watching = asyncio.create_task(self._leave_with_connection(receive))
            try:
                await self._hub.serve(self._listener, self._last, write)
            finally:
                watching.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _leave_with_connection(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._listener.leave()


def _seconds(names: str) -> frozenset[int]:
    if not names.strip():
        return frozenset({FINEST.seconds})
    return frozenset(parse_resolution(name.strip()).seconds for name in names.split(","))


# A proxy must neither keep nor gather what passes.
_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The stream", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
    400: {"description": "An unknown resolution, what cannot be a ticker, or the id of no event"},
    404: {"description": "A scorer without scores"},
    503: {"description": "No room for one more stream; see Retry-After"},
}
