"""Names for tickers: which words of a text are one, and which tables are taken."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashapp.errors import BadSetting
from dashapp.ingest.aliases import AMBIGUOUS_WORDS, Aliases, load_aliases

NAMES = Aliases(
    {
        "Apple": "AAPL",
        "Bank of America": "BAC",
        "America Movil": "AMX",
        "AT&T": "T",
        "McDonald's": "MCD",
        "Meta Platforms": "META",
        "Meta Materials": "MMAT",
        "Yahoo!": "YHOO",
        "bitcoin": "BTC-USD",
        "3M": "MMM",
        "Nestlé": "NSRGY",
    }
)


@pytest.mark.parametrize(
    ("text", "tickers"),
    [
        ("Apple beats", ["AAPL"]),
        ("APPLE BEATS", ["AAPL"]),
        ("apple pie", []),
        ("Apples and Pineapple, Applesauce", []),
        ("Is this (Apple)? Apple's new phone, Apple-backed.", ["AAPL"]),
        ("iApple and Apple_2", []),
        ("$MSFT and Apple and $AAPL", ["MSFT", "AAPL"]),
        ("Bank  of\nAmerica falls", ["BAC"]),
        ("BANK OF AMERICA falls", ["BAC"]),
        ("bank of america falls", []),
        ("America Movil and Bank of America", ["AMX", "BAC"]),
        ("Bank of America Movil", ["BAC"]),
        ("Meta Platforms, not Meta Materials", ["META", "MMAT"]),
        ("Meta alone", []),
        ("AT&T and at&t", ["T"]),
        ("McDonald’s, McDonald's and MCDONALD'S", ["MCD"]),
        ("Bitcoin BITCOIN bitcoin", ["BTC-USD"]),
        ("Yahoo! is back", ["YHOO"]),
        ("Yahoo is back", []),
        ("3M settles", ["MMM"]),
        ("13M settles", []),
        ("Nestlé and NESTLÉ", ["NSRGY"]),
        ("", []),
    ],
)
def test_whole_words_are_names(text: str, tickers: list[str]) -> None:
    assert list(NAMES.tickers(text)) == tickers


def test_without_a_table_only_cashtags_count() -> None:
    assert load_aliases("").tickers("Apple $F") == ("F",)


TOML = """
[names]
"Apple" = "AAPL"
"Berkshire Hathaway" = "brk-b"
"Gap" = "GPS"
"GE" = "GE"
[ambiguous]
"Target" = "TGT"
"""
CSV = """name,ticker,ambiguous
Apple,AAPL,
Berkshire Hathaway,brk-b,
Gap,GPS,
GE,GE,no
Target,TGT,yes
"""


@pytest.mark.parametrize(("name", "content"), [("names.toml", TOML), ("names.csv", "\ufeff" + CSV)])
def test_a_table_is_toml_or_csv_and_leaves_out_what_means_something_else(
    name: str, content: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    (tmp_path / name).write_text(content, "utf-8")
    aliases = load_aliases(str(tmp_path / name))
    assert aliases.tickers("Apple, Berkshire Hathaway and Target close the Gap, GE says") == ("AAPL", "BRK-B", "TGT")
    said = [record.getMessage() for record in caplog.records]
    assert [line.partition("name ")[2].split(" ")[0] for line in said] == ["'Gap'", "'GE'"]
    assert "put it under [ambiguous] to use it nevertheless" in said[0]


def test_a_name_of_two_tickers_is_left_out_even_where_it_was_wanted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    (tmp_path / "names.csv").write_text("name,ticker,ambiguous\nDelta,DAL,\ndelta,DLA,yes\nUnited  Air,UAL,\n")
    aliases = load_aliases(str(tmp_path / "names.csv"))
    assert aliases.tickers("Delta and delta and United Air") == ("UAL",)
    assert "name 'Delta' is left out: it stands for DAL and DLA" in caplog.text


def test_the_example_of_the_docs_is_a_good_table(tmp_path: Path) -> None:
    docs = (Path(__file__).resolve().parents[2] / "docs" / "sources.md").read_text("utf-8")
    (tmp_path / "names.toml").write_text(docs.split("```toml\n# names.toml\n")[1].split("```")[0])
    assert load_aliases(str(tmp_path / "names.toml")).tickers("Apple and Target") == ("AAPL", "TGT")


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("names.toml", "[names", "cannot be read"),
        ("names.toml", 'Apple = "AAPL"', r"only the tables \[names\] and \[ambiguous\] are known, not \['Apple'\]"),
        ("names.toml", "[other]", "only the tables"),
        ("names.toml", "[names]\nApple = 5", "name 'Apple' has 5 for a ticker"),
        ("names.toml", '[names]\nApple = "not one"', "name 'Apple': 'not one' is not a ticker symbol"),
        ("names.toml", '[names]\n"" = "AAPL"', "name '' must begin with a letter or digit"),
        ("names.csv", "Apple,AAPL\n", "needs the columns name and ticker, not"),
        ("names.csv", "", "needs the columns name and ticker, not None"),
        ("names.csv", "name,ticker\nApple\n", "is not a ticker symbol"),
        ("names.csv", "name,ticker\n\udcff,AAPL\n", "cannot be read"),
        ("missing.csv", None, "cannot be read"),
    ],
)
def test_a_table_that_cannot_be_taken_is_refused_with_its_place(
    name: str, content: str | None, complaint: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadSetting, match=complaint) as caught:
        load_aliases(str(tmp_path / name))
    assert "setting feed_alias_file" in str(caught.value)


def test_the_everyday_words_are_words_as_they_are_looked_up() -> None:
    assert all(word == word.casefold() and word.isalpha() and len(word) > 2 for word in AMBIGUOUS_WORDS)
    assert "apple" not in AMBIGUOUS_WORDS


@given(st.text(max_size=200))
def test_no_text_is_too_strange(text: str) -> None:
    assert set(NAMES.tickers(text)) <= set(NAMES.tickers(text + " Apple")) | {"AAPL"}
