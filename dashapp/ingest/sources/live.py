"""The live sources there are, and which of them the settings choose."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from dashapp.config import ENV_PREFIX, Settings, environment_name, secret
from dashapp.errors import BadSetting, BadTicker
from dashapp.ingest.aliases import load_aliases
from dashapp.ingest.sources.alphavantage import AlphaVantage
from dashapp.ingest.sources.finnhub import Finnhub
from dashapp.ingest.sources.http import Http
from dashapp.ingest.sources.limits import Limit, Limits, parse_limits
from dashapp.ingest.sources.poll import Access, Source
from dashapp.ingest.sources.rss import Rss
from dashapp.ingest.sources.stocktwits import StockTwits
from dashapp.ingest.sources.tiingo import Tiingo
from dashapp.model.ticker import normalise_ticker
from dashapp.model.time import US_PER_DAY, EpochUs

# What the free plans allow; docs/sources.md says where each figure comes from. A feed states none: one call a minute
# for each is what publishers put up with.
FREE_LIMITS = {
    "tiingo": Limits((Limit(50, 3_600), Limit(1_000, 86_400))),
    "finnhub": Limits((Limit(60, 60),)),
    "alphavantage": Limits((Limit(5, 60), Limit(25, 86_400))),
    "stocktwits": Limits((Limit(200, 3_600),)),
    "rss": Limits((Limit(60, 3_600),)),
}
SOURCES = tuple(FREE_LIMITS)

# The environment variable that holds the key of a source, without TICKERTONE_.
KEYS = {name: f"{name.upper()}_KEY" for name in SOURCES if name != "rss"}
_NEEDS_KEY = ("tiingo", "finnhub", "alphavantage")
_NEEDS_TICKERS = ("finnhub", "stocktwits")

_SEPARATORS = re.compile(r"[\s,;]+")


def live_sources(settings: Settings, http: Http, now_us: Callable[[], EpochUs]) -> list[Source]:
    """The sources the settings choose, none when they choose none; raises BadSetting for what cannot be polled."""
    chosen = chosen_sources(settings)
    tickers = feed_tickers(settings)
    limits = parse_limits(settings.feed_limits, FREE_LIMITS)
    found: list[Source] = []
    for name in chosen:
        if name == "rss":
            if not feed_urls(settings):
                raise BadSetting(f"Source rss needs addresses: {environment_name('feed_rss_urls')}=https://...")
            aliases = load_aliases(settings.feed_alias_file)
            found += [Rss(http, url, aliases, limits=limits[name], now_us=now_us) for url in feed_urls(settings)]
            continue
        key = secret(KEYS[name])
        if key is None and name in _NEEDS_KEY:
            raise BadSetting(f"Source {name} needs a key in the environment: {ENV_PREFIX}{KEYS[name]}.")
        if not tickers and name in _NEEDS_TICKERS:
            raise BadSetting(f"Source {name} needs symbols to ask for: {environment_name('feed_tickers')}=AAPL,MSFT.")
        access = Access(
            http=http,
            key=key or "",
            tickers=tickers,
            url=_checked_url(getattr(settings, f"{name}_url"), f"{name}_url"),
            limits=limits[name],
            lookback_us=int(settings.feed_lookback_days * US_PER_DAY),
            now_us=now_us,
        )
        found.append(_made(name, access))
    return found


def chosen_sources(settings: Settings) -> tuple[str, ...]:
    """The names of the chosen sources: those of `feed_sources`, or those with a key, and RSS where there are URLs."""
    named = tuple(dict.fromkeys(name.lower() for name in _SEPARATORS.split(settings.feed_sources) if name))
    for name in named:
        if name not in SOURCES:
            raise BadSetting(f"setting feed_sources: source {name!r} is unknown. Sources: {', '.join(SOURCES)}.")
    if named:
        return named
    return tuple(name for name in SOURCES if (feed_urls(settings) if name == "rss" else secret(KEYS[name])))


def feed_tickers(settings: Settings) -> tuple[str, ...]:
    """The symbols of `feed_tickers`, each once; raises BadSetting."""
    try:
        symbols = [normalise_ticker(symbol) for symbol in _SEPARATORS.split(settings.feed_tickers) if symbol]
    except BadTicker as error:
        raise BadSetting(f"setting feed_tickers: {error}") from None
    return tuple(dict.fromkeys(symbols))


def feed_urls(settings: Settings) -> tuple[str, ...]:
    """The addresses of `feed_rss_urls`, each once; raises BadSetting. A URL may hold commas, so blanks part them."""
    return tuple(dict.fromkeys(_checked_url(url, "feed_rss_urls") for url in settings.feed_rss_urls.split()))


def _made(name: str, access: Access) -> Source:
    makers: dict[str, Callable[[Access], Source]] = {
        "tiingo": Tiingo,
        "finnhub": Finnhub,
        "alphavantage": AlphaVantage,
        "stocktwits": StockTwits,
    }
    return makers[name](access)


def _checked_url(url: str, setting: str) -> str:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_good = False
    if not is_good:
        # Not the whole: it may hold a password or a key.
        raise BadSetting(f"setting {setting}: {url[:12]!r}... is not an address such as https://example.com/feed.xml.")
    return url
