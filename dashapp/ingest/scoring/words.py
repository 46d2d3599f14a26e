"""The words of a text, as the finance scorer reads them: without case, addresses, cashtags, handles and markup.

Numbers become kinds (`<pct>`, `<+pct>`, `<-pct>`, `<money>`, `<year>`, `<num>`), since what counts is that something
rose by five per cent, not that it was five; their values are kept beside them, so that two of them can be compared.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

# Of a longer text the beginning counts: more than any headline or post has, and about a page of an article.
MAX_READ_CHARS = 4_000

_CURLY = str.maketrans({"’": "'", "‘": "'", "`": "'", "\u2212": "-", "–": " - ", "—": " - "})
# What says nothing of the mood, each with a text without which it need not be looked for.
_SILENT = tuple(
    (sign, re.compile(pattern))
    for sign, pattern in (
        ("://", r"\bhttps?://\S*"),
        ("www.", r"\bwww\.\S*"),
        ("/", r"\b[\w-]+\.(?:com|co|ly|org|net|me|gl)/\S*"),
        ("@", r"(?:\brt\s+)?@\w+:?"),
        ("$", r"\$[a-z][\w.]*"),
        (
            ":",
            r"\(?\b(?:nasdaq|nyse|otcmkts|otc|lon|lse|tsx|tse|asx|epa|fra|etr|hel|sto|amex|bit|sgx|nse|bse)\s?:\s?[\w.-]+\)?",
        ),
        ("\u2026", r"\w+\u2026"),  # cut off: `crisi…`
        ("...", r"\w+\.\.\.\s*$"),
    )
)
_NUMERAL = (
    r"(?=[-+$€£¥\d])(?:(?<!\w)[+-])?[$€£¥]?(?:(?<=[$€£¥])[+-])?\d[\d,]*(?:\.\d+)?"
    r"(?:\s?(?:%|(?:pct|percent|per cent|percentage points?|pp|bps|bn|bln|billion|b|mn|mln|million|m|k|thousand"
    r"|tn|trillion|th|nd|rd|st|s)\b))?"
)
_TOKEN = re.compile(rf"[^\W\d_]+(?:'[^\W\d_]+)*|[?!;:.,]|{_NUMERAL}")
# The same for texts of ASCII, which most are, and for those of them without numbers and apostrophes: half the time.
_ASCII_TOKEN = re.compile(rf"[a-z]+(?:'[a-z]+)*|[?!;:.,]|{_NUMERAL}", re.ASCII)
_ASCII_WORD = re.compile(r"[a-z]+|[?!;:.,]")
_NUMBER = re.compile(r"([+-]?)([$€£¥]?)([+-]?)([\d,.]+)\s?(.*)")
_SCALES = {
    "k": 1e3, "thousand": 1e3,
    "m": 1e6, "mn": 1e6, "mln": 1e6, "million": 1e6,
    "b": 1e9, "bn": 1e9, "bln": 1e9, "billion": 1e9,
    "tn": 1e12, "trillion": 1e12,
}  # fmt: skip
_PERCENT = frozenset({"%", "pct", "percent", "per cent", "percentage point", "percentage points", "pp", "bps"})
_ORDINAL = frozenset({"th", "nd", "rd", "st", "s"})
_KEPT_NUMBERS = 4_096  # `5%` and `2020` come again and again
_CURRENCIES = frozenset(
    {"eur", "euro", "usd", "gbp", "sek", "nok", "dkk", "chf", "jpy", "rs", "inr", "cad", "aud", "us"}
)


@dataclass(slots=True)
class Words:
    """The words of a text in order; `values` has the values of the numbers by their places."""

    words: list[str]
    values: dict[int, float]


def read(text: str) -> Words:
    """The words of a text, which are the same whatever its case, blanks and addresses; about 10 µs for a headline."""
    plain = _plain(text)
    words = _tokens(plain)
    if "'" in plain:
        words = [word.removesuffix("'s") for word in words]
    values: dict[int, float] = {}
    if not _HAS_DIGIT(plain):
        return Words(words, values)
    named: list[str] = []
    done = 0
    for place in [place for place, word in enumerate(words) if word[0] not in _NO_NUMBER]:
        word = words[place]
        if word[0].isalpha():
            continue
        named += words[done:place]
        is_money = bool(named) and named[-1] in _CURRENCIES
        if is_money:
            named.pop()
        value, kind = _number(word, is_money)
        values[len(named)] = value
        named.append(kind)
        done = place + 1
    return Words(named + words[done:], values)


def _tokens(plain: str) -> list[str]:
    if not plain.isascii():
        return _TOKEN.findall(plain)
    if "'" in plain or _HAS_DIGIT(plain):
        return _ASCII_TOKEN.findall(plain)
    return _ASCII_WORD.findall(plain)


def shown_words(text: str) -> list[str]:
    """The same words, with numbers as they stand in the text."""
    shown: list[str] = []
    for word in _tokens(_plain(text)):
        is_number = not word[0].isalpha() and word not in _PUNCTUATION
        if is_number and shown and shown[-1] in _CURRENCIES:
            shown[-1] += f" {word}"
        else:
            shown.append(word.removesuffix("'s"))
    return shown


_PUNCTUATION = frozenset("?!;:.,")
# No number begins so.
_NO_NUMBER = frozenset("abcdefghijklmnopqrstuvwxyz") | _PUNCTUATION
_HAS_DIGIT = re.compile(r"\d").search


def _plain(text: str) -> str:
    text = " ".join(text[:MAX_READ_CHARS].lower().split())
    if not text.isascii():
        text = unicodedata.normalize("NFC", text.translate(_CURLY))
    for sign, pattern in _SILENT:
        if sign in text:
            text = pattern.sub(" ", text)
    return text


@lru_cache(_KEPT_NUMBERS)
def _number(word: str, is_money: bool) -> tuple[float, str]:
    """The value and the kind of a number as it stands in a text."""
    found = _NUMBER.fullmatch(word)
    if found is None:  # digits of another script
        return 0.0, "<num>"
    sign, money, inner_sign, digits, unit = found.groups()
    plain = digits.replace(",", "").rstrip(".")
    value = float(plain) * _SCALES.get(unit, 1.0)
    sign = sign or inner_sign
    if unit in _PERCENT:
        return value, f"<{sign}pct>"
    if sign:
        return value, f"<{sign}num>"
    if money or is_money or unit in _SCALES:
        return value, "<money>"
    if unit in _ORDINAL:
        return value, "<nth>"
    if len(plain) == 4 and plain[:2] in ("19", "20"):
        return value, "<year>"
    return value, "<num>"
