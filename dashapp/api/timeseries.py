"""Candles of one ticker, or of several in one query."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from dashapp.api import bodies, params
from dashapp.api.desk import Desk, get
from dashapp.model.resolution import parse_resolution
from dashapp.model.ticker import normalise_ticker
from dashapp.model.variant import ALL, parse_variant
from dashapp.query.reply import FORMATS, Reply
from dashapp.query.timeseries import Question, timeseries

FormAsked = Annotated[str | None, params.one_of(*FORMATS), Query(alias="format", description=params.FORM_TEXT)]


async def question_asked(
    resolution: params.ResolutionAsked = "1m",
    start: params.StartAsked = None,
    end: params.EndAsked = None,
    limit: params.LimitAsked = None,
    cursor: params.CursorAsked = None,
    scorer: params.ScorerAsked = None,
    variant: params.VariantAsked = ALL.name,
) -> Question:
    """What is asked, but for the tickers it is about; raises UsageError."""
    return Question(
        tickers=(),
        resolution=parse_resolution(resolution),
        start=start,
        end=end,
        limit=params.parse_limit(limit),
        cursor=cursor,
        scorer=scorer,
        variant=parse_variant(variant),
    )


Asked = Annotated[Question, Depends(question_asked)]


def add_routes(router: APIRouter, desk: Desk) -> None:
    """Adds the routes of candles."""

    async def send(request: Request, form: str | None, question: Question) -> Response:
        now_us = desk.now_us()

        def ask(chosen: str, is_held: Callable[[str], bool]) -> Reply:
            return timeseries(desk.reader, desk.cache, question, chosen, now_us, is_held)

        return await desk.send(request, form, FORMATS, ask)

    @get(
        router,
        "/api/v2/timeseries",
        tags=["candles"],
        responses=bodies.answers(FORMATS, bodies.TimeseriesOfMany, bodies.ColumnsOfMany),
    )
    async def candles_of_many(
        request: Request, tickers: params.TickersAsked, asked: Asked, form: FormAsked = None
    ) -> Response:
        """The candles of several tickers, in one query. `limit` is for each of them; where it cuts one, all end there,
        and the cursor goes on with all."""
        return await send(request, form, replace(asked, tickers=params.parse_tickers(tickers), many=True))

    @get(
        router,
        "/api/v2/timeseries/{ticker:path}",  # a symbol may hold a slash: BTC/USD
        tags=["candles"],
        responses=bodies.answers(FORMATS, bodies.Timeseries, bodies.ColumnsOfOne),
    )
    async def candles_of_one(
        request: Request, ticker: params.TickerInPath, asked: Asked, form: FormAsked = None
    ) -> Response:
        """The candles of one ticker: closed ones, ascending, and the open one. Without times as many as fill a screen,
        ending now."""
        return await send(request, form, replace(asked, tickers=(normalise_ticker(ticker),)))
