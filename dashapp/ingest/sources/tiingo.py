"""Tiingo news: one question for all tickers, newest crawled first (https://www.tiingo.com/documentation/news).

`crawlDate`, when Tiingo found an article, is the order that misses nothing: articles are found hours after the
`publishedDate` their publishers give, which is the time of the item.
"""

from __future__ import annotations

import hashlib
from zoneinfo import ZoneInfo

from dashapp.errors import RowRejected, SourceGarbled
from dashapp.ingest.columns import ColumnMapping, RowOptions
from dashapp.ingest.sources.http import Question, parse_json
from dashapp.ingest.sources.poll import Access, Page, Position, read_rows, section
from dashapp.ingest.sources.walk import Walk
from dashapp.ingest.times import parse_time
from dashapp.model.time import US_PER_SECOND

PAGE_ROWS = 100
MAX_PAGES = 100
# An article that is withdrawn during a walk moves all older ones up by one.
OVERLAP_ROWS = 10
# Crawlers work side by side, so an article may show up a little after one that was crawled later.
LATE_US = 600 * US_PER_SECOND

_UTC = ZoneInfo("UTC")
_MAPPING = ColumnMapping(
    id="id", ts="publishedDate", text=("title", "description"), ticker="tickers", source="source", url="url"
)
_OPTIONS = RowOptions(zone=_UTC, place_name="tiingo")


class Tiingo:
    """The articles of the tickers, or of all when there are none."""

    name = "tiingo"
    calls_per_round = 1

    def __init__(self, access: Access) -> None:
        self.limits = access.limits
        self._access = access
        self._headers = {"Authorization": f"Token {access.key}"}
        self._tickers = ",".join(ticker.lower() for ticker in access.tickers)
        self._url = f"{access.url.rstrip('/')}/tiingo/news"

    async def poll(self, position: Position) -> Page:
        """The newest page, or the next older one of a walk that is going on."""
        now_us = self._access.now_us()
        walk = Walk.of(section(position, "walk"), now_us - self._access.lookback_us)
        offset = max(0, walk.rows - OVERLAP_ROWS)
        params = {"sortBy": "crawlDate", "limit": str(PAGE_ROWS), "offset": str(offset)}
        if self._tickers:
            params["tickers"] = self._tickers
        question = Question(self.name, self._url, params, secret_headers=self._headers)
        answer = await self._access.http.get(question, section(position, "validators"), now_us=now_us)
        if answer.body is None:
            return Page((), position)
        values = parse_json(question, answer)
        if not isinstance(values, list):
            raise SourceGarbled(f"{self.name} answered JSON that is not a list of articles.")
        read = read_rows(self.name, values, _MAPPING, _OPTIONS)
        page_digest = hashlib.blake2b(answer.body, digest_size=12).hexdigest()
        after = walk.step(
            [min(at_us, now_us) for row, _ in read.pairs if (at_us := _crawled_us(row)) is not None],
            lowest=min((at_us for row in values if (at_us := _crawled_us(row)) is not None), default=None),
            rows=len(values),
            known=walk.since - LATE_US,
            is_last=len(values) < PAGE_ROWS or page_digest == position.get("page"),
            max_pages=MAX_PAGES,
            name=self.name,
            now_us=now_us,
        )
        # Only the first page is asked for with the same question again.
        validators = answer.validators if walk.rows == 0 and after.oldest is None else {}
        return Page(
            read.rows,
            {"walk": after.stored(), "page": page_digest, "validators": validators},
            next_poll_s=after.next_poll_s(now_us),
            ignored=read.ignored,
        )


def _crawled_us(row: object) -> int | None:
    if not isinstance(row, dict):
        return None
    try:
        return parse_time(row.get("crawlDate") or row.get("publishedDate"), zone=_UTC, date_only=None)
    except RowRejected:
        return None
