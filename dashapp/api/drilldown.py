"""The texts behind a candle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from dashapp.api import bodies, params
from dashapp.api.desk import Desk, get
from dashapp.model.ticker import normalise_ticker
from dashapp.model.variant import ALL, parse_variant
from dashapp.query.items import Question, items
from dashapp.query.reply import TABLE_FORMATS, Reply

FormAsked = Annotated[str | None, params.one_of(*TABLE_FORMATS), Query(alias="format", description=params.FORM_TEXT)]


# The words of a text with what they did to its score, for a scorer (`name@version`) that can tell; else None.
Explain = Callable[[str, str], list[dict[str, Any]] | None]


def add_routes(router: APIRouter, desk: Desk, explain: Explain) -> None:
    """Adds the route of texts."""

    @get(router, "/api/v2/items", tags=["items"], responses=bodies.answers(TABLE_FORMATS, bodies.Items))
    async def list_items(
        request: Request,
        ticker: params.TickerAsked,
        start: params.StartAsked = None,
        end: params.EndAsked = None,
        limit: params.LimitAsked = None,
        cursor: params.CursorAsked = None,
        scorer: params.ScorerAsked = None,
        variant: params.VariantAsked = ALL.name,
        explained: params.ExplainAsked = "false",
        form: FormAsked = None,
    ) -> Response:
        """The texts that were scored for a ticker, newest first: those of a candle between its start and its end, all
        there are without times. `counts` says of each whether the variant counts it."""
        question = Question(
            normalise_ticker(ticker), start, end, params.parse_limit(limit), cursor, scorer, parse_variant(variant)
        )
        told = explain if params.parse_explain(explained) else None

        def ask(chosen: str, is_held: Callable[[str], bool]) -> Reply:
            return items(desk.reader, desk.cache, question, chosen, is_held, told)

        return await desk.send(request, form, TABLE_FORMATS, ask)
