"""Alpha Vantage NEWS_SENTIMENT: articles that are scored already (https://www.alphavantage.co/documentation/).

Several `tickers` in one question mean articles that name all of them at once, and the free plan has 25 calls a day. So
one ticker is asked for by name; for several, all articles are asked for and those kept that name one of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from dashapp.errors import RowRejected, SourceError, SourceGarbled, SourceLimited, SourceRefused
from dashapp.ingest.columns import ColumnMapping, RowOptions
from dashapp.ingest.sources.http import Question, in_words, parse_json
from dashapp.ingest.sources.poll import Access, Page, Position, read_rows, section
from dashapp.ingest.sources.walk import Walk
from dashapp.ingest.times import parse_time
from dashapp.model.time import US_PER_SECOND, to_datetime

SCORER = "alphavantage@1"
PAGE_ROWS = 1_000
MAX_PAGES = 24
# Articles are scored some time after they are published, and published is all that can be asked by.
LATE_US = 7_200 * US_PER_SECOND
# After "25 requests per day" only a new day helps; to ask again each hour finds it soon enough.
_LIMITED_S = 3_600.0

_UTC = ZoneInfo("UTC")
_MAPPING = ColumnMapping(
    ts="time_published", text=("title", "summary"), ticker="ticker_sentiment", source="source", url="url"
)
# "time_published" has no zone; by the documentation it is UTC.
_OPTIONS = RowOptions(zone=_UTC, scorer=SCORER, place_name="alphavantage")
# Errors are told in words, with the status of a success.
_WORDS = ("Information", "Note", "Error Message")
_LIMIT_WORDS = re.compile(r"rate limit|call frequency|requests? per|calls? per|spreading out", re.IGNORECASE)
_MINUTE_US = 60 * US_PER_SECOND


class AlphaVantage:
    """The articles that name the tickers, or all when there are none, with the scores they bring."""

    name = "alphavantage"
    calls_per_round = 1

    def __init__(self, access: Access) -> None:
        self.limits = access.limits
        self._access = access
        self._secrets = {"apikey": access.key}
        self._tickers = frozenset(access.tickers)
        self._url = f"{access.url.rstrip('/')}/query"

    async def poll(self, position: Position) -> Page:
        """The newest page, or the next older one of a walk that is going on."""
        now_us = self._access.now_us()
        walk = Walk.of(section(position, "walk"), now_us - self._access.lookback_us)
        known = walk.since - LATE_US
        params = {"function": "NEWS_SENTIMENT", "sort": "LATEST", "limit": str(PAGE_ROWS), "time_from": _minute(known)}
        if walk.oldest is not None:
            params["time_to"] = _minute(walk.oldest + _MINUTE_US)  # the oldest one's minute may hold more
        if len(self._tickers) == 1:
            params["tickers"] = next(iter(self._tickers))
        question = Question(self.name, self._url, params, secret_params=self._secrets)
        answer = await self._access.http.get(question, section(position, "validators"), now_us=now_us)
        if answer.body is None:
            return Page((), position)
        values = _articles(question, parse_json(question, answer))
        read = read_rows(self.name, values, _MAPPING, _OPTIONS, id_of=_url_of)
        lowest = min((at_us for row in values if (at_us := _published_us(row)) is not None), default=None)
        after = walk.step(
            [min(item.published_us, now_us) for _, item in read.pairs],
            lowest=lowest,
            rows=len(values),
            known=known,
            is_last=len(values) < PAGE_ROWS
            or (walk.oldest is not None and lowest is not None and lowest >= walk.oldest),
            max_pages=MAX_PAGES,
            name=self.name,
            now_us=now_us,
        )
        strange = {item.id for _, item in read.pairs if not self._is_asked_for(item.mentions)}
        return Page(
            [row for row in read.rows if getattr(row, "id", None) not in strange],
            {
                "walk": after.stored(),
                "validators": answer.validators if after.oldest is None and after.since == walk.since else {},
            },
            next_poll_s=after.next_poll_s(now_us),
            ignored=read.ignored + len(strange),
        )

    def _is_asked_for(self, mentions: Sequence[Any]) -> bool:
        return not self._tickers or any(mention.ticker in self._tickers for mention in mentions)


def _articles(question: Question, value: object) -> list[object]:
    """The list of articles in an answer; raises the SourceError that the answer is in words."""
    feed = value.get("feed") if isinstance(value, dict) else None
    if isinstance(feed, list):
        return feed
    words = next((value[name] for name in _WORDS if name in value), None) if isinstance(value, dict) else None
    if not isinstance(words, str):
        raise SourceGarbled(f"{question.source} answered JSON without a list of articles.")
    if words.startswith("No articles found"):
        return []
    raise _refusal(question.source, in_words(question.without_secrets(words)))  # the words may quote the key


def _refusal(name: str, words: str) -> SourceError:
    if _LIMIT_WORDS.search(words):
        return SourceLimited(f"{name} answered: {words}", retry_after_s=_LIMITED_S)
    return SourceRefused(f"{name} answered: {words}")


def _url_of(row: Any) -> str | None:
    """The address of an article, which is what Alpha Vantage has for an id."""
    url = row.get("url")
    return url.strip() if isinstance(url, str) and url.strip() else None


def _published_us(row: object) -> int | None:
    if not isinstance(row, dict):
        return None
    try:
        return parse_time(row.get("time_published"), zone=_UTC, date_only=None)
    except RowRejected:
        return None


def _minute(moment_us: int) -> str:
    return to_datetime(moment_us).strftime("%Y%m%dT%H%M")
