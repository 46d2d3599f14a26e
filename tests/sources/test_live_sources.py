"""Which sources the settings choose, and what of them cannot be polled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dashapp.config import Settings
from dashapp.errors import BadSetting
from dashapp.ingest.sources.http import Http
from dashapp.ingest.sources.limits import Limit, Limits
from dashapp.ingest.sources.live import KEYS, SOURCES, live_sources
from dashapp.ingest.sources.poll import Source
from dashapp.ingest.sources.rss import source_name
from tests.sources.polling import NOW

EVERY_KEY = tuple(KEYS.values())


def chosen(**settings: Any) -> list[Source]:
    return live_sources(Settings(**settings), Http(timeout_s=1, max_bytes=1), lambda: NOW)


def names(**settings: Any) -> list[str]:
    return [source.name for source in chosen(**settings)]


def test_nothing_is_polled_unless_something_is_chosen() -> None:
    assert names() == []
    assert names(feed_tickers="AAPL") == []


def test_a_key_chooses_its_source_and_addresses_choose_rss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKERTONE_FINNHUB_KEY", "k")
    monkeypatch.setenv("TICKERTONE_ALPHAVANTAGE_KEY", "k")
    urls = "https://a.example/feed\n https://b.example/rss,x.xml https://a.example/feed"
    assert names(feed_tickers="AAPL msft;AAPL", feed_rss_urls=urls) == [
        "finnhub",
        "alphavantage",
        "rss:a.example/feed",
        source_name("https://b.example/rss,x.xml"),
    ]


def test_the_named_sources_are_polled_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in EVERY_KEY:
        monkeypatch.setenv(f"TICKERTONE_{name}", "k")
    assert names(feed_sources="StockTwits, tiingo", feed_tickers="AAPL") == ["stocktwits", "tiingo"]


def test_stocktwits_needs_no_key_but_must_be_named() -> None:
    assert names(feed_sources="stocktwits", feed_tickers="AAPL") == ["stocktwits"]


def test_limits_of_the_settings_reach_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKERTONE_TIINGO_KEY", "k")
    (source,) = chosen(feed_limits="tiingo=5000/hour")
    assert source.limits == Limits((Limit(5_000, 3_600),))


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"feed_sources": "reuters"}, r"source 'reuters' is unknown\. Sources: tiingo, finnhub, alphavantage"),
        ({"feed_sources": "tiingo"}, r"tiingo needs a key in the environment: TICKERTONE_TIINGO_KEY"),
        ({"feed_sources": "stocktwits"}, r"stocktwits needs symbols to ask for: TICKERTONE_FEED_TICKERS=AAPL,MSFT"),
        ({"feed_sources": "rss"}, r"rss needs addresses: TICKERTONE_FEED_RSS_URLS"),
        ({"feed_tickers": "not one!"}, r"setting feed_tickers: 'one!' is not a ticker symbol"),
        ({"feed_limits": "tiingo=1"}, "setting feed_limits"),
        ({"feed_rss_urls": "ftp://example.com/feed"}, "setting feed_rss_urls: 'ftp://exampl'... is not an address"),
        ({"feed_rss_urls": "file:///etc/passwd"}, "is not an address"),
        ({"feed_rss_urls": "https://[broken/feed"}, "is not an address"),
        ({"feed_rss_urls": "https://example.com:99999/"}, "is not an address"),
        (
            {"feed_sources": "stocktwits", "feed_tickers": "F", "stocktwits_url": "nowhere"},
            "setting stocktwits_url: 'nowhere'... is not an address",
        ),
        ({"feed_rss_urls": "https://a.example/", "feed_alias_file": "missing.toml"}, "setting feed_alias_file"),
    ],
)
def test_what_cannot_be_polled_is_refused_before_anything_starts(settings: dict[str, str], complaint: str) -> None:
    with pytest.raises(BadSetting, match=complaint):
        chosen(**settings)


def test_a_password_in_an_address_is_not_shown() -> None:
    with pytest.raises(BadSetting) as caught:
        chosen(feed_rss_urls="https://me:hidden@example.com:port/feed")
    assert "hidden" not in str(caught.value)


def test_every_source_stands_in_the_docs() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "sources.md").read_text("utf-8")
    assert [name for name in SOURCES if f"`{name}`" not in text] == []
    assert [name for name in EVERY_KEY if f"`TICKERTONE_{name}`" not in text] == []
