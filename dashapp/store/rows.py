"""Rows of the tables as the objects of the model, and back."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pyarrow as pa

from dashapp.model.bucket import Bucket, Edge
from dashapp.model.resolution import Resolution
from dashapp.model.score import Score, ScoreE6
from dashapp.model.time import EpochUs
from dashapp.store.schema import BUCKET_ROW_SCHEMA


def scores_of(rows: pa.Table) -> list[tuple[Score, int]]:
    """The scores of rows of the scores table, each with its position; what a fold does not read is left out."""
    names = ("item_id", "ticker", "scorer", "published_us", "score_e6", "source", "position")
    columns = [rows.column(name).to_pylist() for name in names]
    return [
        (Score(item_id, ticker, scorer, EpochUs(published_us), ScoreE6(score_e6), source), position)
        for item_id, ticker, scorer, published_us, score_e6, source, position in zip(*columns, strict=True)
    ]


def buckets_of(rows: pa.Table, resolution: Resolution) -> list[Bucket]:
    """The buckets of rows of BUCKET_ROW_SCHEMA."""
    return [
        Bucket(
            ticker=row["ticker"],
            scorer=row["scorer"],
            resolution=resolution,
            start_us=EpochUs(row["start_us"]),
            open=Edge(row["open_us"], row["open_item_id"], row["open_e6"]),
            high_e6=row["high_e6"],
            low_e6=row["low_e6"],
            close=Edge(row["close_us"], row["close_item_id"], row["close_e6"]),
            count=row["count"],
            sum_e6=row["sum_e6"],
            sumsq_e12=int(row["sumsq_e12"]),
            positive=row["positive"],
            neutral=row["neutral"],
            negative=row["negative"],
            sources=tuple(row["sources"]),
            first_position=row["first_position"],
            last_position=row["last_position"],
        )
        for row in rows.to_pylist()
    ]


def rows_of(buckets: Iterable[Bucket]) -> pa.Table:
    """Buckets as rows of BUCKET_ROW_SCHEMA."""
    return pa.Table.from_pylist([_row_of(bucket) for bucket in buckets], schema=BUCKET_ROW_SCHEMA)


def _row_of(bucket: Bucket) -> dict[str, Any]:
    edges = {
        f"{name}_{field}": value
        for name, edge in (("open", bucket.open), ("close", bucket.close))
        for field, value in (("e6", edge.score_e6), ("us", edge.published_us), ("item_id", edge.item_id))
    }
    derived = {"sumsq_e12": Decimal(bucket.sumsq_e12), "sources": list(bucket.sources)}
    same = {
        name: getattr(bucket, name) for name in BUCKET_ROW_SCHEMA.names if name not in edges and name not in derived
    }
    return {**same, **edges, **derived}
