"""Finnhub company news: one question for each symbol and range of days (https://finnhub.io/docs/api/company-news).

The interface knows days only, and does not say of which zone. So a day is asked about until the one after it is over:
its repeats cost nothing, since an item counts once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from dashapp.errors import SourceGarbled
from dashapp.ingest.columns import ColumnMapping, RowOptions
from dashapp.ingest.sources.http import Question, parse_json
from dashapp.ingest.sources.poll import Access, Page, Position, read_rows, section
from dashapp.ingest.sources.rounds import poll_round
from dashapp.model.time import to_datetime

_MAPPING = ColumnMapping(
    id="id", ts="datetime", text=("headline", "summary"), ticker="related", source="source", url="url"
)
_OPTIONS = RowOptions(place_name="finnhub")


class Finnhub:
    """The company news of the symbols, in turn."""

    name = "finnhub"

    def __init__(self, access: Access) -> None:
        self.limits = access.limits
        self.calls_per_round = len(access.tickers)
        self._access = access
        self._headers = {"X-Finnhub-Token": access.key}
        self._url = f"{access.url.rstrip('/')}/company-news"

    async def poll(self, position: Position) -> Page:
        """The page of the symbol whose turn it is."""
        return await poll_round(self, self._access.tickers, position)

    async def ask(self, symbol: str, position: Position) -> Page:
        """Two days of a symbol, from the last one that is not known whole; more while that is not today."""
        now_us = self._access.now_us()
        today = to_datetime(now_us).date()
        first = min(_day(position.get("day")) or to_datetime(now_us - self._access.lookback_us).date(), today)
        last = min(first + timedelta(days=1), today)
        params = {"symbol": symbol, "from": first.isoformat(), "to": last.isoformat()}
        question = Question(self.name, self._url, params, secret_headers=self._headers)
        answer = await self._access.http.get(question, section(position, "validators"), now_us=now_us)
        following = max(first, today - timedelta(days=1)) if last == today else last
        after = {"day": following.isoformat(), "validators": answer.validators}
        more = None if last == today else 0
        if answer.body is None:
            return Page((), after, next_poll_s=more)
        values = parse_json(question, answer)
        if not isinstance(values, list):
            raise SourceGarbled(f"{self.name} answered JSON that is not a list of articles.")
        read = read_rows(self.name, [_of_symbol(value, symbol) for value in values], _MAPPING, _OPTIONS)
        return Page(read.rows, after, next_poll_s=more, ignored=read.ignored)


def _of_symbol(value: object, symbol: str) -> object:
    """The row with the symbol among its tickers, since it was answered to a question about it; and 0 is no time."""
    if not isinstance(value, dict):
        return value
    row: Mapping[str, Any] = value
    related = row.get("related")
    tickers = f"{symbol},{related}" if isinstance(related, str) else symbol
    return {**row, "related": tickers, "datetime": row.get("datetime") or None}


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
