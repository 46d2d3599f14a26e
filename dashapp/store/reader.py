"""Reading: stored buckets (+) the tail, the scores no rollup has counted yet.

A view is taken of the two tables together: the buckets of one version, which count up to `seen`, and every score
accepted after `seen`. So each score counts exactly once in every answer, whatever rollups and ingests run meanwhile.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dashapp.errors import StoreDamaged
from dashapp.model.resolution import FINEST, RESOLUTIONS, Resolution
from dashapp.model.score import POSITION_BITS, position_of
from dashapp.model.variant import ALL, Variant
from dashapp.store.candles import Candles
from dashapp.store.duck import FOLD_COLUMNS, ORD, fold_sql
from dashapp.store.merge import fold_rows, merge_partition
from dashapp.store.order import in_order
from dashapp.store.scan import Scanner, Wanted
from dashapp.store.schema import BUCKET_ROW_SCHEMA, SCORE_TABLE_SCHEMA, SOURCE_SEPARATOR
from dashapp.store.store import Store
from dashapp.store.tables import DataFile, paths
from dashapp.store.variants import complete_from, counted_scores, files_between
from dashapp.store.wide import words_of

# For what reads all scores, or the texts of a long range: it takes longer than any question of a page may.
PATIENT_MS = 3_600_000
# Up to this many rows the tail is held in memory (about 20 MB); a longer one, before the first rollup of a big
# ingest, is read from its files by every query.
TAIL_ROWS_IN_MEMORY = 200_000

# A file of scores costs a scan 1 to 2 ms and more with many tickers, a query less, but 15 ms to plan.
_FEW_FILES = 16

# What variants are told by.
MARKS = ("relevance", "story_id")

_NO_TAIL = pa.schema([SCORE_TABLE_SCHEMA.field(name) for name in FOLD_COLUMNS]).empty_table()
_NO_BUCKETS = BUCKET_ROW_SCHEMA.empty_table()
_TAIL_SQL = f"SELECT {', '.join(FOLD_COLUMNS)} FROM read_parquet($tail_files) WHERE position >= $from_position"
_CATALOGUE_KEYS = ("ticker", "scorer")

Catalogue = dict[tuple[str, str], tuple[int, int, int]]
_MILLIONTHS = {"open": "open_e6", "high": "high_e6", "low": "low_e6", "close": "close_e6"}
_SAME = ("count", "positive", "neutral", "negative")
_TEXTS = ("ticker", "scorer", "sources")
_PUBLIC_COLUMNS = (*_TEXTS, "start_us", "sum_e6", *_MILLIONTHS.values(), *_SAME, "last_position")


@dataclass(frozen=True, slots=True)
class View:
    """The two tables at one moment. `tail_rows` is None when the tail is to be read from `tail_files`.

    Scores published before `sealed_us` were dropped, up to the highest position `dropped_position`, and their buckets
    kept; at each resolution buckets before `kept_from_us` were dropped.
    """

    revision: int
    seen: int
    buckets_version: int
    bucket_files: Mapping[str, Sequence[DataFile]]  # by resolution
    score_files: tuple[DataFile, ...]
    tail_files: tuple[DataFile, ...]
    tail_rows: pa.Table | None
    tail_tickers: frozenset[str] | None
    sealed_us: int
    dropped_position: int
    kept_from_us: Mapping[str, int]  # by resolution


class Reader:
    """Takes views of a store and answers from them; safe for use by several threads."""

    def __init__(self, store: Store, *, timeout_ms: int) -> None:
        self._store = store
        self._timeout_ms = timeout_ms
        self._scanner = Scanner()
        self._score_scanner = Scanner(SCORE_TABLE_SCHEMA, "published_us")
        self._lock = threading.Lock()
        self._view: View | None = None
        self._catalogue: tuple[int, Catalogue] | None = None

    def view(self) -> View:
        """The view of now; 2 to 5 ms when nothing is new."""
        with self._lock:
            # Buckets before scores: what the buckets count is then never ahead of the scores at hand.
            buckets_version = self._store.buckets.table.refresh()
            revision = self._store.scores.table.refresh(known=self._store.buckets.seen)
            # Scores that retention dropped since are in newer buckets: it drops none before they are.
            while self._store.scores.dropped_position >= position_of(self._store.buckets.seen + 1, 0):
                buckets_version = self._store.buckets.table.refresh()
                revision = self._store.scores.table.refresh(known=self._store.buckets.seen)
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
        variant: Variant = ALL,
    ) -> tuple[dict[str, tuple[int, int]], Candles]:
        """The buckets starting in [start_us, end_us), and which of them are whose: ticker -> (first, stop).

        Each ticker's are in order of time; at most `limit` of them, the earliest.
        """
        asked = _Asked(resolution, start_us, end_us, tuple(tickers), scorer, variant)
        rows = self._merged(view, asked, _PUBLIC_COLUMNS)
        if limit < (end_us - start_us) // resolution.width_us:
            rows = _first_of_each(rows, limit)
        return _runs(rows), _candles(rows)

    def buckets(
        self,
        view: View,
        resolution: Resolution,
        start_us: int,
        end_us: int,
        *,
        tickers: Collection[str] | None = None,
        scorer: str | None = None,
        variant: Variant = ALL,
        columns: Sequence[str] = BUCKET_ROW_SCHEMA.names,
    ) -> pa.Table:
        """Every bucket starting in [start_us, end_us), as rows of BUCKET_ROW_SCHEMA; of all tickers and of all scorers
        unless some are named. With at least these columns; only they are read where that will do."""
        named = None if tickers is None else tuple(tickers)
        return self._merged(view, _Asked(resolution, start_us, end_us, named, scorer, variant), columns)

    def audit(self, view: View, resolution: Resolution, start_us: int, end_us: int, variant: Variant = ALL) -> pa.Table:
        """The same, in columns of texts and 64-bit numbers only.

        `sources` are joined by SOURCE_SEPARATOR; the sum of squares is given in millions (`sumsq_high`) and rest
        (`sumsq_low`).
        """
        rows = self.buckets(view, resolution, start_us, end_us, variant=variant).combine_chunks()
        high, low = _millions(rows.column("sumsq_e12"))
        joined = pc.binary_join(rows.column("sources"), SOURCE_SEPARATOR)
        rows = rows.drop_columns(["sources", "sumsq_e12"]).append_column("sources", joined)
        return rows.append_column("sumsq_high", high).append_column("sumsq_low", low)

    def scores(self, view: View, start_us: int, end_us: int) -> pa.Table:
        """The raw scores published in [start_us, end_us): the columns a fold reads and MARKS; unordered."""
        asked = _Asked(FINEST, start_us, end_us, None, None)
        return self._queried(files_between(view, start_us, end_us), asked, (*FOLD_COLUMNS, *MARKS))

    def sealed_buckets(self, view: View) -> int:
        """How many buckets are all that is left of their scores."""
        files = [file for files in view.bucket_files.values() for file in files]
        begun = [file for file in files if file.bounds["start_us"][0] < view.sealed_us]
        mixed = paths([file for file in begun if file.bounds["start_us"][1] >= view.sealed_us])
        whole = sum(file.rows for file in begun if file.bounds["start_us"][1] < view.sealed_us)
        if not mixed:
            return whole
        sql = "SELECT count(*) AS count FROM read_parquet($files) WHERE start_us < $sealed_us"
        counted = self.table(sql, {"files": mixed, "sealed_us": view.sealed_us})
        return whole + int(counted.column("count")[0].as_py())

    def catalogue(self, view: View) -> Catalogue:
        """Every (ticker, scorer) with count, first and last published time, in microseconds; by ticker and scorer."""
        found = dict(self._stored_catalogue(view))
        if view.tail_rows is not None:
            times = [("published_us", "count"), ("published_us", "min"), ("published_us", "max")]
            grouped = view.tail_rows.group_by(["ticker", "scorer"]).aggregate(times)
            tail = grouped.select([*_CATALOGUE_KEYS, *(f"published_us_{how}" for _, how in times)])
        else:
            tail = self.table(
                "SELECT ticker, scorer, count(*) AS count, min(published_us), max(published_us) "
                f"FROM ({_TAIL_SQL}) GROUP BY ticker, scorer",
                _tail_params(view),
            )
        for ticker, scorer, count, first_us, last_us in zip(*tail.to_pydict().values(), strict=True):
            held = found.get((ticker, scorer), (0, first_us, last_us))
            found[ticker, scorer] = (held[0] + count, min(held[1], first_us), max(held[2], last_us))
        return dict(sorted(found.items()))

    def _stored_catalogue(self, view: View) -> Catalogue:
        with self._lock:
            held = self._catalogue
        if held is not None and held[0] == view.buckets_version:
            return held[1]
        catalogue: Catalogue = {}
        files = paths(view.bucket_files.get(RESOLUTIONS[-1].name, ()))
        if files:
            rows = self.table(
                "SELECT ticker, scorer, sum(count)::BIGINT AS count, min(open_us), max(close_us) "
                "FROM read_parquet($files) GROUP BY ticker, scorer",
                {"files": files},
            )
            catalogue = {(row[0], row[1]): row[2:] for row in zip(*rows.to_pydict().values(), strict=True)}
        with self._lock:
            self._catalogue = (view.buckets_version, catalogue)
        return catalogue

    def _take_view(self, revision: int, buckets_version: int, held: View | None) -> View:
        seen = self._store.buckets.seen
        tail_files = self._store.scores.files_after(seen)
        rows, tickers = None, None
        if sum(file.rows for file in tail_files) <= TAIL_ROWS_IN_MEMORY:
            rows = self._load_tail(tail_files, seen, held)
            tickers = frozenset(rows.column("ticker").unique().to_pylist())
        files: dict[str, list[DataFile]] = {}
        for file in self._store.buckets.table.files():
            files.setdefault(file.partition["resolution"], []).append(file)
        return View(
            max(revision, seen),
            seen,
            buckets_version,
            files,
            self._store.scores.table.files(),
            tail_files,
            rows,
            tickers,
            self._store.scores.sealed_us,
            self._store.scores.dropped_position,
            self._store.buckets.kept_from_us(),
        )

    def _load_tail(self, files: tuple[DataFile, ...], seen: int, held: View | None) -> pa.Table:
        """The rows after `seen`; what the last view held already is not read again."""
        known, known_up_to = _NO_TAIL, seen
        if held is not None and held.tail_rows is not None and held.seen <= seen:
            known = held.tail_rows.filter(pc.field("position") >= position_of(seen + 1, 0))
            known_up_to = max(held.revision, seen)
        first = position_of(known_up_to + 1, 0)
        fresh = paths([file for file in files if file.bounds["position"][1] >= first])
        if not fresh:
            return known
        with self._store.duck.cursor() as cursor:
            rows = cursor.table(
                f"SELECT {', '.join(_NO_TAIL.column_names)} FROM read_parquet($files) WHERE position >= $first",
                {"files": fresh, "first": first},
            )
        return pa.concat_tables([known, rows.cast(_NO_TAIL.schema)])

    def _merged(self, view: View, asked: _Asked, columns: Sequence[str] = BUCKET_ROW_SCHEMA.names) -> pa.Table:
        """Stored buckets (+) tail, as rows of BUCKET_ROW_SCHEMA, by ticker, scorer and start.

        Where no tail is to be merged in, only `columns` are read: a third of the time. Buckets of a variant are folded
        from the scores.
        """
        if not asked.variant.is_all:
            return self._folded(view, asked)
        asked = replace(asked, start_us=max(asked.start_us, view.kept_from_us[asked.resolution.name]))
        new = self._tail_buckets(view, asked)
        files = [
            file
            for file in view.bucket_files.get(asked.resolution.name, ())
            if file.bounds["start_us"][0] < asked.end_us and file.bounds["start_us"][1] >= asked.start_us
        ]
        if not files:
            return _NO_BUCKETS if new is None else merge_partition(_NO_BUCKETS, new, asked.resolution)
        stored = self._stored(files, asked, columns if new is None else BUCKET_ROW_SCHEMA.names)
        return stored if new is None else merge_partition(stored, new, asked.resolution)

    def counted(
        self,
        view: View,
        variant: Variant,
        tickers: Collection[str] | None,
        scorer: str,
        start_us: int,
        end_us: int,
        limit: int | None = None,
    ) -> pa.Table:
        """The scores published in [start_us, end_us) that a variant counts: the columns a fold reads, unordered; of all
        tickers unless some are named. With a limit as if only those of lower positions had come."""
        named = None if tickers is None else tuple(tickers)
        return self._counted(view, _Asked(FINEST, start_us, end_us, named, scorer, variant), limit)

    def counted_buckets(
        self,
        view: View,
        variant: Variant,
        tickers: Collection[str] | None,
        scorer: str,
        resolution: Resolution,
        start_us: int,
        end_us: int,
        limit: int,
    ) -> pa.Table:
        """Their buckets starting in [start_us, end_us), as rows of BUCKET_ROW_SCHEMA, by ticker and start."""
        named = None if tickers is None else tuple(tickers)
        return self._folded(view, _Asked(resolution, start_us, end_us, named, scorer, variant), limit)

    def _folded(self, view: View, asked: _Asked, limit: int | None = None) -> pa.Table:
        """The buckets of a variant, by ticker, scorer and start."""
        rows = self._counted(view, asked, limit)
        return in_order(fold_rows(self._store.duck, rows, asked.resolution)) if rows.num_rows else _NO_BUCKETS

    def _counted(self, view: View, asked: _Asked, limit: int | None) -> pa.Table:
        kept_us = complete_from(view, asked.variant)
        start_us = asked.start_us if kept_us is None else max(asked.start_us, kept_us)

        def read(columns: Sequence[str], from_us: int, end_us: int) -> pa.Table:
            files = files_between(view, from_us, end_us)
            if asked.tickers is None or len(files) > _FEW_FILES:
                return self._queried(files, replace(asked, start_us=from_us), columns)
            wanted = Wanted(frozenset(asked.tickers), asked.scorer, from_us, end_us)
            return self._score_scanner.rows(files, wanted, columns, timeout_ms=self._timeout_ms)

        return counted_scores(read, asked.variant, start_us, asked.end_us, limit)

    def _queried(self, files: Sequence[DataFile], asked: _Asked, columns: Sequence[str]) -> pa.Table:
        """The rows of score files that were asked for, unordered."""
        schema = pa.schema([SCORE_TABLE_SCHEMA.field(name) for name in columns])
        if not files:
            return schema.empty_table()
        where, params = asked.where("published_us")
        sql = f"SELECT {', '.join(columns)} FROM read_parquet($files) WHERE {where}"
        return self.table(sql, {**params, "files": paths(files)}).cast(schema)

    def _stored(self, files: Sequence[DataFile], asked: _Asked, columns: Sequence[str]) -> pa.Table:
        """Stored buckets, by ticker, scorer and start: those of a few tickers are scanned for, all are queried.

        A single file is in order already, so it is scanned in any case (measured on a day of 144,000 buckets: half the
        time).
        """
        if asked.tickers is not None or len(files) == 1:
            named = None if asked.tickers is None else frozenset(asked.tickers)
            wanted = Wanted(named, asked.scorer, asked.start_us, asked.end_us)
            return self._scanner.rows(files, wanted, columns, timeout_ms=self._timeout_ms)
        where, params = asked.where("start_us")
        rows = self.table(
            f"SELECT {', '.join(columns)} FROM read_parquet($files) WHERE {where} ORDER BY ticker, scorer, start_us",
            {**params, "files": paths(files)},
        )
        return rows.cast(pa.schema([BUCKET_ROW_SCHEMA.field(name) for name in columns]))

    def _tail_buckets(self, view: View, asked: _Asked) -> pa.Table | None:
        """The buckets of the tail; None when it has no scores that were asked for."""
        if view.tail_rows is not None:
            if not view.tail_rows.num_rows:  # filtering nothing takes as long as reading a row group
                return None
            rows = asked.of(view.tail_rows)
            return fold_rows(self._store.duck, rows, asked.resolution) if rows.num_rows else None
        where, params = asked.where("published_us")
        rows_sql = f"SELECT *, {ORD} FROM ({_TAIL_SQL}) WHERE {where}"
        folded = self.table(fold_sql(rows_sql, asked.resolution), {**params, **_tail_params(view)})
        return folded.select(BUCKET_ROW_SCHEMA.names).cast(BUCKET_ROW_SCHEMA) if folded.num_rows else None

    def table(self, sql: str, params: dict[str, Any]) -> pa.Table:
        """All rows of a query, within the time limit; raises StoreError, StoreDamaged."""
        with self._store.duck.cursor() as cursor, cursor.limited(self._timeout_ms):
            table = cursor.table(sql, params)
        try:
            table.validate(full=True)  # DuckDB does not look whether the texts of a damaged file are UTF-8
        except pa.ArrowInvalid as error:
            raise StoreDamaged(f"A file of the store cannot be read: {error}") from error
        return table


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which buckets a question is about; None for all tickers or scorers."""

    resolution: Resolution
    start_us: int
    end_us: int
    tickers: tuple[str, ...] | None
    scorer: str | None
    variant: Variant = ALL

    def where(self, moment: str) -> tuple[str, dict[str, Any]]:
        """The condition in SQL, `moment` being the column that holds the time, and its parameters."""
        conditions = [f"{moment} >= $start_us", f"{moment} < $end_us"]
        params: dict[str, Any] = {"start_us": self.start_us, "end_us": self.end_us}
        if self.tickers is not None:
            conditions.append("list_contains($tickers, ticker)")
            params["tickers"] = list(self.tickers)
        if self.scorer is not None:
            conditions.append("scorer = $scorer")
            params["scorer"] = self.scorer
        return " AND ".join(conditions), params

    def of(self, tail: pa.Table) -> pa.Table:
        """The rows of the tail that were asked for."""
        moment = pc.field("published_us")
        condition = (moment >= self.start_us) & (moment < self.end_us)
        if self.tickers is not None:
            condition &= pc.field("ticker").isin(list(self.tickers))
        if self.scorer is not None:
            condition &= pc.field("scorer") == self.scorer
        return tail.filter(condition)


def _source_sets(column: pa.ChunkedArray) -> tuple[NDArray[np.int32], list[list[str]]]:
    """The lists of a column as numbers of the distinct ones: there are few, and making each takes 1 us."""
    texts = pc.binary_join(column, SOURCE_SEPARATOR).combine_chunks().dictionary_encode()
    return texts.indices.to_numpy(), [text.split(SOURCE_SEPARATOR) for text in texts.dictionary.to_pylist()]


def _millions(decimals: pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
    """Whole numbers of up to 128 bits as millions and rest."""
    words = words_of(decimals)
    if not words[:, 1].any():
        return pa.array((words[:, 0] // 1_000_000).astype(np.int64)), pa.array(
            (words[:, 0] % 1_000_000).astype(np.int64)
        )
    split = [divmod(int(number), 1_000_000) for number in decimals.to_pylist()]
    return pa.array([high for high, _ in split]), pa.array([low for _, low in split])


def _tail_params(view: View) -> dict[str, Any]:
    return {
        "tail_files": paths(view.tail_files),
        "from_position": position_of(view.seen + 1, 0),
    }


def _runs(rows: pa.Table) -> dict[str, tuple[int, int]]:
    """Where the rows of each ticker begin and end, of rows ordered by ticker."""
    if not rows.num_rows:
        return {}
    encoded = pc.run_end_encode(rows.column("ticker").combine_chunks())
    stops = encoded.run_ends.to_pylist()
    return dict(zip(encoded.values.to_pylist(), itertools.pairwise([0, *stops]), strict=True))


def _first_of_each(rows: pa.Table, limit: int) -> pa.Table:
    """The first rows of each ticker, of rows ordered by ticker."""
    parts = [rows.slice(first, min(limit, stop - first)) for first, stop in _runs(rows).values()]
    return pa.concat_tables(parts) if parts else rows


def _candles(rows: pa.Table) -> Candles:
    """What leaves the store: times in microseconds, scores in [-1, 1]."""
    numbers = {name: rows.column(name).to_numpy() for name in _PUBLIC_COLUMNS if name not in _TEXTS}
    source_set, source_sets = _source_sets(rows.column("sources"))
    return Candles(
        timestamp_us=numbers["start_us"],
        **{name: numbers[stored] / 1e6 for name, stored in _MILLIONTHS.items()},
        **{name: numbers[name] for name in _SAME},
        sum=numbers["sum_e6"] / 1e6,
        avg=numbers["sum_e6"] / (numbers["count"] * 1e6),
        source_set=source_set,
        source_sets=source_sets,
        revision=numbers["last_position"] >> POSITION_BITS,
    )
