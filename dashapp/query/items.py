"""The texts behind candles: the scores of a ticker in a range, newest first, in pages."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import orjson

from dashapp.errors import BadCursor
from dashapp.model.resolution import RESOLUTIONS, ceil_us, floor_us
from dashapp.model.time import MAX_US, MIN_US, EpochUs, to_iso
from dashapp.model.variant import ALL, Variant
from dashapp.query import answer
from dashapp.query.cache import ResponseCache
from dashapp.query.reply import Reply, encoded, inner_json, json_object, pack, tag, unpack
from dashapp.query.series import Asked, SeriesReader
from dashapp.store.answers import columns_of
from dashapp.store.extracts import newest_scores

DEFAULT_ITEMS = 50
MOST_ITEMS = 1_000

_DAY = RESOLUTIONS[-1]
_ALL_DAYS = (MAX_US + 1 - MIN_US) // _DAY.width_us
# How far a page goes: (published_us, item id) of the item before it.
_Place = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked for; times and cursor as they came."""

    ticker: str
    start: str | None = None
    end: str | None = None
    limit: int | None = None
    cursor: str | None = None
    scorer: str | None = None
    variant: Variant = ALL


def items(
    reader: SeriesReader,
    cache: ResponseCache,
    question: Question,
    form: str,
    is_held: Callable[[str], bool],
    explain: Callable[[str, str], list[dict[str, Any]] | None] | None = None,
) -> Reply:
    """The reply to a question in one of FORMATS but `columns`: all texts, each with whether the variant counts it.

    `is_held` tells whether the client holds what has this tag, `explain` the words of a text by a scorer, which JSON
    then has as `words`.

    Without times it is about all there is. Raises UsageError, NotFound and StoreError. Not kept: two queries, which
    read as many days as the page needs.
    """
    began_s = time.perf_counter()
    start_us, end_us = answer.open_range(question.start, question.end)
    limit = answer.checked_limit(question.limit, default=DEFAULT_ITEMS, most=MOST_ITEMS)
    place = None if question.cursor is None else parse_place(question.cursor, start_us, end_us)
    asked = reader.ask(
        reader.view(),
        [question.ticker],
        _DAY,
        floor_us(start_us, _DAY),
        ceil_us(end_us, _DAY),
        scorer=question.scorer,
        variant=question.variant,
    )
    revision = asked.view.revision
    where = (
        question.ticker,
        asked.scorer,
        f"{start_us}:{end_us}:{limit}",
        f"{place}:{explain is not None}",
        *asked.stamps,
    )
    etag = tag([form, *where])
    if is_held(etag):
        return Reply(etag, revision, None)

    def compute() -> bytes:
        rows = _page(reader, asked, start_us, end_us, place, limit + 1)
        next_cursor = None
        if rows.num_rows > limit:
            rows = rows.slice(0, limit)
            last = columns_of(rows.slice(limit - 1))
            next_cursor = place_cursor((last["published"][0], last["id"][0]))
        if form != "json":
            return pack(next_cursor, encoded(rows, form))
        columns = columns_of(rows)
        columns |= {name: [to_iso(moment_us) for moment_us in columns[name]] for name in ("published", "accepted")}
        if explain is not None:
            columns["words"] = [explain(asked.scorer, text) for text in columns["text"]]
        found = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return pack(next_cursor, inner_json({"items": found}))

    packed, hit = cache.get_or_compute(f"items:{etag}", compute)
    next_cursor, body = unpack(packed)
    if form == "json":
        shared = {
            "ticker": question.ticker,
            "scorer": asked.scorer,
            "variant": asked.variant.name,
            "complete_from": None if asked.complete_from_us is None else to_iso(asked.complete_from_us),
            "start": to_iso(start_us) if question.start else None,
            "end": to_iso(end_us) if question.end else None,
            "next_cursor": next_cursor,
            "has_more": next_cursor is not None,
            "cache_hit": hit,
            "query_time_ms": round((time.perf_counter() - began_s) * 1e3, 3),
            "revision": revision,
        }
        body = json_object(body, inner_json(shared))
    return Reply(etag, revision, body, next_cursor, hit)


def place_cursor(place: _Place) -> str:
    """The cursor of what comes after an item."""
    return "i" + base64.urlsafe_b64encode(orjson.dumps(place)).decode().rstrip("=")


def parse_place(cursor: str, start_us: int, end_us: int) -> _Place:
    """The item a cursor comes after; raises BadCursor for what no answer over this range ever gave."""
    try:
        if not cursor.startswith("i") or not cursor.isascii():
            raise ValueError(cursor)
        text = cursor.removeprefix("i")
        published_us, item_id = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True))
        if type(published_us) is not int or type(item_id) is not str or not start_us <= published_us < end_us:
            raise ValueError(cursor)
    except (binascii.Error, ValueError, TypeError) as error:
        raise BadCursor(
            f"cursor {cursor[:40]!r} is not one an answer to this question gave as next_cursor.", cursor=cursor[:40]
        ) from error
    return published_us, item_id


def _page(
    reader: SeriesReader, asked: Asked, start_us: EpochUs, end_us: EpochUs, place: _Place | None, rows: int
) -> Any:
    """The rows of a page. The buckets of 24h say how many scores each day has, so only the days it needs are read."""
    (days,) = reader.answer(replace(asked, limit=_ALL_DAYS, variant=ALL))
    high_us = end_us if place is None else min(end_us, place[0] + 1)
    low_us, found = start_us, 0
    for day_us, count in zip(reversed(days.timestamp_us), reversed(days.count), strict=True):
        if start_us <= day_us and day_us + _DAY.width_us < high_us:
            found += count
        if found >= rows:
            low_us = EpochUs(day_us)
            break
    return newest_scores(
        reader.reader,
        asked.view,
        asked.tickers[0],
        asked.scorer,
        low_us,
        high_us,
        before=place,
        limit=rows,
        variant=asked.variant,
    )
