"""Ticker symbols: what counts as one, and the cashtags of a text."""

from __future__ import annotations

import pytest

from dashapp.errors import BadTicker
from dashapp.model.ticker import cashtags, normalise_ticker


@pytest.mark.parametrize(
    ("given", "symbol"),
    [
        ("AAPL", "AAPL"),
        ("aapl", "AAPL"),
        (" $aapl ", "AAPL"),
        ("BRK-A", "BRK-A"),
        ("brk.b", "BRK.B"),
        ("CRYPTO:BTC", "CRYPTO:BTC"),
        ("BTC/USD", "BTC/USD"),
        ("^GSPC", "^GSPC"),
        ("EURUSD=X", "EURUSD=X"),
        ("0700.HK", "0700.HK"),
        ("ES_F", "ES_F"),
        ("F", "F"),
        ("A" * 24, "A" * 24),
        ("^" + "A" * 24, "^" + "A" * 24),
    ],
)
def test_a_symbol_is_put_in_one_form(given: str, symbol: str) -> None:
    assert normalise_ticker(given) == symbol


@pytest.mark.parametrize(
    "given",
    [
        "",
        " ",
        "$",
        "$$AAPL",
        "AA PL",
        "AAPL\n\nX",
        "A" * 25,
        "^",
        ".A",
        "-A",
        "AAPL;",
        "AAPL'",
        "AÄ",
        "ß",
        "ſ",
        "ﬁ",
        "АAPL",
    ],
)
def test_what_cannot_be_a_symbol_is_refused_naming_it(given: str) -> None:
    with pytest.raises(BadTicker, match="is not a ticker symbol") as refused:
        normalise_ticker(given)
    assert repr(given) in str(refused.value)


def test_a_long_wrong_symbol_is_cut_in_the_message() -> None:
    with pytest.raises(BadTicker) as refused:
        normalise_ticker("x " * 5_000)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("symbol", ["AAPL", "BRK-A", "BRK.B", "CRYPTO:BTC", "^GSPC"])
def test_a_symbol_in_its_form_stays_as_it_is(symbol: str) -> None:
    assert normalise_ticker(normalise_ticker(symbol)) == symbol


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$AAPL", ("AAPL",)),
        ("buy $aapl now", ("AAPL",)),
        ("$AAPL,$MSFT", ("AAPL", "MSFT")),
        ("$AAPL/$MSFT", ("AAPL", "MSFT")),
        ("$AAPL $MSFT $AAPL", ("AAPL", "MSFT")),
        ("$MSFT $aapl $AAPL", ("MSFT", "AAPL")),
        ("($AAPL)", ("AAPL",)),
        ("“$AAPL”", ("AAPL",)),
        ("$AAPL's", ("AAPL",)),
        ("$AAPL’s", ("AAPL",)),
        ("$AAPL.", ("AAPL",)),
        ("$AAPL?!", ("AAPL",)),
        ("$AAPL: up", ("AAPL",)),
        ("#$AAPL", ("AAPL",)),
        ("line\n$AAPL\nline", ("AAPL",)),
        # Share classes, exchanges, futures.
        ("$BRK-A", ("BRK-A",)),
        ("$BRK.B's", ("BRK.B",)),
        ("$RDS.A, $BRK-B.", ("RDS.A", "BRK-B")),
        ("$td.to", ("TD.TO",)),
        ("$MSFT:US", ("MSFT:US",)),
        ("$ES_F", ("ES_F",)),
        ("$BTC-USD", ("BTC-USD",)),
        # Prose and addresses that run on from the symbol; each stood in a real post.
        ("$JPM-net interest margin", ("JPM",)),
        ("$PHM-buy, $DSG.CA- wait", ("PHM", "DSG.CA")),
        ("$AAPL.http://t.co/yz6TzSiVAK", ("AAPL",)),
        ("over $ACT.Fri ATB news", ("ACT",)),
        # No cashtag.
        ("", ()),
        ("no ticker", ()),
        ("U$D", ()),
        ("A$AP Rocky", ()),
        ("A$$AP", ()),
        ("$$AAPL", ()),
        ("$5", ()),
        ("$5M", ()),
        ("$1,000 and $2.50", ()),
        ("5$AAPL", ()),
        ("S&$T", ()),
        ("$AAPL$", ()),
        ("$AAPL$MSFT", ()),
        ("$AAPL2", ()),
        ("$ABCDEFG", ()),
        ("$ AAPL", ()),
        ("$", ()),
        # Letters of any alphabet make a word; other neighbours do not.
        ("é$AAPL", ()),
        ("$AAPLé", ()),
        ("$ÄAPL", ()),
        ("買い$AAPL", ()),
        ("$АAPL", ()),  # begins with a Cyrillic A
        ("🚀$AAPL🚀", ("AAPL",)),
        ("…$AAPL…", ("AAPL",)),
        ("。$AAPL、", ("AAPL",)),
        ("\u00a0$AAPL\u00a0", ("AAPL",)),
        ("€$AAPL", ("AAPL",)),
    ],
)
def test_the_cashtags_of_a_text(text: str, found: tuple[str, ...]) -> None:
    assert cashtags(text) == found


def test_every_cashtag_is_a_symbol_in_its_form() -> None:
    for symbol in cashtags("$a $brk.b $BRK-A $ES_F $MSFT:US $BTC-USD $td.to"):
        assert normalise_ticker(symbol) == symbol


def test_a_long_text_of_dollars_is_read_in_no_time() -> None:
    assert cashtags("$" * 200_000 + " $AAPL") == ("AAPL",)
