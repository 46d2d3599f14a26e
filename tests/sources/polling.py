"""Polling a source by hand, as the feed does it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from dashapp.ingest.rejects import Rejection
from dashapp.ingest.sources.http import Http
from dashapp.ingest.sources.live import FREE_LIMITS
from dashapp.ingest.sources.poll import Access, Page, Source
from dashapp.model.item import Item
from dashapp.model.time import EpochUs, parse_iso

NOW = parse_iso("2022-09-14T15:00:00Z")
DAY_US = 86_400_000_000


def access(http: Http, url: str, name: str, *tickers: str, now_us: int = NOW, lookback_us: int = DAY_US) -> Access:
    """What a source is made with, at a fixed time."""
    return Access(http, "s3cret", tickers, url, FREE_LIMITS[name], lookback_us, lambda: EpochUs(now_us))


def poll(make: Callable[[Http], Source], position: dict[str, Any] | None = None, *, times: int = 1) -> list[Page]:
    """The pages of so many polls, each at the position of the one before, stored and read in between."""

    async def all_of_them() -> list[Page]:
        pages: list[Page] = []
        at: dict[str, Any] = position or {}
        async with Http(timeout_s=5, max_bytes=10_000_000) as http:
            source = make(http)
            for _ in range(times):
                pages.append(await source.poll(at))
                at = json.loads(json.dumps(dict(pages[-1].position)))
        return pages

    return asyncio.run(all_of_them())


def items(page: Page) -> list[Item]:
    return [row for row in page.rows if isinstance(row, Item)]


def rejections(page: Page) -> dict[str, str]:
    """Where and why."""
    return {row.place: row.reason for row in page.rows if isinstance(row, Rejection)}


def tickers(item: Item) -> list[str]:
    return [mention.ticker for mention in item.mentions]
