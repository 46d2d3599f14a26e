"""Names for tickers: a table, brought by whoever runs Tickertone, of what companies are called in texts.

TOML:                                  CSV:
    [names]                                name,ticker,ambiguous
    "Apple" = "AAPL"                       Apple,AAPL,
    "Berkshire Hathaway" = "BRK-B"         Berkshire Hathaway,BRK-B,
    [ambiguous]                            Target,TGT,yes
    "Target" = "TGT"

A name is met as a whole word: no letter, digit or underscore stands before or after it. A name written with a capital
is met as it is written or all in capitals ("Apple", "APPLE", not "apple"); one in small letters is met in any case.
Where several names begin at the same place the longest counts, and what it covers is not read again, so "Bank of
America" is no "America". Blanks match any run of blanks, and ' is the same as ’.

Names that would often mean something else are left out, unless they stand in [ambiguous]: everyday words
(AMBIGUOUS_WORDS), names of one or two characters, and numbers. A name given to two tickers is always left out.
"""

from __future__ import annotations

import csv
import logging
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashapp.errors import BadSetting, BadTicker
from dashapp.model.ticker import cashtags, normalise_ticker

log = logging.getLogger(__name__)

# Words of everyday headlines that listed companies are called by as well: of the language, not a list of companies.
_EVERYDAY = """
    alliance ally archer arm aspen ball best block box bumble chase chord coach core crane crown dominion dream edge
    edison element energy equity exact extra first five focus ford fox frontier gap general global globe group guess
    haven hope hut joint key kind life light lucky match meta mode monday monster mosaic national news next northern
    now open opera oracle orange path peak pool power progressive public pulse quest range rapid ready regions remix
    revolve rocket root sabre safe select shake shell sigma simply snap sonic sound southern spire spirit sprout
    square stem stride sun supreme target team the titan toast trade travelers uber under united unity universal
    upstart victory visa vital wave west western wish work workday zoom
"""
AMBIGUOUS_WORDS = frozenset(_EVERYDAY.split())
_MIN_CHARS = 3
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class _Name:
    pattern: re.Pattern[str]
    ticker: str
    chars: int


class Aliases:
    """Finds the tickers that a text names, by cashtags and by the names of a table."""

    def __init__(self, names: Mapping[str, str]) -> None:
        """`names` maps each name to its ticker; what is ambiguous is the caller's business."""
        self._by_first_word: dict[str, list[_Name]] = defaultdict(list)
        for name, ticker in names.items():
            found = _WORD.match(name)
            if found:
                self._by_first_word[found.group().casefold()].append(_Name(_pattern(name), ticker, len(name)))
        for each in self._by_first_word.values():
            each.sort(key=lambda name: -name.chars)

    def tickers(self, text: str) -> tuple[str, ...]:
        """The tickers of a text, each once: those of its cashtags, then those it names, in order."""
        return tuple(dict.fromkeys((*cashtags(text), *self._named(text.replace("’", "'")))))

    def _named(self, text: str) -> Iterator[str]:
        covered = 0
        for word in _WORD.finditer(text):
            if word.start() < covered:
                continue
            for name in self._by_first_word.get(word.group().casefold(), ()):
                found = name.pattern.match(text, word.start())
                if found:
                    covered = found.end()
                    yield name.ticker
                    break


def load_aliases(path: str) -> Aliases:
    """The table in a file, TOML or CSV by its ending; no names for an empty path. Raises BadSetting.

    What is left out is logged once, with the reason.
    """
    if not path:
        return Aliases({})
    file = Path(path).expanduser()
    try:
        text = file.read_text("utf-8-sig")
        rows = list(_toml_rows(text) if file.suffix.lower() == ".toml" else _csv_rows(text))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, csv.Error) as error:
        raise BadSetting(f"setting feed_alias_file: {path} cannot be read: {error}.") from error
    return Aliases(_chosen(rows, path))


def _chosen(rows: Iterable[tuple[str, str, bool]], path: str) -> dict[str, str]:
    """The names to use of (name, ticker, taken though ambiguous)."""
    names: dict[str, str] = {}
    taken: dict[str, set[str]] = defaultdict(set)
    spellings: dict[str, set[str]] = defaultdict(set)
    left_out: dict[str, str] = {}
    for name, symbol, is_wanted in rows:
        try:
            ticker = normalise_ticker(symbol)
        except BadTicker as error:
            raise BadSetting(f"setting feed_alias_file: {path}, name {name!r}: {error}") from None
        if not _WORD.match(name):
            raise BadSetting(f"setting feed_alias_file: {path}: name {name!r} must begin with a letter or digit.")
        key = " ".join(name.casefold().split())
        taken[key].add(ticker)
        spellings[key].add(name)
        if not is_wanted and (key in AMBIGUOUS_WORDS or len(key) < _MIN_CHARS or key.isdecimal()):
            left_out[name] = "it often means something else; put it under [ambiguous] to use it nevertheless"
        else:
            names[name] = ticker
    for key, tickers in taken.items():
        if len(tickers) > 1:
            for name in spellings[key]:
                names.pop(name, None)
                left_out[name] = f"it stands for {' and '.join(sorted(tickers))}"
    for name, why in left_out.items():
        log.warning("%s: name %r is left out: %s", path, name, why)
    return names


def _toml_rows(text: str) -> Iterator[tuple[str, str, bool]]:
    document: dict[str, Any] = tomllib.loads(text)
    unknown = document.keys() - {"names", "ambiguous"}
    if unknown or not all(isinstance(table, dict) for table in document.values()):
        raise BadSetting(
            f"setting feed_alias_file: only the tables [names] and [ambiguous] are known, not {sorted(document)}."
        )
    for table, is_wanted in (("names", False), ("ambiguous", True)):
        for name, ticker in document.get(table, {}).items():
            if not isinstance(ticker, str):
                raise BadSetting(f"setting feed_alias_file: name {name!r} has {ticker!r} for a ticker; write a text.")
            yield name, ticker, is_wanted


def _csv_rows(text: str) -> Iterator[tuple[str, str, bool]]:
    reader = csv.DictReader(text.splitlines())
    if not {"name", "ticker"} <= set(reader.fieldnames or ()):
        raise BadSetting(
            f"setting feed_alias_file: a CSV file needs the columns name and ticker, not {reader.fieldnames}."
        )
    for row in reader:
        yield (row["name"] or "").strip(), row["ticker"] or "", (row.get("ambiguous") or "").strip().lower() == "yes"


def _pattern(name: str) -> re.Pattern[str]:
    words = name.replace("’", "'").split()
    exact = r"\s+".join(re.escape(word) for word in words)
    if name == name.lower():
        return re.compile(exact + r"(?!\w)", re.IGNORECASE)
    capitals = r"\s+".join(re.escape(word.upper()) for word in words)
    return re.compile(f"(?:{exact}|{capitals})" + r"(?!\w)")
