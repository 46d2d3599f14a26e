"""The tickers of a store: how many scores they have, and from when to when, in pages by name."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dashapp.errors import BadCursor, BadTicker
from dashapp.model.ticker import normalise_ticker
from dashapp.model.time import to_iso
from dashapp.query import answer
from dashapp.query.reply import Reply, encoded, inner_json, json_object, tag
from dashapp.query.series import SeriesReader
from dashapp.store.answers import TICKERS, table_of

DEFAULT_TICKERS = 1_000
MOST_TICKERS = 10_000


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked for; `prefix` is the beginning of a symbol, in any case."""

    prefix: str = ""
    limit: int | None = None
    cursor: str | None = None
    scorer: str | None = None


def tickers(reader: SeriesReader, question: Question, form: str, is_held: Callable[[str], bool]) -> Reply:
    """The reply to a question in one of FORMATS but `columns`; `is_held` tells whether the client holds what has this
    tag.

    It is answered from memory, so the cache has no part in it. Raises UsageError, UnknownScorer and StoreError.
    """
    began_s = time.perf_counter()
    limit = answer.checked_limit(question.limit, default=DEFAULT_TICKERS, most=MOST_TICKERS)
    after = None if question.cursor is None else parse_after(question.cursor)
    prefix = question.prefix.strip().removeprefix("$").upper()
    view = reader.view()
    scorer = reader.scorer(question.scorer, view)
    etag = tag([form, f"{view.revision}", scorer, f"{limit}", f"{after}", prefix])
    if is_held(etag):
        return Reply(etag, view.revision, None)
    known = reader.tickers(view)
    found = [info for info in known if info.scorer == scorer and info.ticker.startswith(prefix)]
    begin = 0 if after is None else bisect_right(found, after, key=lambda info: info.ticker)
    page = found[begin : begin + limit]
    next_cursor = f"t{page[-1].ticker}" if begin + limit < len(found) else None
    if form != "json":
        columns: dict[str, list[Any]] = {
            "ticker": [info.ticker for info in page],
            "scorer": [info.scorer for info in page],
            "count": [info.count for info in page],
            "first": [info.first_us for info in page],
            "last": [info.last_us for info in page],
        }
        return Reply(etag, view.revision, encoded(table_of(columns, TICKERS), form), next_cursor)
    rows = [
        {
            "ticker": info.ticker,
            "scorer": info.scorer,
            "count": info.count,
            "first": to_iso(info.first_us),
            "last": to_iso(info.last_us),
        }
        for info in page
    ]
    shared = {
        "scorer": scorer,
        "scorers": sorted({info.scorer for info in known}),
        "next_cursor": next_cursor,
        "has_more": next_cursor is not None,
        "cache_hit": False,
        "query_time_ms": round((time.perf_counter() - began_s) * 1e3, 3),
        "revision": view.revision,
    }
    return Reply(etag, view.revision, json_object(inner_json({"tickers": rows}), inner_json(shared)), next_cursor)


def parse_after(cursor: str) -> str:
    """The ticker a cursor comes after; raises BadCursor for what no answer ever gave."""
    try:
        if not cursor.startswith("t") or normalise_ticker(cursor[1:]) != cursor[1:]:
            raise BadTicker(cursor)
    except BadTicker as error:
        raise BadCursor(
            f"cursor {cursor[:40]!r} is not one an answer gave as next_cursor.", cursor=cursor[:40]
        ) from error
    return cursor[1:]
