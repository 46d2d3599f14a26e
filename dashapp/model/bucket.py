"""Buckets: the scores of one ticker in one aligned interval, and the two laws that make and combine them.

`fold` makes buckets of scores; `merge` combines two buckets of the same ticker, scorer and resolution. A bucket keeps,
with its open and close, the time and item id that decide them, and its sums are integers, so `merge` is associative,
commutative and exact: in whatever order and whichever batches scores arrive, the bucket is the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dashapp.model.resolution import Resolution, floor_us
from dashapp.model.score import SCORE_SCALE, Score, label_of, revision_of
from dashapp.model.time import EpochUs


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """The score that opens or closes a bucket; ordered by published time, ties by item id."""

    published_us: int
    item_id: str
    score_e6: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """The scores of one ticker, by one scorer, in [start_us, start_us + width); `count` is at least 1."""

    ticker: str
    scorer: str
    resolution: Resolution
    start_us: EpochUs
    open: Edge
    high_e6: int
    low_e6: int
    close: Edge
    count: int
    sum_e6: int
    sumsq_e12: int
    positive: int
    neutral: int
    negative: int
    sources: tuple[str, ...]
    first_position: int
    last_position: int

    @property
    def avg(self) -> float:
        """Mean score in [-1, 1]."""
        return self.sum_e6 / (self.count * SCORE_SCALE)

    @property
    def revision(self) -> int:
        """The version of the scores table at which this bucket last changed."""
        return revision_of(self.last_position)


BucketKey = tuple[str, str, int]  # ticker, scorer, start_us


def bucket_of(score: Score, position: int, resolution: Resolution) -> Bucket:
    """The bucket that holds this one score."""
    edge = Edge(score.published_us, score.item_id, score.score_e6)
    label = label_of(score.score_e6)
    return Bucket(
        ticker=score.ticker,
        scorer=score.scorer,
        resolution=resolution,
        start_us=floor_us(score.published_us, resolution),
        open=edge,
        high_e6=score.score_e6,
        low_e6=score.score_e6,
        close=edge,
        count=1,
        sum_e6=score.score_e6,
        sumsq_e12=score.score_e6 * score.score_e6,
        positive=int(label == "positive"),
        neutral=int(label == "neutral"),
        negative=int(label == "negative"),
        sources=(score.source,),
        first_position=position,
        last_position=position,
    )


def merge(a: Bucket, b: Bucket) -> Bucket:
    """The bucket of the scores of both; they must not share a score.

    Raises ValueError when the two are not of the same ticker, scorer, resolution and start.
    """
    if (a.ticker, a.scorer, a.resolution, a.start_us) != (b.ticker, b.scorer, b.resolution, b.start_us):
        raise ValueError(f"cannot merge {_name(a)} with {_name(b)}")
    return Bucket(
        ticker=a.ticker,
        scorer=a.scorer,
        resolution=a.resolution,
        start_us=a.start_us,
        open=min(a.open, b.open),
        high_e6=max(a.high_e6, b.high_e6),
        low_e6=min(a.low_e6, b.low_e6),
        close=max(a.close, b.close),
        count=a.count + b.count,
        sum_e6=a.sum_e6 + b.sum_e6,
        sumsq_e12=a.sumsq_e12 + b.sumsq_e12,
        positive=a.positive + b.positive,
        neutral=a.neutral + b.neutral,
        negative=a.negative + b.negative,
        sources=a.sources if a.sources == b.sources else tuple(sorted({*a.sources, *b.sources})),
        first_position=min(a.first_position, b.first_position),
        last_position=max(a.last_position, b.last_position),
    )


def coarsen(bucket: Bucket, resolution: Resolution) -> Bucket:
    """The same scores as a bucket of a coarser resolution; raises ValueError when it is not a multiple."""
    if resolution.seconds % bucket.resolution.seconds:
        raise ValueError(f"{resolution.name} is not a multiple of {bucket.resolution.name}")
    fields = {name: getattr(bucket, name) for name in Bucket.__slots__}
    return Bucket(**{**fields, "resolution": resolution, "start_us": floor_us(bucket.start_us, resolution)})


def merge_all(buckets: Iterable[Bucket]) -> dict[BucketKey, Bucket]:
    """Buckets of one resolution, merged by ticker, scorer and start."""
    merged: dict[BucketKey, Bucket] = {}
    for bucket in buckets:
        key = (bucket.ticker, bucket.scorer, bucket.start_us)
        held = merged.get(key)
        merged[key] = bucket if held is None else merge(held, bucket)
    return merged


def fold(scores: Iterable[tuple[Score, int]], resolution: Resolution) -> dict[BucketKey, Bucket]:
    """The buckets of scores, each given with its position; raises ValueError when there are none.

    A bucket without a score does not exist, so an empty input has no answer.
    """
    folded = merge_all(bucket_of(score, position, resolution) for score, position in scores)
    if not folded:
        raise ValueError("no scores to fold: a bucket without a score does not exist")
    return folded


def _name(bucket: Bucket) -> str:
    return f"{bucket.ticker}/{bucket.scorer}/{bucket.resolution.name}@{bucket.start_us}"
