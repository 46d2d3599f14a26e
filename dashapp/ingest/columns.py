"""Columns: which of a row's columns holds what, and the item that a row is.

The canonical columns are those of COLUMNS. A mapping names, for each, the column of the input that holds it; what it
does not name is guessed from the names that news APIs use. Names compare without case and marks: `publishedDate` is
`published_date`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast
from zoneinfo import ZoneInfo

from dashapp.errors import BadMapping, BadParameter
from dashapp.ingest.mentions import mentions_of
from dashapp.ingest.rejects import rejected, shown
from dashapp.ingest.scoring.scorer import GIVEN_SCORER
from dashapp.ingest.text import clean_text, is_plain
from dashapp.ingest.times import DateOnly, parse_time
from dashapp.model.item import MAX_ID_CHARS, MAX_TEXT_CHARS, Item, Mention
from dashapp.model.time import EpochUs

MAX_SOURCE_CHARS = 200
MAX_URL_CHARS = 2_048  # longer ones are not kept: browsers and servers do not take them either

_TIMES: tuple[str, ...] = (
    "ts",
    "timestamp",
    "published_us",
    "published_at",
    "published_date",
    "published_utc",
    "published_on",
)
_TIMES += ("published", "publish_date", "publish_time", "time_published", "pub_date", "created_at", "created_utc")
_TIMES += ("datetime", "time", "date")

# Canonical column -> the names it goes by, the first one present wins.
COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("id", "item_id", "uuid", "guid", "tweet_id", "message_id", "article_id", "news_id"),
    "ts": _TIMES,
    "text": ("text", "body", "message", "tweet", "full_text"),
    "ticker": ("ticker_sentiment", "ticker", "tickers", "symbol", "symbols", "cashtag", "cashtags", "related"),
    "score": ("score", "sentiment_score", "sentiment", "compound"),
    "confidence": ("confidence",),
    "source": ("source", "source_domain", "publisher"),
    "url": ("url", "link", "article_url"),
    "relevance": ("relevance", "relevance_score"),
}
# Where no column is the text, it is a headline and the summary below it.
_HEADLINES = ("headline", "title")
_SUMMARIES = ("summary", "description", "content")


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """For each canonical column the column of the input, None where there is none.

    A name may be a path (`source.title`) into nested objects. `text` may be several columns, joined by newlines.
    `given` are the canonical columns that somebody named, rather than guessed.
    """

    id: str | None = None
    ts: str | None = None
    text: tuple[str, ...] = ()
    ticker: str | None = None
    score: str | None = None
    confidence: str | None = None
    source: str | None = None
    url: str | None = None
    relevance: str | None = None
    given: frozenset[str] = frozenset()

    def named(self) -> tuple[str, ...]:
        """The columns of the input that it names."""
        singles = (getattr(self, column) for column in COLUMNS if column != "text")
        return (*(column for column in singles if column), *self.text)


@dataclass(frozen=True, slots=True)
class RowOptions:
    """What is said about all rows of an input.

    `mapping` is completed by guesses. `zone` is for times without one, `date_only` for dates without a time, `source`
    for rows that name none. `scorer` (`name@version`) made the scores that came with the rows. `place_name` is the
    source where neither row nor `source` names one; unlike those it is no part of the id that is made for a row without
    one, so that a file can be renamed.
    """

    mapping: ColumnMapping | None = None
    zone: ZoneInfo | None = None
    date_only: DateOnly | None = None
    source: str | None = None
    scorer: str | None = None
    place_name: str = "unknown"


def parse_mapping(text: str) -> ColumnMapping:
    """The mapping that `ts=created_at,text=title+summary,score=` says; `score=` means that no column holds the score.

    An empty text names nothing. Raises BadMapping, which lists what is allowed.
    """
    values: dict[str, Any] = {}
    if not text.strip():
        return ColumnMapping()
    for part in text.split(","):
        name, equals, column = (piece.strip() for piece in part.partition("="))
        if not equals or name not in COLUMNS:
            raise BadMapping(
                f"--map {text!r}: {part.strip()!r} is not one of {', '.join(f'{known}=COLUMN' for known in COLUMNS)}. "
                "Example: --map ts=created_at,text=title+summary,ticker=symbols"
            )
        if name in values:
            raise BadMapping(f"--map {text!r} names {name} twice. A text in several columns is text=title+summary.")
        if name == "text":
            values[name] = tuple(piece.strip() for piece in column.split("+") if piece.strip())
        else:
            values[name] = column or None
    return ColumnMapping(given=frozenset(values), **values)


def guess_mapping(column_names: Iterable[str]) -> ColumnMapping:
    """The mapping that the usual names of news APIs suggest; None where no name fits."""
    by_key: dict[str, str] = {}
    for name in column_names:
        by_key.setdefault(_key(name), name)

    def first(names: Iterable[str]) -> str | None:
        return next((by_key[key] for key in map(_key, names) if key in by_key), None)

    text = first(COLUMNS["text"])
    texts = (text,) if text else (first(_HEADLINES), first(_SUMMARIES))
    singles: dict[str, Any] = {column: first(names) for column, names in COLUMNS.items() if column != "text"}
    return ColumnMapping(text=tuple(name for name in texts if name), **singles)


def complete_mapping(mapping: ColumnMapping | None, column_names: Iterable[str]) -> ColumnMapping:
    """The mapping with what it does not name guessed."""
    guessed = guess_mapping(column_names)
    if mapping is None:
        return guessed
    return replace(guessed, given=mapping.given, **{column: getattr(mapping, column) for column in mapping.given})


def missing_columns(mapping: ColumnMapping, column_names: Iterable[str]) -> set[str]:
    """The columns a complete mapping asks for that are not there, and an empty name when none holds the time."""
    present = set(column_names)
    asked = set() if mapping.ts else {""}
    for column in mapping.named():
        if column not in present and column.partition(".")[0] not in present:
            asked.add(column)
    return asked


def refuse_columns(missing: set[str], found: Iterable[str], place: str) -> BadMapping:
    """The error for an input without the columns it must have: `missing` is what `missing_columns` says."""
    names = ", ".join(shown(name) for name in sorted(found)[:40]) or "none"
    if "" in missing:
        problem = "no column holds the time of publication. Name it with --map ts=COLUMN"
    else:
        problem = f"column {', '.join(sorted(map(shown, missing)))} of --map does not occur"
    return BadMapping(f"{place}: {problem}. Columns found: {names}.", place=place, found=names)


def row_to_item(row: Mapping[str, object], mapping: ColumnMapping, options: RowOptions) -> Item:
    """The item that a row is; raises RowRejected.

    Without an id the item gets a hash of source, time, text and url (where there is no text, of the scores as well), so
    that the same row has the same id whenever it is read.
    """
    published_us = parse_time(_value(row, mapping.ts), zone=options.zone, date_only=options.date_only)
    text = _text(row, mapping.text)
    mentions = mentions_of(
        _value(row, mapping.ticker),
        text,
        score=_value(row, mapping.score),
        confidence=_value(row, mapping.confidence),
        relevance=_value(row, mapping.relevance),
    )
    given = [mention.score is not None for mention in mentions]
    if not text and not all(given):
        raise rejected("missing_text", "the row has neither text nor score")
    source = source_of(_value(row, mapping.source), options.source)
    url = _url(_value(row, mapping.url))
    return Item(
        id=_id(_value(row, mapping.id)) or _hash_id(source, published_us, text, url, mentions),
        published_us=published_us,
        text=text,
        mentions=mentions,
        source=source or options.place_name,
        url=url,
        scorer=(options.scorer or GIVEN_SCORER) if any(given) else None,
    )


def _value(row: Mapping[str, object], column: str | None) -> object:
    if column is None:
        return None
    value = row.get(column)
    if value is None and "." in column:
        return _walk(row, column.split("."))
    return value


def _walk(value: object, path: list[str]) -> object:
    for index, name in enumerate(path):
        if isinstance(value, list):  # symbols.symbol is the symbol of each
            return [_walk(one, path[index:]) if isinstance(one, Mapping) else None for one in value]
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _text(row: Mapping[str, object], columns: tuple[str, ...]) -> str:
    parts = []
    for column in columns:
        value = _value(row, column)
        if value is None:
            continue
        if not isinstance(value, str):
            raise rejected("bad_text", f"{shown(column)} is {shown(value)}")
        part = clean_text(value)
        if part and part not in parts:  # many feeds repeat the headline as summary
            parts.append(part)
    text = "\n".join(parts)
    if len(text) > MAX_TEXT_CHARS:
        raise rejected("text_too_long", f"the text has {len(text)} characters, more than {MAX_TEXT_CHARS}")
    return text


def _id(value: object) -> str | None:
    """The id, None when it is empty."""
    if value is None:
        return None
    # Tables with gaps turn whole numbers into floats; from 2**53 on they lose digits, so they identify nothing.
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise rejected("bad_id", f"id {shown(value)}")
    text = value.strip()
    if not is_plain(text):
        raise rejected("bad_id", f"id {shown(value)}")
    if len(text) > MAX_ID_CHARS:
        raise rejected("id_too_long", f"id {shown(value)} has {len(text)} characters, more than {MAX_ID_CHARS}")
    return text or None


def _hash_id(source: str, published_us: EpochUs, text: str, url: str | None, mentions: tuple[Mention, ...]) -> str:
    parts = [source, str(published_us), text, url or ""]
    if not text:  # rows of bare scores at the same time differ in these alone
        parts += [f"{mention.ticker}={mention.score}" for mention in mentions]
    # Cleaned texts hold no U+001F, so the parts cannot run into each other.
    return "h:" + hashlib.blake2b("\x1f".join(parts).encode("utf-8"), digest_size=16).hexdigest()


def source_of(value: object, default: str | None) -> str:
    """The source that the row or its sender names, empty when neither does; raises RowRejected."""
    if isinstance(value, Mapping):  # {"id": 1149, "title": "StockTwits for iOS"}
        named = cast("Mapping[str, object]", value)
        value = named.get("title") or named.get("name")
    if value is None:
        return default or ""
    if not isinstance(value, str) or len(value) > MAX_SOURCE_CHARS:
        raise rejected("bad_source", f"source {shown(value)}")
    return clean_text(value).replace("\n", " ") or default or ""


def parse_source(text: str) -> str:
    """The name of a source as somebody gives it for all rows; raises BadParameter for what no row may say either."""
    name = text.strip()
    if not name or len(name) > MAX_SOURCE_CHARS or not is_plain(name):
        raise BadParameter(
            f"source {shown(text)} cannot name a source: "
            f"1 to {MAX_SOURCE_CHARS} characters are allowed, none of them a control character.",
            parameter="source",
        )
    return name


def _url(value: object) -> str | None:
    """The address when it is http or https and can be followed, else None."""
    if not isinstance(value, str) or not value[:8].lower().startswith(("http://", "https://")):
        return None
    url = value.strip()
    return url if len(url) <= MAX_URL_CHARS and is_plain(url) and " " not in url else None


def _key(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())
