"""Answers: a Series as the JSON body, table or CSV that users see; one source for the API and the command line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from dashapp.errors import BadRange
from dashapp.model.resolution import Resolution, end_us, floor_us, is_partial, progress_pct
from dashapp.model.time import MAX_US, MIN_US, EpochUs, parse_iso, to_iso
from dashapp.query.series import Series

# As many candles as a wide screen shows at three pixels each and a person can tell apart.
DEFAULT_BUCKETS = 300

CSV_COLUMNS = (
    "ticker", "resolution", "timestamp", "open", "high", "low", "close", "count", "sum", "avg",
    "positive", "neutral", "negative", "sources", "is_partial",
)  # fmt: skip


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


def parse_cursor(cursor: str) -> EpochUs:
    """The start of the page a cursor names; raises BadRange for what no answer ever gave."""
    digits = cursor.removeprefix("s")
    if (
        cursor == digits
        or not digits.removeprefix("-").isascii()
        or not digits.removeprefix("-").isdigit()
        or len(digits) > 20
    ):
        raise BadRange(f"cursor {cursor[:40]!r} is not one an answer gave as next_cursor.", cursor=cursor[:40])
    return EpochUs(int(digits))


def buckets(series: Series, now_us: int) -> Iterator[dict[str, Any]]:
    """Each bucket as the API writes it, ascending."""
    name = series.resolution.name
    columns = zip(
        series.timestamp_us, series.open, series.high, series.low, series.close, series.count, series.sum, series.avg,
        series.positive, series.neutral, series.negative, series.sources, series.revision,
        strict=True,
    )  # fmt: skip
    for start, open_, high, low, close, count, total, avg, positive, neutral, negative, sources, revision in columns:
        yield {
            "ticker": series.ticker,
            "resolution": name,
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
            "is_partial": is_partial(start, series.resolution, now_us),
        }


def timeseries(series: Series, now_us: int) -> dict[str, Any]:
    """The part of the body of a timeseries answer that depends on the series and on which bucket is open.

    The bucket that holds `now_us` is `partial_bucket` (its progress is added by `with_progress`); all others are
    `buckets`. One that lies in the future stays among them, marked `is_partial`: nothing that is stored is left out.
    """
    rows = list(buckets(series, now_us))
    open_start = to_iso(floor_us(now_us, series.resolution))
    partial = next((row for row in rows if row["timestamp"] == open_start), None)
    next_cursor = None
    if series.has_more:
        next_cursor = f"s{end_us(series.timestamp_us[-1], series.resolution)}"
    return {
        "ticker": series.ticker,
        "resolution": series.resolution.name,
        "scorer": series.scorer,
        "start": to_iso(min(series.start_us, MAX_US)),
        "end": to_iso(min(series.end_us, MAX_US)),
        "buckets": [row for row in rows if row is not partial],
        "partial_bucket": partial,
        "next_cursor": next_cursor,
        "has_more": series.has_more,
    }


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


def to_csv(series: Series, now_us: int) -> str:
    """The buckets as CSV with CSV_COLUMNS and a header; several sources are joined by a semicolon."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows(_csv_row(row) for row in buckets(series, now_us))
    return out.getvalue()


def _csv_row(row: dict[str, Any]) -> list[Any]:
    flat = {
        **row,
        **row["label_counts"],
        "sources": ";".join(row["sources"]),
        "is_partial": str(row["is_partial"]).lower(),
    }
    return [flat[name] for name in CSV_COLUMNS]
