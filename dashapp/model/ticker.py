"""Ticker symbols: what counts as one, and finding them in a text."""

from __future__ import annotations

import re

from dashapp.errors import BadTicker

# Letters, digits and the marks that exchanges and vendors use: BRK-A, BRK.B, CRYPTO:BTC, BTC/USD, ^GSPC, EURUSD=X, 0700.HK.
_SYMBOL = re.compile(r"\^?[A-Z0-9][A-Z0-9.:/=_-]{0,23}")
# A cashtag starts a word ("U$D" and "A$AP" have none), begins with a letter ("$5" is money) and ends before punctuation.
_CASHTAG = re.compile(r"(?<![\w$&])\$([A-Za-z]{1,6}(?:[.:_-][A-Za-z]{1,4})?)(?![\w$])")


def normalise_ticker(text: str) -> str:
    """The symbol in upper case, without blanks around it or a leading `$`; raises BadTicker for what cannot be one."""
    symbol = text.strip().removeprefix("$").upper()
    if not _SYMBOL.fullmatch(symbol):
        raise BadTicker(
            f"{text[:40]!r} is not a ticker symbol: 1 to 25 letters, digits and . : / = _ - ^ are allowed.",
            ticker=text[:40],
        )
    return symbol


def cashtags(text: str) -> tuple[str, ...]:
    """The tickers a text names as cashtags (`$AAPL`), each once, in order of appearance."""
    return tuple(dict.fromkeys(match.upper() for match in _CASHTAG.findall(text)))
