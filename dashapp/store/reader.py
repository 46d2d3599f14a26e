"""Reading: stored buckets (+) the tail, the scores no rollup has counted yet.

A view is taken of the two tables together: the buckets of one version, which count up to `seen`, and every score
accepted after `seen`. So each score counts exactly once in every answer, whatever rollups and ingests run meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dashapp.errors import StoreDamaged
from dashapp.model.resolution import RESOLUTIONS, Resolution
from dashapp.model.score import position_of
from dashapp.store.duck import FOLD_COLUMNS, ORD, SOURCES, fold_sql, merge_sql
from dashapp.store.schema import BUCKET_ROW_SCHEMA, SCORE_TABLE_SCHEMA
from dashapp.store.store import Store
from dashapp.store.tables import DataFile

# Up to this many rows the tail is held in memory (about 20 MB); a longer one, before the first rollup of a big
# ingest, is read from its files by every query.
TAIL_ROWS_IN_MEMORY = 200_000

SOURCE_SEPARATOR = chr(31)

_NO_TAIL = pa.schema([SCORE_TABLE_SCHEMA.field(name) for name in FOLD_COLUMNS]).empty_table()
_NO_BUCKETS = BUCKET_ROW_SCHEMA.empty_table()
_BUCKET_COLUMNS = ", ".join(BUCKET_ROW_SCHEMA.names)
# What leaves the store: times in microseconds, scores in [-1, 1]. Dividing here costs a tenth of what it costs in
# Python.
_PUBLIC_COLUMNS = """ticker, start_us AS timestamp_us,
    open_e6 / 1e6 AS open, high_e6 / 1e6 AS high, low_e6 / 1e6 AS low, close_e6 / 1e6 AS close, count, sum_e6 / 1e6 AS
    sum,
    sum_e6 / (count * 1e6) AS avg, positive, neutral, negative, sources, last_position"""


@dataclass(frozen=True, slots=True)
class View:
    """The two tables at one moment. `tail_rows` is None when the tail is to be read from `tail_files`."""

    revision: int
    seen: int
    buckets_version: int
    bucket_files: tuple[DataFile, ...]
    score_files: tuple[DataFile, ...]
    tail_files: tuple[DataFile, ...]
    tail_rows: pa.Table | None
    tail_tickers: frozenset[str] | None


class Reader:
    """Takes views of a store and answers from them; safe for use by several threads."""

    def __init__(self, store: Store, *, timeout_ms: int) -> None:
        self._store = store
        self._timeout_ms = timeout_ms
        self._lock = threading.Lock()
        self._view: View | None = None

    def view(self) -> View:
        """The view of now; 2 to 5 ms when nothing is new."""
        with self._lock:
            # Buckets before scores: what the buckets count is then never ahead of the scores at hand.
            buckets_version = self._store.buckets.table.refresh()
            revision = self._store.scores.table.refresh()
            held = self._view
            if held is None or held.revision != revision or held.buckets_version != buckets_version:
                self._view = held = self._take_view(revision, buckets_version, held)
            return held

    def series(
        self,
        view: View,
        tickers: Collection[str],
        scorer: str,
        resolution: Resolution,
        start_us: int,
        end_us: int,
        limit: int,
    ) -> dict[str, list[Any]]:
        """The buckets starting in [start_us, end_us), by ticker and time, as columns; at most `limit` a ticker, the
        earliest."""
        params: dict[str, Any] = {"tickers": list(tickers), "scorer": scorer}
        with_tail = view.tail_tickers is None or not view.tail_tickers.isdisjoint(tickers)
        wanted = "list_contains($tickers, ticker) AND scorer = $scorer"
        merged = self._merged_sql(view, resolution, start_us, end_us, params, wanted=wanted, with_tail=with_tail)
        limited = ""
        if limit < (end_us - start_us) // resolution.width_us:
            limited = "QUALIFY row_number() OVER (PARTITION BY ticker ORDER BY timestamp_us) <= $limit"
            params["limit"] = limit
        sql = f"SELECT {_PUBLIC_COLUMNS} FROM ({merged}) {limited} ORDER BY ticker, timestamp_us"
        return self._columns(view, sql, params)

    def buckets(self, view: View, resolution: Resolution, start_us: int, end_us: int) -> pa.Table:
        """Every bucket starting in [start_us, end_us), of all tickers and scorers, with all its fields; unordered.

        `sources` come joined by SOURCE_SEPARATOR, and the sum of squares, which can be longer than 64 bits, as millions
        (`sumsq_high`) and rest (`sumsq_low`).
        """
        params: dict[str, Any] = {}
        merged = self._merged_sql(view, resolution, start_us, end_us, params, wanted="true", with_tail=True)
        sql = f"""
            SELECT * EXCLUDE (sources, sumsq_e12), array_to_string(sources, chr(31)) AS sources,
                (sumsq_e12::HUGEINT // 1000000)::BIGINT AS sumsq_high, (sumsq_e12::HUGEINT % 1000000)::BIGINT AS
                sumsq_low
            FROM ({merged})"""
        return self._table(view, sql, params)

    def scores(self, view: View, start_us: int, end_us: int) -> pa.Table:
        """The raw scores published in [start_us, end_us): the columns a fold reads; unordered."""
        params: dict[str, Any] = {
            "start_us": start_us,
            "end_us": end_us,
            "score_files": [
                file.path
                for file in view.score_files
                if file.bounds["published_us"][0] < end_us and file.bounds["published_us"][1] >= start_us
            ],
        }
        columns = ", ".join(_NO_TAIL.column_names)
        where = "published_us >= $start_us AND published_us < $end_us"
        if not params["score_files"]:
            return _NO_TAIL
        return self._table(view, f"SELECT {columns} FROM read_parquet($score_files) WHERE {where}", params)

    def catalogue(self, view: View) -> dict[str, list[Any]]:
        """Every (ticker, scorer) with count, first and last published time, as columns; by ticker and scorer."""
        params: dict[str, Any] = {}
        parts = []
        coarsest = RESOLUTIONS[-1]
        files = [file.path for file in view.bucket_files if file.partition["resolution"] == coarsest.name]
        if files:
            params["files"] = files
            parts.append("SELECT ticker, scorer, count, open_us, close_us FROM read_parquet($files)")
        if view.tail_files:
            tail = self._tail_sql(view, params)
            parts.append(
                f"SELECT ticker, scorer, 1 AS count, published_us AS open_us, published_us AS close_us FROM ({tail})"
            )
        if not parts:
            parts.append("SELECT ticker, scorer, count, open_us, close_us FROM no_buckets")
        sql = f"""
            SELECT ticker, scorer, sum(count)::BIGINT AS count, min(open_us) AS first_us, max(close_us) AS last_us
            FROM ({" UNION ALL ".join(parts)}) GROUP BY ticker, scorer ORDER BY ticker, scorer"""
        return self._columns(view, sql, params)

    def _take_view(self, revision: int, buckets_version: int, held: View | None) -> View:
        seen = self._store.buckets.seen
        tail_files = self._store.scores.files_after(seen)
        rows, tickers = None, None
        if sum(file.rows for file in tail_files) <= TAIL_ROWS_IN_MEMORY:
            rows = self._load_tail(tail_files, seen, held)
            tickers = frozenset(rows.column("ticker").unique().to_pylist())
        files = self._store.buckets.table.files()
        return View(
            max(revision, seen),
            seen,
            buckets_version,
            files,
            self._store.scores.table.files(),
            tail_files,
            rows,
            tickers,
        )

    def _load_tail(self, files: tuple[DataFile, ...], seen: int, held: View | None) -> pa.Table:
        """The rows after `seen`; what the last view held already is not read again."""
        known, known_up_to = _NO_TAIL, seen
        if held is not None and held.tail_rows is not None and held.seen <= seen:
            known = held.tail_rows.filter(pc.field("position") >= position_of(seen + 1, 0))
            known_up_to = max(held.revision, seen)
        first = position_of(known_up_to + 1, 0)
        fresh = [file.path for file in files if file.bounds["position"][1] >= first]
        if not fresh:
            return known
        with self._store.duck.cursor() as cursor:
            rows = cursor.table(
                f"SELECT {', '.join(_NO_TAIL.column_names)} FROM read_parquet($files) WHERE position >= $first",
                {"files": fresh, "first": first},
            )
        return pa.concat_tables([known, rows.cast(_NO_TAIL.schema)])

    def _merged_sql(
        self,
        view: View,
        resolution: Resolution,
        start_us: int,
        end_us: int,
        params: dict[str, Any],
        *,
        wanted: str,
        with_tail: bool,
    ) -> str:
        """SQL of stored buckets (+) tail in a range; adds what it needs to `params`."""
        params |= {"start_us": start_us, "end_us": end_us}
        parts = []
        files = [
            file.path
            for file in view.bucket_files
            if file.partition["resolution"] == resolution.name
            and file.bounds["start_us"][0] < end_us
            and file.bounds["start_us"][1] >= start_us
        ]
        if files:
            params["files"] = files
            parts.append(
                f"SELECT {_BUCKET_COLUMNS} FROM read_parquet($files) "
                f"WHERE {wanted} AND start_us >= $start_us AND start_us < $end_us"
            )
        if with_tail and view.tail_files:
            rows = (
                f"SELECT *, {ORD} FROM ({self._tail_sql(view, params)}) "
                f"WHERE {wanted} AND published_us >= $start_us AND published_us < $end_us"
            )
            parts.append(f"SELECT {_BUCKET_COLUMNS} FROM ({fold_sql(rows, resolution, SOURCES)})")
        if not parts:
            parts.append(
                f"SELECT {_BUCKET_COLUMNS} FROM no_buckets WHERE {wanted} AND start_us BETWEEN $start_us AND $end_us"
            )
        both = " UNION ALL ".join(parts)
        return merge_sql(both) if len(parts) > 1 else both

    def _tail_sql(self, view: View, params: dict[str, Any]) -> str:
        columns = ", ".join(_NO_TAIL.column_names)
        if view.tail_rows is not None:
            return f"SELECT {columns} FROM tail"
        params["tail_files"] = [file.path for file in view.tail_files]
        params["from_position"] = position_of(view.seen + 1, 0)
        return f"SELECT {columns} FROM read_parquet($tail_files) WHERE position >= $from_position"

    def _columns(self, view: View, sql: str, params: dict[str, Any]) -> dict[str, list[Any]]:
        columns: dict[str, list[Any]] = self._table(view, sql, params).to_pydict()
        return columns

    def _table(self, view: View, sql: str, params: dict[str, Any]) -> pa.Table:
        with self._store.duck.cursor() as cursor, cursor.limited(self._timeout_ms):
            cursor.register("tail", _NO_TAIL if view.tail_rows is None else view.tail_rows)
            cursor.register("no_buckets", _NO_BUCKETS)
            table = cursor.table(sql, params)
        try:
            table.validate(full=True)  # DuckDB does not look whether the texts of a damaged file are UTF-8
        except pa.ArrowInvalid as error:
            raise StoreDamaged(f"A file of the store cannot be read: {error}") from error
        return table
