"""Ticker symbols: what counts as one, and finding them in a text."""

from __future__ import annotations

import re

from dashapp.errors import BadTicker

MAX_TICKER_CHARS = 24  # and a ^ before them

# Runs of letters and digits joined by the marks that exchanges and vendors use: BRK-A, BRK.B, CRYPTO:BTC, BTC/USD,
# ^GSPC, EURUSD=X, ES_F, 0700.HK, CTO-P-A. ASCII is asked for before upper-casing, which would make SS of ß.
# Written so that JavaScript reads it the same.
SYMBOL_PATTERN = rf"\^?(?=.{{1,{MAX_TICKER_CHARS}}}$)[A-Za-z0-9]+(?:[.:/=_-][A-Za-z0-9]+)*"
_SYMBOL = re.compile(SYMBOL_PATTERN)
# A cashtag starts a word ("U$D" and "A$AP" have none), begins with a letter ("$5" is money) and ends before
# punctuation. A mark and one letter name a share class ($BRK.B $BRK-A $BRK/B $ES_F), a mark and two letters of the
# same case an exchange ($HNU.TO $td.to $INTC:US); -USD a pair. What is longer is the next word of the text ($ACT.Fri
# $WMT-backed $AAPL:NFLX).
_CASHTAG = re.compile(
    r"(?<![\w$&])"
    r"\$([a-z]{1,6}[.:][a-z]{2}|[A-Za-z]{1,6}(?:-USDT?|(?:[./_-][A-Za-z](?![A-Za-z]))?(?:[.:][A-Z]{2})?))"
    r"(?![\w$])"
)


def normalise_ticker(text: str) -> str:
    """The symbol in upper case, without blanks around it or a leading `$`; raises BadTicker for what cannot be one."""
    symbol = text.strip().removeprefix("$")
    if not _SYMBOL.fullmatch(symbol):
        raise BadTicker(
            f"{text[:40]!r} is not a ticker symbol: 1 to {MAX_TICKER_CHARS} letters and digits are allowed, "
            "with one of . : / = _ - between them, and ^ before them.",
            ticker=text[:40],
        )
    return symbol.upper()


def cashtags(text: str) -> tuple[str, ...]:
    """The tickers a text names as cashtags (`$AAPL`), each once, in order of appearance."""
    if "$" not in text:
        return ()
    return tuple(dict.fromkeys(match.upper() for match in _CASHTAG.findall(text)))
