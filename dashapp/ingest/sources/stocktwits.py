"""StockTwits: the newest messages of each symbol (https://api.stocktwits.com/developers/docs/api#streams-symbol-docs).

Messages come newest first, 30 at a time, and their ids rise with time: `since` and `max` bound the ids asked for. The
bullish and bearish tags of their authors are opinions about an opinion, not scores; the text is scored like any other.
"""

from __future__ import annotations

from urllib.parse import quote

from dashapp.errors import SourceGarbled
from dashapp.ingest.columns import ColumnMapping, RowOptions
from dashapp.ingest.sources.http import Question, parse_json
from dashapp.ingest.sources.poll import Access, Page, Position, read_rows, section, whole_number
from dashapp.ingest.sources.rounds import poll_round
from dashapp.ingest.sources.walk import Walk

PAGE_ROWS = 30
# StockTwits gives at most 800 messages this way.
MAX_PAGES = 27

_MAPPING = ColumnMapping(id="id", ts="created_at", text=("body",), ticker="symbols")
_OPTIONS = RowOptions(source="stocktwits")


class StockTwits:
    """The message streams of the symbols, in turn; a key is not needed."""

    name = "stocktwits"

    def __init__(self, access: Access) -> None:
        self.limits = access.limits
        self.calls_per_round = len(access.tickers)
        self._access = access
        self._secrets = {"access_token": access.key} if access.key else {}
        self._url = f"{access.url.rstrip('/')}/streams/symbol"

    async def poll(self, position: Position) -> Page:
        """The page of the symbol whose turn it is."""
        return await poll_round(self, self._access.tickers, position)

    async def ask(self, symbol: str, position: Position) -> Page:
        """The newest messages of a symbol, or the next older ones of a walk that is going on."""
        now_us = self._access.now_us()
        walk = Walk.of(section(position, "walk"), 0)
        params = {"limit": str(PAGE_ROWS)}
        if walk.since:
            params["since"] = str(walk.since)
        if walk.oldest is not None:
            params["max"] = str(walk.oldest)
        url = f"{self._url}/{quote(symbol, safe='')}.json"
        question = Question(self.name, url, params, secret_params=self._secrets)
        answer = await self._access.http.get(question, section(position, "validators"), now_us=now_us)
        if answer.body is None:
            return Page((), position)
        values = parse_json(question, answer)
        is_last = None
        if isinstance(values, dict):
            cursor = values.get("cursor")
            is_last = cursor.get("more") is False if isinstance(cursor, dict) else None
            values = values.get("messages")
        if not isinstance(values, list):
            raise SourceGarbled(f"{self.name} answered JSON without a list of messages.")
        read = read_rows(self.name, values, _MAPPING, _OPTIONS)
        ids = [number for row, _ in read.pairs if (number := _id_of(row)) is not None]
        lowest = min((number for row in values if (number := _id_of(row)) is not None), default=None)
        # The first walk has no `since` to meet; it ends where the time to look back over begins.
        is_old = walk.since == 0 and any(
            item.published_us < now_us - self._access.lookback_us for _, item in read.pairs
        )
        is_same = walk.oldest is not None and lowest is not None and lowest >= walk.oldest
        after = walk.step(
            ids,
            lowest=lowest,
            rows=len(values),
            known=walk.since,
            is_last=bool(is_last) or is_old or is_same or (is_last is None and len(values) < PAGE_ROWS),
            max_pages=MAX_PAGES,
            name=f"{self.name} {symbol}",
            now_us=now_us,
        )
        validators = answer.validators if after.oldest is None and after.since == walk.since else {}
        return Page(
            read.rows,
            {"walk": after.stored(), "validators": validators},
            next_poll_s=after.next_poll_s(now_us),
            ignored=read.ignored,
        )


def _id_of(row: object) -> int | None:
    return whole_number(row.get("id")) if isinstance(row, dict) else None
