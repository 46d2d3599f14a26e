"""The answer to a question for candles, of one ticker or several, in any form, through the cache.

What is kept is a piece for each ticker, so that those who watch different sets of tickers share it. A piece is made
anew only when its ticker got scores in its range, or when the open bucket is another one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from dashapp.model.resolution import Resolution, floor_us, progress_pct
from dashapp.model.time import EpochUs
from dashapp.model.variant import ALL, Variant
from dashapp.query import answer
from dashapp.query.cache import ResponseCache
from dashapp.query.reply import Reply, encoded, inner_json, json_object, pack, tag, unpack
from dashapp.query.series import Asked, Series, SeriesReader
from dashapp.store import csv
from dashapp.store.answers import concatenated

# Stands in a piece for what changes from one moment to the next. In JSON no text can hold it: its quotes are escaped.
_NO_PROGRESS = b'"progress_pct":null'


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked for; times and cursor as they came. `many` makes an answer with a list of series."""

    tickers: tuple[str, ...]
    resolution: Resolution
    many: bool = False
    start: str | None = None
    end: str | None = None
    limit: int | None = None
    cursor: str | None = None
    scorer: str | None = None
    variant: Variant = ALL


def timeseries(
    reader: SeriesReader,
    cache: ResponseCache,
    question: Question,
    form: str,
    now_us: EpochUs,
    is_held: Callable[[str], bool],
) -> Reply:
    """The reply to a question in one of FORMATS; `is_held` tells whether the client holds what has this tag.

    Where a limit cuts a series of several, all end there, so that one cursor goes on with all of them. Raises
    UsageError, NotFound and StoreError. Kept already: 1 ms. Not kept: one query for all tickers.
    """
    began_s = time.perf_counter()
    start_us, stop_us = answer.range_of(question.resolution, question.start, question.end, now_us)
    start_us = answer.page_start(question.cursor, start_us, stop_us, from_start=question.start is not None)
    asked = reader.ask(
        reader.view(),
        question.tickers,
        question.resolution,
        start_us,
        stop_us,
        scorer=question.scorer,
        limit=question.limit,
        variant=question.variant,
    )
    revision = asked.view.revision
    etag = tag([f"{question.many}", *_keys(asked, form, now_us)])
    if is_held(etag):
        return Reply(etag, revision, None)
    if form in ("arrow", "parquet"):
        packed, hit = cache.get_or_compute(f"table:{etag}", lambda: _table(reader, asked, form, now_us))
        next_cursor, body = unpack(packed)
        return Reply(etag, revision, body, next_cursor, hit)
    next_cursor, pieces, hit = _pieces(reader, cache, asked, form, now_us)
    if next_cursor is not None and question.many:
        _, pieces, hit = _pieces(reader, cache, _up_to(asked, next_cursor), form, now_us)
    if form == "csv":
        body = csv.header(answer.CSV_COLUMNS) + b"".join(pieces)
        return Reply(etag, revision, body, next_cursor, hit)
    shared = inner_json(
        {
            **answer.range_and_scorer(asked),
            "next_cursor": next_cursor,
            "has_more": next_cursor is not None,
            "cache_hit": hit,
            "query_time_ms": round((time.perf_counter() - began_s) * 1e3, 3),
            "revision": revision,
        }
    )
    inner = b'"series":[%s]' % b",".join(map(json_object, pieces)) if question.many else pieces[0]
    open_us = floor_us(now_us, asked.resolution)
    if form == "json" and asked.start_us <= open_us < asked.end_us:
        progress = progress_pct(open_us, asked.resolution, now_us)
        inner = inner.replace(_NO_PROGRESS, b'"progress_pct":%a' % progress)
    return Reply(etag, revision, json_object(inner, shared), next_cursor, hit)


def _pieces(
    reader: SeriesReader, cache: ResponseCache, asked: Asked, form: str, now_us: EpochUs
) -> tuple[str | None, list[bytes], bool]:
    """The earliest cursor of any ticker's piece, the pieces, and whether all of them were kept already."""
    keys = _keys(asked, form, now_us)
    ticker_of = dict(zip(keys, asked.tickers, strict=True))

    def compute(missing: Sequence[str]) -> dict[str, bytes]:
        found = reader.answer(replace(asked, tickers=tuple(ticker_of[key] for key in missing)))
        return {
            key: pack(answer.next_cursor(series), _piece(series, form, now_us))
            for key, series in zip(missing, found, strict=True)
        }

    if len(keys) == 1:  # another process that computes this one is waited for as well
        packed, hit = cache.get_or_compute(keys[0], lambda: compute(keys)[keys[0]])
        bodies, hits = [packed], int(hit)
    else:
        bodies, hits = cache.get_or_compute_many(keys, compute)
    unpacked = [unpack(body) for body in bodies]
    return _earliest(cursor for cursor, _ in unpacked), [piece for _, piece in unpacked], hits == len(keys)


def _keys(asked: Asked, form: str, now_us: EpochUs) -> list[str]:
    """What each ticker's piece depends on, as a key of the cache."""
    # Which bucket is open matters to ranges that reach it.
    open_us = floor_us(now_us, asked.resolution)
    now = open_us if open_us < asked.end_us else "past"
    where = f"{asked.scorer}:{asked.resolution.name}:{asked.start_us}:{asked.end_us}:{asked.limit}:{now}"
    return [
        f"series:{form}:{ticker}:{where}:{stamp}" for ticker, stamp in zip(asked.tickers, asked.stamps, strict=True)
    ]


def _piece(series: Series, form: str, now_us: EpochUs) -> bytes:
    if form == "csv":
        return answer.csv_lines(series, now_us)
    if form == "columns":
        return inner_json(answer.columns_of(series, now_us))
    rows = answer.with_progress(answer.rows_of(series, now_us), series.resolution, now_us)
    if rows["partial_bucket"] is not None:
        rows["partial_bucket"]["progress_pct"] = None
    return inner_json(rows)


def _table(reader: SeriesReader, asked: Asked, form: str, now_us: EpochUs) -> bytes:
    found = reader.answer(asked)
    next_cursor = _earliest(map(answer.next_cursor, found))
    if next_cursor is not None and len(found) > 1:
        found = reader.answer(_up_to(asked, next_cursor))
    tables = [answer.table_of(series, now_us) for series in found]
    return pack(next_cursor, encoded(concatenated(tables), form))


def _earliest(cursors: Iterable[str | None]) -> str | None:
    return min((cursor for cursor in cursors if cursor is not None), key=answer.parse_cursor, default=None)


def _up_to(asked: Asked, cursor: str) -> Asked:
    return replace(asked, end_us=answer.parse_cursor(cursor))
