"""Feeds that poll a test's own server: what is served to them, how they are run, and what they stored."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dashapp.clock import now_us
from dashapp.config import Settings
from dashapp.ingest.feed import Feed
from dashapp.ingest.health import SourceHealth
from dashapp.ingest.sources.live import KEYS
from dashapp.store.store import Store
from tests import stores
from tests.sources.newsstand import Newsstand, Reply

FAST = (
    "tiingo=100000/minute,finnhub=100000/minute,alphavantage=100000/minute,stocktwits=100000/minute,rss=100000/minute"
)
KEY = "s3cretkey"


def environment(stand: Newsstand) -> dict[str, str]:
    """What a process polls every source of the test's own server with."""
    return {
        **{f"TICKERTONE_{key}": KEY for key in KEYS.values()},
        **{f"TICKERTONE_{name.upper()}_URL": stand.url for name in KEYS},
        "TICKERTONE_FEED_TICKERS": "TSLA,ACCD",
        "TICKERTONE_FEED_RSS_URLS": f"{stand.url}/feed?token={KEY}",
    }


def entry(number: int, title: str = "$TSLA up") -> str:
    """An entry of RSS; one of a negative number has no time."""
    return (
        f"<item><guid>https://example.com/{number}</guid><title>{title}</title>"
        f"<pubDate>{'' if number < 0 else 'Wed, 14 Sep 2022 10:00:00 GMT'}</pubDate></item>"
    )


def rss(*entries: str) -> Reply:
    return Reply(f'<?xml version="1.0"?><rss version="2.0"><channel>{"".join(entries)}</channel></rss>')


def once(settings: Settings) -> dict[str, SourceHealth]:
    return {source.name: source for source in Feed(settings, now_us).once()}


@contextmanager
def running(feed: Feed, *, wait: bool = False) -> Iterator[list[SourceHealth]]:
    """The feed in a thread; how its sources were stands in the list afterwards."""
    stop = threading.Event()
    told: list[SourceHealth] = []
    thread = threading.Thread(target=lambda: told.extend(feed.run(stop, wait=wait)))
    thread.start()
    try:
        yield told
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


def until(holds: Callable[[], object], what: str, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.01)


def stored(data_dir: Path) -> list[dict[str, Any]]:
    return stores.stored_scores(Store(Settings(data_dir=data_dir)))
