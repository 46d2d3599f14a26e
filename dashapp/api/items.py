"""Push ingestion: items come in over HTTP and are acknowledged one by one, once they are durable."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Any, Protocol

import orjson
from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from dashapp.api.origin import hostname, is_forwarded, is_loopback, is_of_another_site
from dashapp.api.rates import Rates
from dashapp.api.upload import BodyMemory, BodyShare, packing_of, read_body, unpack
from dashapp.config import Settings
from dashapp.errors import Unauthorized, UsageError
from dashapp.model.item import Outcome
from dashapp.store.apikeys import WRITE, ApiKeys

# Bodies of the largest size that are held at one time, those included whose items wait for their commit.
_BODIES_AT_ONCE = 8
# The sender of what comes without a key, where that is allowed.
_NOBODY = "push"
# Rows of these reasons are not even objects: a body of nothing else is no batch with bad rows but a bad request.
_UNREADABLE = {"bad_json", "not_an_object", "invalid_utf8", "file_damaged"}


class Intake(Protocol):
    """Where pushed items go."""

    def submit(self, rows: Sequence[Any]) -> Future[list[Outcome]]:
        """Queue rows; the future holds one outcome for each, once they are durable."""


# The rows of a body, given the name of its sender.
ReadRows = Callable[[bytes, str], Sequence[Any]]


def build_items_router(
    intake: Intake, read_rows: ReadRows, keys: ApiKeys, settings: Settings, pool: Executor
) -> APIRouter:
    """The route that takes items; unpacking, reading and scoring run in `pool`, never on the event loop."""
    router = APIRouter()
    rates = Rates(per_s=settings.push_items_per_s, burst=settings.push_burst_items)
    memory = BodyMemory(_BODIES_AT_ONCE * max(settings.push_max_body_bytes, settings.push_max_unpacked_bytes))

    def taken(body: bytes, packing: str, share: BodyShare, sender: str) -> Future[list[Outcome]]:
        unpacked = unpack(body, packing, share, max_bytes=settings.push_max_unpacked_bytes)
        rows = read_rows(unpacked, sender)
        if not rows:
            raise UsageError("The body holds no item. Send one JSON object, an array of them, or one on each line.")
        rates.take(sender, len(rows), time.monotonic())
        return intake.submit(rows)

    @router.post("/api/v2/items", tags=["items"], openapi_extra={"requestBody": _BODY}, responses=_RESPONSES)
    async def push(request: Request) -> Response:
        """Take one item or a batch. The answer says of each, in order, whether it is accepted, a duplicate or rejected
        and why; it comes after what is accepted is durable."""
        sender = _sender(request, keys, settings)
        rates.check(sender, time.monotonic())  # before the body is read
        packing = packing_of(request)
        with memory.share() as share:
            try:
                body = await read_body(request, share, max_bytes=settings.push_max_body_bytes)
            except ClientDisconnect:
                return Response(status_code=400)  # nobody is there to read it
            waiting = await asyncio.get_running_loop().run_in_executor(pool, taken, body, packing, share, sender)
            outcomes = await asyncio.wrap_future(waiting)
        return _answer(outcomes)

    return router


def _answer(outcomes: list[Outcome]) -> Response:
    reasons = Counter(outcome.reason for outcome in outcomes if outcome.reason)
    statuses = Counter(outcome.status for outcome in outcomes)
    told: dict[str, Any] = {
        "accepted": statuses["accepted"],
        "duplicates": statuses["duplicate"],
        "rejected": statuses["rejected"],
        "rejected_by_reason": reasons,
        "revision": outcomes[0].revision,
        "items": [
            {"status": each.status, "id": each.id, "reason": each.reason, "message": each.message} for each in outcomes
        ],
    }
    status = 200
    if all(each.reason in _UNREADABLE for each in outcomes):
        status = 400
        message = f"The body holds no JSON object: {outcomes[0].message}"
        told = {"error": "BAD_JSON", "message": message, "details": told}
    return Response(orjson.dumps(told), status_code=status, media_type="application/json")


def key_of(request: Request) -> str:
    """The text that was sent as an API key; empty where none was."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "").strip()


def _sender(request: Request, keys: ApiKeys, settings: Settings) -> str:
    """The name of the key that came with a request; raises Unauthorized."""
    text = key_of(request)
    if text:
        key = keys.verify(text, WRITE)  # looks at one file's date: too little to leave the event loop for
        if key is None:
            raise Unauthorized("The API key is not valid: mistyped, revoked, or of another store.")
        return key.name
    if settings.push_open_on_loopback == "yes" and _stays_on_this_machine(request, settings):
        return _NOBODY
    raise Unauthorized(
        "An API key is needed. Make one with `tickertone keys add NAME`, and send it as `Authorization: Bearer KEY`."
    )


def _stays_on_this_machine(request: Request, settings: Settings) -> bool:
    """Whether a request comes from a program of this machine, to a server that listens for this machine only.

    Not those that a proxy passes on, nor those that a page of another site makes a browser of this machine send.
    """
    client = request.client.host if request.client else ""
    server = (request.scope.get("server") or ("", 0))[0]
    host = request.headers.get("host", "")
    return (
        all(is_loopback(name) for name in (settings.host, client, server, hostname(host)))
        and not is_forwarded(request)
        and not is_of_another_site(request)
    )


_ITEM = {
    "type": "object",
    "required": ["ts"],
    "properties": {
        "id": {"type": "string", "description": "Unique among your items; a hash of the item where there is none"},
        "ts": {"type": "string", "description": "When it was published, ISO-8601 with Z or an offset"},
        "text": {"type": "string", "description": "The text; headline and summary also by these names"},
        "tickers": {
            "type": "array",
            "items": {"type": "string"},
            "description": "The tickers it is about; the cashtags of the text where there are none",
        },
        "score": {"type": "number", "minimum": -1, "maximum": 1, "description": "Where it is scored already"},
        "source": {"type": "string"},
        "url": {"type": "string"},
    },
    "example": {"id": "n-1", "ts": "2026-01-31T09:30:00Z", "text": "$AAPL beats estimates", "source": "wire"},
}
_BODY = {
    "required": True,
    "description": "One item, an array of items, or an item on each line; also packed, by Content-Encoding.",
    "content": {
        "application/json": {"schema": {"oneOf": [_ITEM, {"type": "array", "minItems": 1, "items": _ITEM}]}},
        "application/x-ndjson": {"schema": {"type": "string"}},
    },
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    400: {"description": "Nothing in the body is a JSON object, or its packing is damaged"},
    401: {"description": "No valid API key"},
    408: {"description": "The body did not come"},
    413: {"description": "More bytes or items than one push may hold"},
    415: {"description": "Packed in a way that is not read"},
    429: {"description": "More items than this key may send; see Retry-After"},
    503: {"description": "Too much is waiting, or the store cannot be written; see Retry-After"},
}
