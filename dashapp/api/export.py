"""Exports: as much as there is, sent while it is read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from dashapp.api import bodies, negotiate, params
from dashapp.api.desk import Desk, get
from dashapp.errors import BadParameter
from dashapp.model.resolution import parse_resolution
from dashapp.query.export import EXPORT_FORMATS, Question, export

FormAsked = Annotated[str | None, params.one_of(*EXPORT_FORMATS), Query(alias="format", description=params.FORM_TEXT)]
TABLES = ("buckets", "scores")
_ENDINGS = {"parquet": "parquet", "csv": "csv", "arrow": "arrows"}


def add_routes(router: APIRouter, desk: Desk) -> None:
    """Adds the route of exports."""

    @get(
        router,
        "/api/v2/export",
        tags=["export"],
        response_class=Response,
        responses={200: bodies.answers(EXPORT_FORMATS, None)[200]},
    )
    async def export_table(
        request: Request,
        table: Annotated[str, params.one_of(*TABLES), Query(description="What to export")] = "buckets",
        resolution: Annotated[
            str | None, params.RESOLUTION, Query(description="The width of the buckets, 1m without; not for scores")
        ] = None,
        tickers: params.TickersOrAll = None,
        start: params.StartAsked = None,
        end: params.EndAsked = None,
        scorer: params.ScorerAsked = None,
        form: FormAsked = None,
    ) -> Response:
        """Buckets or scores of a range, ascending by time, of one state of the store; all there is without times."""
        if table not in TABLES:
            raise BadParameter(f"table {table[:40]!r} is unknown. Use one of: {', '.join(TABLES)}.", valid=list(TABLES))
        if table == "scores" and resolution is not None:
            raise BadParameter("Scores have no resolution; leave it out, or export buckets.", parameter="resolution")
        question = Question(
            resolution=parse_resolution("1m" if resolution is None else resolution) if table == "buckets" else None,
            tickers=None if tickers is None else params.parse_tickers(tickers),
            start=start,
            end=end,
            scorer=scorer,
        )
        chosen = negotiate.choose(form, request.headers.get("accept"), EXPORT_FORMATS)
        made = await desk.call(export, desk.reader, question, chosen, desk.now_us())
        name = f"tickertone-{table}{f'-{question.resolution.name}' if question.resolution else ''}"
        headers = {
            "Cache-Control": "no-store",
            "Vary": "Accept",
            "Tickertone-Revision": str(made.revision),
            "Content-Disposition": f'attachment; filename="{name}.{_ENDINGS[chosen]}"',
        }
        if request.method == "HEAD":
            return Response(media_type=negotiate.MEDIA_TYPES[chosen], headers=headers)
        # The first piece is read before the answer begins: an error that comes later can only cut it short.
        first = await desk.call(next, made.pieces, b"")

        async def pieces() -> AsyncIterator[bytes]:
            yield first
            # A thread of the pool is held for one piece at a time, so that an export leaves room for others.
            while piece := await desk.call(next, made.pieces, b""):
                yield piece

        return StreamingResponse(pieces(), media_type=negotiate.MEDIA_TYPES[chosen], headers=headers)
