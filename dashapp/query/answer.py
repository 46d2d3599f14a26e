"""Answers: a Series in the forms that users see, JSON, columns and CSV; one source for the API and the command line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dashapp.errors import BadCursor, BadRange
from dashapp.model.bucket import Bucket
from dashapp.model.resolution import Resolution, end_us, floor_us, is_partial, last_closed_us, progress_pct
from dashapp.model.score import SCORE_SCALE
from dashapp.model.time import MAX_US, MIN_US, EpochUs, parse_iso, to_iso
from dashapp.query.series import Asked, Series
from dashapp.store import answers, csv

# As many candles as a wide screen shows at three pixels each and a person can tell apart.
DEFAULT_BUCKETS = 300

CSV_COLUMNS: tuple[str, ...] = tuple(answers.BUCKETS.names)


def default_range(resolution: Resolution, now_us: int) -> tuple[EpochUs, EpochUs]:
    """The newest DEFAULT_BUCKETS intervals, the one not over yet included: (start, end)."""
    end = end_us(floor_us(now_us, resolution), resolution)
    return EpochUs(end - DEFAULT_BUCKETS * resolution.width_us), end


def range_of(resolution: Resolution, start: str | None, end: str | None, now_us: int) -> tuple[EpochUs, EpochUs]:
    """The range that `start` and `end` (ISO-8601) ask for; where one is missing, DEFAULT_BUCKETS from the other or up
    to now.

    Raises BadTime, and BadRange where start is not before end.
    """
    span_us = DEFAULT_BUCKETS * resolution.width_us
    begin, stop = default_range(resolution, now_us)
    if end is not None:
        stop = parse_iso(end, "end")
        begin = EpochUs(max(MIN_US, stop - span_us))
    if start is not None:
        begin = parse_iso(start, "start")
        stop = stop if end is not None else max(stop, EpochUs(min(MAX_US, begin + span_us)))
    if begin >= stop:
        raise BadRange(
            f"start {to_iso(begin)} is not before end {to_iso(stop)}.", start=to_iso(begin), end=to_iso(stop)
        )
    return begin, stop


def open_range(start: str | None, end: str | None) -> tuple[EpochUs, EpochUs]:
    """The range that `start` and `end` (ISO-8601) ask for, all of time where they are missing; raises BadTime, and
    BadRange where start is not before end."""
    begin = MIN_US if start is None else parse_iso(start, "start")
    stop = EpochUs(MAX_US + 1) if end is None else parse_iso(end, "end")
    if begin >= stop:
        raise BadRange(f"start {start} is not before end {end}.", start=start, end=end)
    return begin, stop


def checked_limit(limit: int | None, *, default: int, most: int) -> int:
    """How many rows a page holds; raises BadRange for fewer than one."""
    if limit is not None and limit < 1:
        raise BadRange(f"limit is {limit}; it must be at least 1.", limit=limit)
    return min(default if limit is None else limit, most)


def parse_cursor(cursor: str) -> EpochUs:
    """The start of the page a cursor names; raises BadCursor for what no answer ever gave."""
    digits = cursor.removeprefix("s")
    if (
        cursor == digits
        or not digits.removeprefix("-").isascii()
        or not digits.removeprefix("-").isdigit()
        or len(digits) > 20
    ):
        raise BadCursor(f"cursor {cursor[:40]!r} is not one an answer gave as next_cursor.", cursor=cursor[:40])
    return EpochUs(int(digits))


def page_start(cursor: str | None, start_us: EpochUs, end_us: EpochUs, *, from_start: bool) -> EpochUs:
    """Where the page begins that a cursor asks for within a range: at its start without one.

    `from_start` tells that the caller named the start, so that nothing may come before it. Raises BadCursor.
    """
    if cursor is None:
        return start_us
    begin = parse_cursor(cursor)
    if begin >= end_us or (from_start and begin < start_us) or begin < MIN_US:
        raise BadCursor(
            f"cursor {cursor[:40]!r} does not lie in the range asked for; ask as for the page before it.",
            cursor=cursor[:40],
        )
    return begin


def buckets(series: Series, now_us: int) -> Iterator[dict[str, Any]]:
    """Each bucket as the API writes it, ascending."""
    columns = zip(
        series.timestamp_us, series.open, series.high, series.low, series.close, series.count, series.sum, series.avg,
        series.positive, series.neutral, series.negative, series.sources, series.revision,
        strict=True,
    )  # fmt: skip
    for row in columns:
        yield _written(series.ticker, series.resolution, now_us, *row)


def bucket(one: Bucket, now_us: int) -> dict[str, Any]:
    """A bucket as the API writes it."""
    scores = (one.open.score_e6, one.high_e6, one.low_e6, one.close.score_e6)
    open_, high, low, close = (score_e6 / SCORE_SCALE for score_e6 in scores)
    return _written(
        one.ticker, one.resolution, now_us, one.start_us, open_, high, low, close, one.count, one.sum_e6 / SCORE_SCALE,
        one.avg, one.positive, one.neutral, one.negative, list(one.sources), one.revision,
    )  # fmt: skip


def _written(
    ticker: str,
    resolution: Resolution,
    now_us: int,
    start: int,
    open_: float,
    high: float,
    low: float,
    close: float,
    count: int,
    total: float,
    avg: float,
    positive: int,
    neutral: int,
    negative: int,
    sources: list[str],
    revision: int,
) -> dict[str, Any]:
    return {
        "ticker": ticker,
        "resolution": resolution.name,
        "timestamp": to_iso(start),
        "open": open_,
        "high": high,
        "low": low,
        "close": close,
        "count": count,
        "sum": total,
        "avg": avg,
        "label_counts": {"positive": positive, "neutral": neutral, "negative": negative},
        "sources": sources,
        "revision": revision,
        "is_partial": is_partial(start, resolution, now_us),
    }


def timeseries(series: Series, now_us: int) -> dict[str, Any]:
    """The part of the body of a timeseries answer that depends on the series and on which bucket is open.

    The bucket that holds `now_us` is `partial_bucket` (its progress is added by `with_progress`); all others are
    `buckets`. One that lies in the future stays among them, marked `is_partial`: nothing that is stored is left out.
    """
    return {**rows_of(series, now_us), **range_and_scorer(series), **page_of(series)}


def rows_of(series: Series, now_us: int) -> dict[str, Any]:
    """The ticker, its buckets, and the one of them that is open or None."""
    rows = list(buckets(series, now_us))
    open_start = to_iso(floor_us(now_us, series.resolution))
    partial = next((row for row in rows if row["timestamp"] == open_start), None)
    return {
        "ticker": series.ticker,
        "buckets": [row for row in rows if row is not partial],
        "partial_bucket": partial,
    }


def columns_of(series: Series, now_us: int) -> dict[str, Any]:
    """The ticker and its buckets as arrays, ascending by `start_ms`: what a chart in a browser reads.

    The first `closed` rows are closed, those after it are not over yet. `sources` numbers the lists in `source_sets`.
    """
    candles = series.candles
    sets, sources = np.unique(candles.source_set, return_inverse=True)
    return {
        "ticker": series.ticker,
        "closed": int(np.count_nonzero(candles.timestamp_us <= last_closed_us(series.resolution, now_us))),
        "start_ms": candles.timestamp_us // 1_000,
        "open": candles.open,
        "high": candles.high,
        "low": candles.low,
        "close": candles.close,
        "count": candles.count,
        "sum": candles.sum,
        "avg": candles.avg,
        "positive": candles.positive,
        "neutral": candles.neutral,
        "negative": candles.negative,
        "revisions": candles.revision,
        "sources": sources,
        "source_sets": [candles.source_sets[number] for number in sets.tolist()],
    }


def range_and_scorer(series: Series | Asked) -> dict[str, Any]:
    """What all series of an answer share."""
    return {
        "resolution": series.resolution.name,
        "scorer": series.scorer,
        "variant": series.variant.name,
        "complete_from": None if series.complete_from_us is None else to_iso(series.complete_from_us),
        "start": to_iso(min(series.start_us, MAX_US)),
        "end": to_iso(min(series.end_us, MAX_US)),
    }


def page_of(series: Series) -> dict[str, Any]:
    """Whether the limit cut the series, and the cursor that goes on after it."""
    return {"next_cursor": next_cursor(series), "has_more": series.has_more}


def next_cursor(series: Series) -> str | None:
    """The cursor of the page after this one; None when there is none."""
    return f"s{end_us(series.timestamp_us[-1], series.resolution)}" if series.has_more else None


def with_progress(body: dict[str, Any], resolution: Resolution, now_us: int) -> dict[str, Any]:
    """The body with progress and end time of its open bucket, which change from one moment to the next."""
    if body["partial_bucket"] is None:
        return body
    start = floor_us(now_us, resolution)
    progress = {
        "progress_pct": progress_pct(start, resolution, now_us),
        "next_update_at": to_iso(end_us(start, resolution)),
    }
    return {**body, "partial_bucket": {**body["partial_bucket"], **progress}}


def table_of(series: Series, now_us: int) -> Any:
    """The buckets as an Arrow table of BUCKETS."""
    candles = series.candles
    columns: dict[str, Any] = {
        "ticker": [series.ticker] * len(candles),
        "resolution": [series.resolution.name] * len(candles),
        "timestamp": candles.timestamp_us,
        "is_partial": candles.timestamp_us > last_closed_us(series.resolution, now_us),
    }
    columns |= {name: getattr(candles, name) for name in CSV_COLUMNS if name not in columns}
    return answers.table_of(columns, answers.BUCKETS)


def to_csv(series: Series, now_us: int) -> str:
    """The buckets as CSV with CSV_COLUMNS and a header; several sources are joined by a semicolon."""
    return (csv.header(CSV_COLUMNS) + csv_lines(series, now_us)).decode()


def csv_lines(series: Series, now_us: int) -> bytes:
    """The lines of `to_csv` without the header."""
    return csv.lines(table_of(series, now_us))
