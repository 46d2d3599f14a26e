"""The slow, obvious twin: sentiment buckets in plain Python, for judging the product.

It must not import the product, and it does nothing the way the product does: bucket starts come from replacing fields
of a calendar date, never from arithmetic on microseconds; a bucket keeps all its scores and every field is read off
that list.

A score is a dict: item_id, ticker, scorer, published_us, score_e6, source, position (other keys are ignored). A bucket
is a dict with the field names of `dashapp.model.bucket.Bucket`, an edge a tuple (published_us, item_id, score_e6), and
the derived `avg`, `label_counts`, `revision` and `timestamp` beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

RESOLUTIONS = ("1m", "5m", "10m", "1h", "3h", "6h", "12h", "24h")

# The thresholds the VADER authors give, and the number of rows one commit can hold, written out a second time on
# purpose: a judge that read them from the product could not object to a change of them.
POSITIVE_FROM_E6 = 50_000
NEGATIVE_FROM_E6 = -50_000
ROWS_PER_VERSION = 1_048_576
LEAST_RELEVANCE = 0.2

Row = Mapping[str, Any]
Key = tuple[str, str, str, int]  # ticker, scorer, resolution, start_us


def start(moment: datetime, resolution: str) -> datetime:
    """The start of the bucket that holds this aware UTC moment."""
    if resolution == "1m":
        return moment.replace(second=0, microsecond=0)
    if resolution in ("5m", "10m"):
        step = 5 if resolution == "5m" else 10
        minute = max(minute for minute in range(0, 60, step) if minute <= moment.minute)
        return moment.replace(minute=minute, second=0, microsecond=0)
    first_hours = {
        "1h": range(24),
        "3h": (0, 3, 6, 9, 12, 15, 18, 21),
        "6h": (0, 6, 12, 18),
        "12h": (0, 12),
        "24h": (0,),
    }[resolution]
    hour = max(hour for hour in first_hours if hour <= moment.hour)
    return moment.replace(hour=hour, minute=0, second=0, microsecond=0)


def start_us(published_us: int, resolution: str) -> int:
    """The start of the bucket that holds this point in time, both in microseconds since 1970."""
    return _micros(start(_moment(published_us), resolution))


def accepted(scores: Iterable[Row]) -> list[Row]:
    """The scores that count: of each (item_id, ticker, scorer) the one accepted first, in order of acceptance."""
    counted: dict[tuple[str, str, str], Row] = {}
    for score in sorted(scores, key=lambda score: score["position"]):
        counted.setdefault((score["item_id"], score["ticker"], score["scorer"]), score)
    return list(counted.values())


def counted(scores: Iterable[Row], variant: str) -> list[Row]:
    """The scores that a variant counts: `relevance` and `story_id` are keys of a score here."""
    rows = accepted(scores)
    if "relevant" in variant:
        rows = [row for row in rows if row["relevance"] is None or row["relevance"] >= LEAST_RELEVANCE]
    if "once" in variant:
        rows = [row for row in rows if not any(_tells_again(row, other) for other in rows)]
    return rows


def _tells_again(row: Row, other: Row) -> bool:
    """Whether the other one told the same story of the same ticker before, within a day."""
    if row["story_id"] is None or any(row[name] != other[name] for name in ("story_id", "ticker", "scorer")):
        return False
    is_before = (other["published_us"], other["item_id"]) < (row["published_us"], row["item_id"])
    return is_before and _moment(row["published_us"]) - _moment(other["published_us"]) < timedelta(days=1)


def buckets(scores: Iterable[Row], resolutions: Iterable[str] = RESOLUTIONS) -> dict[Key, dict[str, Any]]:
    """Every bucket of these scores, which may come in any order and with duplicates."""
    counted = accepted(scores)
    members: dict[Key, list[Row]] = {}
    for resolution in resolutions:
        for score in counted:
            key = (score["ticker"], score["scorer"], resolution, start_us(score["published_us"], resolution))
            members.setdefault(key, []).append(score)
    return {key: _bucket(key, rows) for key, rows in members.items()}


def plain(bucket: Any) -> dict[str, Any]:
    """A bucket object of the product as the dict `buckets` makes, for comparing all fields at once."""
    return {
        "ticker": bucket.ticker,
        "scorer": bucket.scorer,
        "resolution": bucket.resolution.name,
        "start_us": bucket.start_us,
        "timestamp": _iso(_moment(bucket.start_us)),
        "open": (bucket.open.published_us, bucket.open.item_id, bucket.open.score_e6),
        "high_e6": bucket.high_e6,
        "low_e6": bucket.low_e6,
        "close": (bucket.close.published_us, bucket.close.item_id, bucket.close.score_e6),
        "count": bucket.count,
        "sum_e6": bucket.sum_e6,
        "sumsq_e12": bucket.sumsq_e12,
        "avg": bucket.avg,
        "positive": bucket.positive,
        "neutral": bucket.neutral,
        "negative": bucket.negative,
        "label_counts": {"positive": bucket.positive, "neutral": bucket.neutral, "negative": bucket.negative},
        "sources": tuple(bucket.sources),
        "first_position": bucket.first_position,
        "last_position": bucket.last_position,
        "revision": bucket.revision,
    }


def _bucket(key: Key, rows: list[Row]) -> dict[str, Any]:
    ticker, scorer, resolution, first_us = key
    by_time = sorted(rows, key=lambda row: (row["published_us"], row["item_id"]))
    values = [row["score_e6"] for row in rows]
    positive = len([value for value in values if value >= POSITIVE_FROM_E6])
    negative = len([value for value in values if value <= NEGATIVE_FROM_E6])
    neutral = len([value for value in values if NEGATIVE_FROM_E6 < value < POSITIVE_FROM_E6])
    positions = [row["position"] for row in rows]
    return {
        "ticker": ticker,
        "scorer": scorer,
        "resolution": resolution,
        "start_us": first_us,
        "timestamp": _iso(_moment(first_us)),
        "open": _edge(by_time[0]),
        "high_e6": max(values),
        "low_e6": min(values),
        "close": _edge(by_time[-1]),
        "count": len(rows),
        "sum_e6": sum(values),
        "sumsq_e12": sum(value**2 for value in values),
        "avg": float(Fraction(sum(values), len(rows) * 1_000_000)),
        "positive": positive,
        "neutral": neutral,
        "negative": negative,
        "label_counts": {"positive": positive, "neutral": neutral, "negative": negative},
        "sources": tuple(sorted({row["source"] for row in rows})),
        "first_position": min(positions),
        "last_position": max(positions),
        "revision": max(positions) // ROWS_PER_VERSION,
    }


def _edge(row: Row) -> tuple[int, str, int]:
    return row["published_us"], row["item_id"], row["score_e6"]


def _moment(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def _micros(moment: datetime) -> int:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
