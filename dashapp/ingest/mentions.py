"""The tickers a row names, with the scores it gives them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal

from dashapp.errors import BadTicker
from dashapp.ingest.rejects import rejected, shown
from dashapp.model.item import Mention
from dashapp.model.ticker import cashtags, normalise_ticker

# Between several tickers in one text; brackets and quotes because CSV files hold lists as "['AAPL', 'MSFT']".
_SEPARATORS = re.compile(r"[\s,;|\[\](){}\"']+")

# Where a ticker is an object, as in StockTwits `symbols` and Alpha Vantage `ticker_sentiment`.
_TICKER_KEYS = ("ticker", "symbol")
_SCORE_KEYS = ("ticker_sentiment_score", "sentiment_score", "score")
_RELEVANCE_KEYS = ("relevance_score", "relevance")
_CONFIDENCE_KEYS = ("confidence",)


def mentions_of(
    tickers: object, text: str, *, score: object = None, confidence: object = None, relevance: object = None
) -> tuple[Mention, ...]:
    """The mentions of a row, each ticker once, in order; those of the text's cashtags when `tickers` is empty.

    `tickers` is one ticker, several in a text (separated by blanks, commas, semicolons or bars), or a list of tickers
    or of objects with their own score, confidence and relevance; the row's own values count where an object has none.
    Raises RowRejected; one wrong ticker rejects the row, so that none is lost without a word.
    """
    shared = (parse_score(score), parse_confidence(confidence), parse_relevance(relevance))
    found: dict[str, Mention] = {}
    for mention in _named(tickers, shared):
        held = found.setdefault(mention.ticker, mention)
        if held.score != mention.score:
            raise rejected("conflicting_scores", f"ticker {mention.ticker} has scores {held.score} and {mention.score}")
    if not found:
        found = {ticker: Mention(ticker, *shared) for ticker in cashtags(text)}
    if not found:
        raise rejected("no_ticker", "the row names no ticker")
    return tuple(found.values())


def _named(tickers: object, shared: tuple[float | None, float | None, float | None]) -> Iterator[Mention]:
    if tickers is None:
        return
    if isinstance(tickers, str):
        for ticker in _SEPARATORS.split(tickers):
            if ticker:
                yield Mention(_symbol(ticker), *shared)
    elif isinstance(tickers, Mapping):
        score, confidence, relevance = shared
        own_score = parse_score(_first(tickers, _SCORE_KEYS))
        own_confidence = parse_confidence(_first(tickers, _CONFIDENCE_KEYS))
        own_relevance = parse_relevance(_first(tickers, _RELEVANCE_KEYS))
        yield Mention(
            _symbol(_first(tickers, _TICKER_KEYS)),
            score if own_score is None else own_score,
            confidence if own_confidence is None else own_confidence,
            relevance if own_relevance is None else own_relevance,
        )
    elif isinstance(tickers, list | tuple):
        for ticker in tickers:
            if isinstance(ticker, Mapping):
                yield from _named(ticker, shared)
            else:
                yield Mention(_symbol(ticker), *shared)
    else:
        yield Mention(_symbol(tickers), *shared)


def _symbol(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):  # 700 is Tencent in Hong Kong
        value = str(value)
    if not isinstance(value, str):
        raise rejected("bad_ticker", f"ticker {shown(value)} is not a text")
    try:
        return normalise_ticker(value)
    except BadTicker as error:
        raise rejected("bad_ticker", str(error).rstrip(".")) from None


def _first(values: Mapping[str, object], keys: tuple[str, ...]) -> object:
    return next((values[key] for key in keys if key in values), None)


def parse_score(value: object) -> float | None:
    """A score in [-1, 1], None when it is empty; raises RowRejected."""
    if _is_empty(value):
        return None
    number = _number(value)
    if number is None:
        raise rejected("score_not_a_number", f"score {shown(value)}")
    if math.isnan(number):
        raise rejected("score_nan", f"score {shown(value)}")
    if math.isinf(number):
        raise rejected("score_infinite", f"score {shown(value)}")
    if not -1.0 <= number <= 1.0:
        raise rejected("score_out_of_range", f"score {shown(value)}")
    return number


def parse_confidence(value: object) -> float | None:
    """A confidence in [0, 1], None when it is empty; raises RowRejected."""
    if _is_empty(value):
        return None
    number = _number(value)
    if number is None or not 0.0 <= number <= 1.0:
        raise rejected("bad_confidence", f"confidence {shown(value)}")
    return number


def parse_relevance(value: object) -> float | None:
    """A relevance, on the scale of its source, None when it is empty; raises RowRejected."""
    if _is_empty(value):
        return None
    number = _number(value)
    if number is None or not math.isfinite(number):
        raise rejected("bad_relevance", f"relevance {shown(value)}")
    return number


def _number(value: object) -> float | None:
    """The float that a number or a text of one means, NaN and infinity included; None when it is neither."""
    if isinstance(value, float):
        return value
    if isinstance(value, str) and "_" in value:  # float() takes "0_1" for 1
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None
    except OverflowError:  # an integer beyond all floats
        return math.inf


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())
