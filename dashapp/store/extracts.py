"""Extracts: what is read for taking away or for reading up, rather than for drawing: raw scores, and whole ranges.

A whole range is read in stretches of about so many rows, so that its size does not matter.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dashapp.model.resolution import Resolution
from dashapp.model.score import POSITION_BITS, position_of
from dashapp.model.time import US_PER_DAY
from dashapp.model.variant import ALL, Variant
from dashapp.store.answers import BUCKETS_EXACT, ITEMS, SCORES, SCORES_EXACT
from dashapp.store.reader import Reader, View
from dashapp.store.states import State, buckets_at
from dashapp.store.tables import DataFile, paths

# With texts, about 30 MB.
SCORE_ROWS = 50_000
# A day of 1m of 170 tickers, so that no file of such a day is read twice; about 60 MB.
BUCKET_ROWS = 250_000

_BUCKET_COLUMNS = (
    "ticker", "start_us", "open_e6", "high_e6", "low_e6", "close_e6", "count", "sum_e6", "positive", "neutral",
    "negative", "sources", "last_position",
)  # fmt: skip

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
        counted = reader.counted(view, variant, (ticker,), scorer, first_us, last_us + 1)
        counts = pc.is_in(rows.column("position"), value_set=counted.column("position"))
    return rows.append_column(ITEMS.field("counts"), counts)


@dataclass(frozen=True, slots=True)
class Take:
    """What to take away of one state of the store: of these tickers (None: of all), by one scorer, what a variant
    counts.

    Where `since` is another state, an earlier one, only what is not the same as it was then.
    """

    state: State
    tickers: tuple[str, ...] | None
    scorer: str
    since: State | None
    variant: Variant = ALL

    @property
    def first(self) -> int:
        """The first position that is news."""
        return position_of(0 if self.since is None else self.since.revision + 1, 0)


def tables_of_scores(reader: Reader, take: Take, start_us: int, end_us: int) -> Iterator[pa.Table]:
    """The scores published in [start_us, end_us), by time, ticker and item id, as rows of SCORES_EXACT, some at a
    time."""
    files = [file for file in take.state.view.score_files if file.bounds["position"][1] >= take.first]
    rows = [(*file.bounds["published_us"], file.rows) for file in files]
    counted, until_us = None, start_us
    for begin, stop in _stretches(rows, start_us, end_us, 1, SCORE_ROWS):
        table = _scores_of(reader, take, begin, stop)
        if not take.variant.is_all:
            if counted is None or stop > until_us:
                # For a day at once: where reprints are told, the day before has to be read as well.
                until_us = max(stop, min(begin + US_PER_DAY, end_us))
                counted = reader.counted(
                    take.state.view, take.variant, take.tickers, take.scorer, begin, until_us, take.state.limit
                ).column("position")
            table = table.filter(pc.is_in(table.column("position"), value_set=counted))
        yield table


def _scores_of(reader: Reader, take: Take, start_us: int, end_us: int) -> pa.Table:
    where = "position >= $first AND position < $limit"
    params: dict[str, Any] = {"first": take.first, "limit": take.state.limit}
    if take.tickers is not None:
        where += " AND list_contains($tickers, ticker)"
        params["tickers"] = list(take.tickers)
    order = "published_us, ticker, item_id"
    rows = _scores(reader, take.state.view, take.scorer, start_us, end_us, where, order, params)
    score_e6 = pc.round(pc.multiply(rows.column("score"), 1e6)).cast(pa.int32())
    return rows.append_column(SCORES_EXACT.field("score_e6"), score_e6)


def tables_of_buckets(
    reader: Reader, take: Take, resolution: Resolution, start_us: int, end_us: int
) -> Iterator[pa.Table]:
    """The buckets starting in [start_us, end_us), by time and ticker, as rows of BUCKETS_EXACT, some at a time.

    A bucket is partial when its interval was not over at the moment of the state, so that what a state says of it does
    not depend on when it is asked.
    """
    view = take.state.view
    if take.variant.is_all:
        files = [file for file in view.bucket_files.get(resolution.name, ()) if _has_news(file, take, resolution)]
        rows = [(*file.bounds["start_us"], file.rows) for file in files]
        rows += [(*file.bounds["published_us"], file.rows) for file in view.tail_files]
        least_us = 0
    else:
        rows = [(*file.bounds["published_us"], file.rows) for file in view.score_files]
        least_us = US_PER_DAY
    for begin, stop in _stretches(rows, start_us, end_us, resolution.width_us, BUCKET_ROWS, least_us):
        yield _buckets_of(reader, take, resolution, begin, stop)


def _buckets_of(reader: Reader, take: Take, resolution: Resolution, start_us: int, end_us: int) -> pa.Table:
    rows = buckets_at(
        reader, take.state, take.tickers, take.scorer, resolution, start_us, end_us, _BUCKET_COLUMNS, take.variant
    ).combine_chunks()
    starts_us: NDArray[np.int64] = rows.column("start_us").to_numpy()
    is_partial = starts_us > take.state.moment_us - resolution.width_us
    if take.since is not None:
        is_news = rows.column("last_position").to_numpy() >= take.first
        is_news |= ~is_partial & (starts_us > take.since.moment_us - resolution.width_us)
        kept = np.flatnonzero(is_news)
    else:
        kept = np.arange(len(starts_us))
    # Rows come by ticker and time; sorting small numbers by time takes no comparisons.
    slots = (starts_us[kept] - start_us) // resolution.width_us
    kept = kept[np.argsort(slots.astype(np.uint16) if len(slots) and slots.max() < 2**16 else slots, kind="stable")]
    rows = rows.take(pa.array(kept))
    numbers = {name: rows.column(name).to_numpy() for name in ("sum_e6", "count", "last_position")}
    made: dict[str, Any] = {
        "resolution": pa.repeat(resolution.name, rows.num_rows),
        "timestamp": rows.column("start_us").to_numpy(),
        "sum": numbers["sum_e6"] / 1e6,
        "avg": numbers["sum_e6"] / (numbers["count"] * 1e6),
        "is_partial": is_partial[kept],
        "scorer": pa.repeat(take.scorer, rows.num_rows),
        "revision": numbers["last_position"] >> POSITION_BITS,
        **{name: rows.column(f"{name}_e6").to_numpy() / 1e6 for name in ("open", "high", "low", "close")},
    }
    columns = [pa.array(made[field.name]) if field.name in made else rows.column(field.name) for field in BUCKETS_EXACT]
    return pa.table(
        [column.cast(field.type) for column, field in zip(columns, BUCKETS_EXACT, strict=True)], schema=BUCKETS_EXACT
    )


def score_stretches(view: View, start_us: int, end_us: int) -> list[tuple[int, int]]:
    """Ranges to read scores in, one after the other: they cover those of [start_us, end_us)."""
    rows = [(*file.bounds["published_us"], file.rows) for file in view.score_files]
    return _stretches(rows, start_us, end_us, 1, SCORE_ROWS)


def _has_news(file: DataFile, take: Take, resolution: Resolution) -> bool:
    """Whether a file may hold buckets that came, changed or were closed since the state before."""
    if take.since is None or file.bounds["last_position"][1] >= take.first:
        return True
    low, high = file.bounds["start_us"]
    return high > take.since.moment_us - resolution.width_us and low <= take.state.moment_us - resolution.width_us


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
    rows: Iterable[tuple[int, int, int]], start_us: int, end_us: int, width_us: int, most_rows: int, least_us: int = 0
) -> list[tuple[int, int]]:
    """Ranges with about `most_rows` rows each at most, ascending, that begin and end at multiples of `width_us`.

    None is cut shorter than `least_us`, a multiple of `width_us`. `rows` are (first moment, last moment, number of
    rows) of files.
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
        step = max(1, -(-(stop - begin) * most_rows // (count * width_us))) * width_us
        step = max(step, least_us)
        cut += [(at, min(at + step, stop)) for at in range(begin, stop, step)]
    return cut


def by_period(rows: pa.Table, moment: str, kind: str) -> list[tuple[str, pa.Table]]:
    """Rows that ascend by a moment, cut into days, months or years in UTC, each with its name, such as 2024-02."""
    if not rows.num_rows:
        return []
    moments_us = rows.column(moment).cast(pa.int64()).to_numpy()
    periods = moments_us.astype("datetime64[us]").astype(f"datetime64[{kind[0].upper()}]")
    begins = [0, *(np.flatnonzero(periods[1:] != periods[:-1]) + 1).tolist(), rows.num_rows]
    return [(str(periods[begin]), rows.slice(begin, stop - begin)) for begin, stop in itertools.pairwise(begins)]


def blocks(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The rows of tables of one schema, so many to a table, the rest in the last one; each in one piece of memory."""
    held: list[pa.Table] = []
    count = 0
    for table in tables:
        held.append(table)
        count += table.num_rows
        while count >= rows:
            whole = pa.concat_tables(held)
            yield whole.slice(0, rows).combine_chunks()
            held, count = [whole.slice(rows)], count - rows
    if count:
        yield pa.concat_tables(held).combine_chunks()
