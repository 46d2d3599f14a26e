"""Extracts: what is read for taking away or for reading up, rather than for drawing: raw scores, and whole ranges.

A whole range is read in stretches of about EXPORT_ROWS rows, so that its size does not matter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dashapp.model.resolution import Resolution
from dashapp.model.variant import Variant
from dashapp.store.answers import BUCKETS, ITEMS, SCORES
from dashapp.store.reader import Reader, View
from dashapp.store.tables import paths

# Enough rows for a good row group; with texts, about 30 MB.
EXPORT_ROWS = 50_000

_SCORE_COLUMNS = """item_id AS id, ticker, published_us AS published, accepted_us AS accepted, scorer,
    score_e6 / 1e6 AS score, label, confidence, relevance, source, url, text, story_id, position"""


def newest_scores(
    reader: Reader,
    view: View,
    ticker: str,
    scorer: str,
    start_us: int,
    end_us: int,
    *,
    before: tuple[int, str] | None,
    limit: int,
    variant: Variant,
) -> pa.Table:
    """The newest scores of one ticker published in [start_us, end_us), newest first, as rows of ITEMS.

    Of those published at the same time the highest item id comes first, since it is the one that closes a bucket.
    `before` is (published_us, item id): only what comes after that one in this order.
    """
    params = {"ticker": ticker, "limit": limit}
    where = "ticker = $ticker"
    if before is not None:
        where += " AND (published_us, item_id) < ($before_us, $before_id)"
        params |= {"before_us": before[0], "before_id": before[1]}
    order = "published_us DESC, item_id DESC LIMIT $limit"
    rows = _scores(reader, view, scorer, start_us, end_us, where, order, params)
    counts = pa.repeat(True, rows.num_rows)
    if rows.num_rows and not variant.is_all:
        published_us = rows.column("published").cast(pa.int64())
        first_us, last_us = published_us[-1].as_py(), published_us[0].as_py()
        counted = reader.counted(view, variant, ticker, scorer, first_us, last_us + 1)
        counts = pc.is_in(rows.column("position"), value_set=counted.column("position"))
    return rows.append_column(ITEMS.field("counts"), counts)


def export_scores(
    reader: Reader, view: View, tickers: Collection[str] | None, scorer: str, start_us: int, end_us: int
) -> pa.Table:
    """The scores published in [start_us, end_us), by time, ticker and item id, as rows of SCORES; None: all tickers."""
    where, params = ("true", {}) if tickers is None else ("list_contains($tickers, ticker)", {"tickers": list(tickers)})
    return _scores(reader, view, scorer, start_us, end_us, where, "published_us, ticker, item_id", params)


def export_buckets(
    reader: Reader,
    view: View,
    tickers: Collection[str] | None,
    scorer: str,
    resolution: Resolution,
    start_us: int,
    end_us: int,
    now_us: int,
) -> pa.Table:
    """The buckets starting in [start_us, end_us), by time and ticker, as rows of BUCKETS; None: of all tickers."""
    rows = reader.buckets(view, resolution, start_us, end_us, tickers=tickers, scorer=scorer)
    rows = rows.sort_by([("start_us", "ascending"), ("ticker", "ascending")])
    millionths = {"open": "open_e6", "high": "high_e6", "low": "low_e6", "close": "close_e6", "sum": "sum_e6"}
    start = rows.column("start_us")
    made = {
        "resolution": pa.repeat(resolution.name, rows.num_rows),
        "timestamp": start,
        "avg": pc.divide(rows.column("sum_e6").cast(pa.float64()), pc.multiply(rows.column("count"), 1e6)),
        "is_partial": pc.greater(start, now_us - resolution.width_us),
        **{name: pc.divide(rows.column(stored).cast(pa.float64()), 1e6) for name, stored in millionths.items()},
    }
    columns = [made[name] if name in made else rows.column(name) for name in BUCKETS.names]
    return pa.table([column.cast(field.type) for column, field in zip(columns, BUCKETS, strict=True)], schema=BUCKETS)


def score_stretches(view: View, start_us: int, end_us: int) -> list[tuple[int, int]]:
    """Ranges to export scores in, one after the other: they cover those of [start_us, end_us)."""
    return _stretches([(*file.bounds["published_us"], file.rows) for file in view.score_files], start_us, end_us, 1)


def bucket_stretches(view: View, resolution: Resolution, start_us: int, end_us: int) -> list[tuple[int, int]]:
    """Ranges to export buckets in, one after the other: they cover those of [start_us, end_us)."""
    files = view.bucket_files.get(resolution.name, ())
    rows = [(*file.bounds["start_us"], file.rows) for file in files]
    rows += [(*file.bounds["published_us"], file.rows) for file in view.tail_files]
    return _stretches(rows, start_us, end_us, resolution.width_us)


def _scores(
    reader: Reader,
    view: View,
    scorer: str,
    start_us: int,
    end_us: int,
    where: str,
    order: str,
    params: dict[str, Any],
) -> pa.Table:
    files = [
        file
        for file in view.score_files
        if file.bounds["published_us"][0] < end_us and file.bounds["published_us"][1] >= start_us
    ]
    if not files:
        return SCORES.empty_table()
    sql = f"""SELECT {_SCORE_COLUMNS} FROM read_parquet($files)
        WHERE scorer = $scorer AND published_us >= $start_us AND published_us < $end_us AND {where} ORDER BY {order}"""
    found = reader.table(
        sql, {**params, "files": paths(files), "scorer": scorer, "start_us": start_us, "end_us": end_us}
    )
    return found.cast(SCORES)


def _stretches(
    rows: Iterable[tuple[int, int, int]], start_us: int, end_us: int, width_us: int
) -> list[tuple[int, int]]:
    """Ranges with about EXPORT_ROWS rows each at most, ascending, that begin and end at multiples of `width_us`.

    `rows` are (first moment, last moment, number of rows) of files.
    """
    merged: list[list[int]] = []
    for low, high, count in sorted(rows):
        begin, stop = max(start_us, low - low % width_us), min(end_us, high - high % width_us + width_us)
        if begin >= stop:
            continue
        if merged and begin < merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], stop)
            merged[-1][2] += count
        else:
            merged.append([begin, stop, count])
    cut: list[tuple[int, int]] = []
    for begin, stop, count in merged:
        step = max(1, -(-(stop - begin) * EXPORT_ROWS // (count * width_us))) * width_us
        cut += [(at, min(at + step, stop)) for at in range(begin, stop, step)]
    return cut
