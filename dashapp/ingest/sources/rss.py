"""RSS and Atom: the entries of one feed, any version feedparser reads, with the tickers their texts name.

A feed holds its newest entries only, all on one page; what stands there again has the same id. An entry that names no
ticker is ignored: most of a general feed is about none.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import feedparser

from dashapp.errors import SourceGarbled
from dashapp.ingest.aliases import Aliases
from dashapp.ingest.columns import MAX_SOURCE_CHARS, ColumnMapping, RowOptions
from dashapp.ingest.sources.http import Answer, Http, Question, place_of
from dashapp.ingest.sources.limits import Limits
from dashapp.ingest.sources.poll import Page, Position, read_rows, section
from dashapp.ingest.text import clean_text
from dashapp.model.time import EpochUs

# Some feeds bring whole articles as the summary; the sentiment of a headline and its first page decides.
MAX_SUMMARY_CHARS = 4_000
# A feed's own `ttl` is honoured up to here.
MAX_PAUSE_S = 3_600.0

_MAPPING = ColumnMapping(ts="published", text=("title", "summary"), ticker="tickers", source="source", url="link")
# Feedparser promises to take anything and to raise nothing, but what is broken in several ways at once (&#x110000; in
# a feed that is not XML) does raise, whatever Python happens to raise there.
_PARSER_ERRORS = (ValueError, TypeError, LookupError, AttributeError, AssertionError, RecursionError)
_MAX_NAME_CHARS = 60
_END = re.compile(rb"</(?:\w+:)?(?:rss|feed|rdf)\s*>", re.IGNORECASE)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_URI = re.compile(r"(?:https?|tag|urn):", re.IGNORECASE)
# Inside a word these part nothing: <b>A</b>pple is Apple.
_INLINE_TAG = re.compile(r"</?(?:a|abbr|b|em|font|i|mark|small|span|strong|sub|sup|u)(?:\s[^>]*)?/?>", re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._/-]+")


class Rss:
    """The entries of one feed."""

    calls_per_round = 1

    def __init__(
        self, http: Http, url: str, aliases: Aliases, *, limits: Limits, now_us: Callable[[], EpochUs]
    ) -> None:
        self.name = source_name(url)
        self.limits = limits
        self._http = http
        self._url = url
        self._host = urlsplit(url).hostname or self.name
        self._aliases = aliases
        self._now_us = now_us

    async def poll(self, position: Position) -> Page:
        """All entries of the feed, none when it has not changed."""
        question = Question(self.name, self._url)
        answer = await self._http.get(question, section(position, "validators"), now_us=self._now_us())
        if answer.body is None:
            return Page((), position)
        # Feedparser takes about a second for a megabyte, which would hold up the other sources.
        return await asyncio.to_thread(self.read, answer)

    def read(self, answer: Answer) -> Page:
        """The page that an answer is; raises SourceGarbled. About a second for a megabyte."""
        body = answer.body or b""
        # What is relative is relative to the address in the settings: ids must not change with a redirect.
        headers = {"content-type": answer.content_type, "content-location": place_of(self._url)}
        try:
            parsed = feedparser.parse(io.BytesIO(body), response_headers=headers)
        except _PARSER_ERRORS as error:
            raise SourceGarbled(f"{self.name} answered with a feed that cannot be read: {error!r:.100}") from error
        if not parsed.get("version"):
            kind = answer.content_type.partition(";")[0] or "an answer without a type"
            raise SourceGarbled(f"{self.name} answered with {kind} that is neither RSS nor Atom.")
        if not body.startswith(_UTF16) and not _END.search(body[-4_096:]):
            raise SourceGarbled(f"{self.name} answered with a feed that ends before it is closed.")
        source = clean_text(_value(parsed.feed, "title")).replace("\n", " ")[:MAX_SOURCE_CHARS] or self._host
        rows = [self._row(entry, source) for entry in parsed.entries]
        naming = [row for row in rows if row["tickers"]]
        read = read_rows(self.name, naming, _MAPPING, RowOptions(place_name=self._host), id_of=self._id_of, world="rss")
        pause_s = _pause_s(parsed.feed)
        ignored = read.ignored + len(rows) - len(naming)
        return Page(read.rows, {"validators": answer.validators}, next_poll_s=pause_s, ignored=ignored)

    def _row(self, entry: dict[str, Any], source: str) -> dict[str, Any]:
        title = _plain(entry, "title")
        summary = _plain(entry, "summary")[:MAX_SUMMARY_CHARS]
        return {
            "id": _value(entry, "id") or _value(entry, "link"),
            "published": _value(entry, "published") or _value(entry, "updated"),
            "title": title,
            "summary": summary,
            "link": _value(entry, "link"),
            "source": source,
            "tickers": list(self._aliases.tickers(f"{title}\n{summary}")),
        }

    def _id_of(self, row: Mapping[str, Any]) -> str | None:
        """An id that says where it is unique; two feeds of one publisher give one story the same one."""
        given: str = row["id"].strip()
        if not given or _URI.match(given):
            return given or None
        return f"{self._host}:{given}"


def source_name(url: str) -> str:
    """What a feed is called: host and path of its URL, never its query or password, which may be keys.

    Where that is not all there is to the URL, a digest of the whole tells it from others.
    """
    parts = urlsplit(url)
    place = f"{parts.hostname or ''}{parts.path}"
    shown = _NOT_IN_NAMES.sub("-", place)[:_MAX_NAME_CHARS]
    if url == f"https://{shown}":
        return f"rss:{shown}"
    return f"rss:{shown}-{hashlib.blake2b(url.encode('utf-8'), digest_size=4).hexdigest()}"


def _value(entry: dict[str, Any], name: str) -> str:
    """A text of an entry as it came; feedparser's own look-up would answer one element with another."""
    value = dict.get(entry, name)
    return value if isinstance(value, str) else ""


def _plain(entry: dict[str, Any], name: str) -> str:
    """A text of an entry without markup, where its type says that it may have some."""
    text = _value(entry, name)
    detail = dict.get(entry, f"{name}_detail")
    if isinstance(detail, Mapping) and detail.get("type") == "text/plain":
        return clean_text(text)
    return clean_text(" ".join(_TAG.sub(" ", _INLINE_TAG.sub("", text)).split()))


def _pause_s(feed: dict[str, Any]) -> float | None:
    """The pause a feed asks for, in its `ttl` of minutes."""
    minutes = _value(feed, "ttl").strip()
    if not (minutes.isascii() and minutes.isdigit()) or int(minutes[:6]) == 0:
        return None
    return min(int(minutes[:6]) * 60.0, MAX_PAUSE_S)
