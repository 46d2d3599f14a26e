"""The tickers of the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from dashapp.api import bodies, params
from dashapp.api.desk import Desk, get
from dashapp.query.reply import TABLE_FORMATS, Reply
from dashapp.query.tickers import Question, tickers

FormAsked = Annotated[str | None, params.one_of(*TABLE_FORMATS), Query(alias="format", description=params.FORM_TEXT)]


def add_routes(router: APIRouter, desk: Desk) -> None:
    """Adds the route of tickers."""

    @get(router, "/api/v2/tickers", tags=["tickers"], responses=bodies.answers(TABLE_FORMATS, bodies.Tickers))
    async def list_tickers(
        request: Request,
        q: params.PrefixAsked = "",
        limit: params.LimitAsked = None,
        cursor: params.CursorAsked = None,
        scorer: params.ScorerAsked = None,
        form: FormAsked = None,
    ) -> Response:
        """The tickers that have scores, by name, with how many and from when to when."""
        question = Question(q, params.parse_limit(limit), cursor, scorer)

        def ask(chosen: str, is_held: Callable[[str], bool]) -> Reply:
            return tickers(desk.reader, question, chosen, is_held)

        return await desk.send(request, form, TABLE_FORMATS, ask)
