"""Exports: as much as there is, sent while it is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from dashapp.api import bodies, negotiate, params
from dashapp.api.desk import Desk, get
from dashapp.api.pool import give_way
from dashapp.errors import BadParameter, Overloaded
from dashapp.model.resolution import parse_resolution
from dashapp.model.variant import ALL, parse_variant
from dashapp.query.export import WHATS, Export, Question, export

T = TypeVar("T")

EXPORT_FORMATS = ("parquet", "csv", "arrow", "jsonl")
FormAsked = Annotated[str | None, params.one_of(*EXPORT_FORMATS), Query(alias="format", description=params.FORM_TEXT)]
_ENDINGS = {"parquet": "parquet", "csv": "csv", "arrow": "arrows", "jsonl": "jsonl"}
# What the forms are called where there are more of them.
_FORMS = {"arrow": "arrows"}
_PACKED = ("csv", "jsonl")

# Each holds some row groups in memory, about 100 MB.
MOST_RUNNING = 4
_RETRY_AFTER_S = 10
# Whoever looks at a page goes first; but a page that is looked at all the time must not keep an export from its end.
_LONGEST_S = 0.5


class Exporting:
    """The exports under way in this process: few, all made by one thread that lets others go first."""

    def __init__(self, is_busy: Callable[[], bool]) -> None:
        # No queue to be bounded: each export asks for its next piece when the one before is on its way.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="export")
        self._is_busy = is_busy
        self._running = 0

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """What the function returns, from the thread of exports."""

        def do() -> T:
            give_way(self._is_busy, _LONGEST_S)
            return function(*arguments)

        return await asyncio.get_running_loop().run_in_executor(self._pool, do)

    def check_room(self) -> None:
        """Raises Overloaded when there is no room for one more."""
        if self._running >= MOST_RUNNING:
            raise Overloaded(
                f"{MOST_RUNNING} exports are under way. Ask again when one of them is done.",
                retry_after_s=_RETRY_AFTER_S,
            )

    def begin(self) -> None:
        """Count one more; raises Overloaded."""
        self.check_room()
        self._running += 1

    def end(self, close: Callable[[], None]) -> None:
        """Count one less, and let go of what it holds, once the piece that is being made is done."""
        self._running -= 1
        self._pool.submit(close)


class _Pieces(StreamingResponse):
    """A response that tells when it is over, sent or given up."""

    ended: Callable[[], None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.ended()


def add_routes(router: APIRouter, desk: Desk, is_busy: Callable[[], bool]) -> None:
    """Adds the route of exports, which give way while the server `is_busy` with anything else."""
    exporting = Exporting(is_busy)

    @get(
        router,
        "/api/v2/export",
        tags=["export"],
        response_class=Response,
        responses={200: bodies.answers(EXPORT_FORMATS, None)[200]},
    )
    async def export_table(
        request: Request,
        what: Annotated[str | None, params.one_of(*WHATS), Query(description="What to export, buckets without")] = None,
        table: Annotated[
            str | None, params.one_of(*WHATS), Query(description="Another name of `what`", deprecated=True)
        ] = None,
        resolution: Annotated[
            str | None, params.RESOLUTION, Query(description="The width of the buckets, 1m without; of nothing else")
        ] = None,
        tickers: params.TickersOrAll = None,
        start: params.StartAsked = None,
        end: params.EndAsked = None,
        scorer: params.ScorerAsked = None,
        variant: params.VariantAsked = ALL.name,
        revision: params.RevisionAsked = None,
        since_revision: params.SinceRevisionAsked = None,
        form: FormAsked = None,
    ) -> Response:
        """Buckets, scores or items of a range, ascending by time, of one state of the store; all there is without
        times."""
        asked = what or table or "buckets"
        if asked not in WHATS:
            raise BadParameter(f"what {asked[:40]!r} is unknown. Use one of: {', '.join(WHATS)}.", valid=list(WHATS))
        if asked != "buckets" and resolution is not None:
            raise BadParameter(f"{asked} have no resolution; leave it out, or export buckets.", parameter="resolution")
        question = Question(
            what=asked,
            resolution=parse_resolution("1m" if resolution is None else resolution) if asked == "buckets" else None,
            tickers=None if tickers is None else params.parse_tickers(tickers),
            start=start,
            end=end,
            scorer=scorer,
            revision=params.parse_revision(revision, "revision"),
            since=params.parse_revision(since_revision, "since_revision"),
            variant=parse_variant(variant),
        )
        chosen = negotiate.choose(form, request.headers.get("accept"), EXPORT_FORMATS)
        if request.method != "HEAD":
            exporting.check_room()  # before the store is asked
        made = await desk.call(export, desk.reader, question)
        coding = None
        if chosen in _PACKED:
            coding = negotiate.coding(request.headers.get("accept-encoding"), ("gzip",))
        parts = [
            asked,
            *([question.resolution.name] if question.resolution else []),
            *([] if question.variant.is_all else [question.variant.name]),
        ]
        headers = {
            "Cache-Control": "no-store",
            "Vary": "Accept, Accept-Encoding",
            "Tickertone-Revision": str(made.revision),
            "Content-Disposition": f'attachment; filename="{"-".join(["tickertone", *parts])}.{_ENDINGS[chosen]}"',
            **({} if coding is None else {"Content-Encoding": coding}),
        }
        if request.method == "HEAD":
            return Response(media_type=negotiate.MEDIA_TYPES[chosen], headers=headers)
        form_made = _FORMS.get(chosen, chosen) if coding is None else f"{chosen}.gz"
        return await _sent(exporting, made, form_made, negotiate.MEDIA_TYPES[chosen], headers)


async def _sent(exporting: Exporting, made: Export, form: str, media_type: str, headers: dict[str, str]) -> Response:
    """The response with the pieces of an export, each made when the one before is on its way."""
    exporting.begin()
    pieces = made.pieces(form)
    try:
        # The first piece is made before the answer begins: an error that comes later can only cut it short.
        first = await exporting.call(next, pieces, b"")
    except BaseException:
        exporting.end(pieces.close)
        raise

    async def sent() -> AsyncIterator[bytes]:
        yield first
        while piece := await exporting.call(next, pieces, b""):
            yield piece

    response = _Pieces(sent(), media_type=media_type, headers=headers)
    response.ended = lambda: exporting.end(pieces.close)
    return response
