"""Following the scores table: what commits brought, which buckets they changed, and those buckets as they are now.

The log of the table names the files of each commit, so to follow costs as much as there is new, however long the
history. Changes are numbered within their version by (resolution, ticker, scorer, start), so whoever follows the table
gives the same change the same number.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dashapp.errors import StoreDamaged
from dashapp.model.bucket import Bucket, BucketKey, merge_all
from dashapp.model.change import Key, Place
from dashapp.model.resolution import RESOLUTIONS, Resolution, floor_us
from dashapp.model.score import MAX_COMMIT_ROWS, POSITION_BITS, Score, position_of
from dashapp.model.time import MAX_US, MIN_US
from dashapp.store.duck import FOLD_COLUMNS, ORD, bucket_start, fold_sql
from dashapp.store.durable import read_parquet
from dashapp.store.merge import fold_rows
from dashapp.store.reader import Reader, View
from dashapp.store.rows import buckets_of, scores_of
from dashapp.store.schema import BUCKET_ROW_SCHEMA, SCORE_TABLE_SCHEMA
from dashapp.store.store import Store
from dashapp.store.tables import DataFile, paths

_COMMIT_SCHEMA = pa.schema(
    [
        SCORE_TABLE_SCHEMA.field(name)
        for name in ("item_id", "ticker", "scorer", "published_us", "score_e6", "source", "position", "accepted_us")
    ]
)
_BUCKET_COLUMNS = ", ".join(BUCKET_ROW_SCHEMA.names)
_FOLD_COLUMNS = ", ".join(FOLD_COLUMNS)

# Every score is counted eight times over, as a rollup of few scores does it. `touched` is numbered before it is
# filtered: the number is a place among all changes of the version.
_CHANGED_SQL = f"""
WITH touched AS (
    SELECT DISTINCT position >> {POSITION_BITS:d} AS version, seconds, ticker, scorer,
        epoch_us(time_bucket(to_seconds(seconds), make_timestamp(published_us))) AS start_us
    FROM rows, (VALUES {", ".join(f"({each.seconds:d})" for each in RESOLUTIONS)}) AS widths(seconds)),
numbered AS (
    SELECT *, row_number() OVER (PARTITION BY version ORDER BY seconds, ticker, scorer, start_us) AS nth FROM touched)
SELECT seconds, ticker, scorer, start_us, max(version) AS version, arg_max(nth, version) AS nth
FROM numbered
WHERE list_contains($seconds, seconds) AND scorer = $scorer AND ($tickers IS NULL OR list_contains($tickers, ticker))
GROUP BY ALL HAVING max(version) > $version OR arg_max(nth, version) > $nth
ORDER BY version, nth LIMIT $limit"""
_COUNT_SQL = f"""
SELECT count(*) FROM (
    SELECT DISTINCT seconds, ticker, scorer,
        epoch_us(time_bucket(to_seconds(seconds), make_timestamp(published_us)))
    FROM rows, (VALUES {", ".join(f"({each.seconds:d})" for each in RESOLUTIONS)}) AS widths(seconds))"""


@dataclass(frozen=True, slots=True)
class Commit:
    """One version of the scores table: the scores it brought, none where it only rearranged files, and when they were
    accepted (0 for none)."""

    version: int
    scores: list[tuple[Score, int]]
    accepted_us: int


@dataclass(frozen=True, slots=True)
class Watch:
    """Which buckets somebody wants to hear of: resolutions by their seconds, tickers (None for all), one scorer."""

    seconds: frozenset[int]
    tickers: frozenset[str] | None
    scorer: str

    def wants(self, key: Key) -> bool:
        """Whether the bucket of that key is one of them."""
        seconds, ticker, scorer, _ = key
        return seconds in self.seconds and scorer == self.scorer and (self.tickers is None or ticker in self.tickers)


class Follower:
    """Follows the scores table of a store; safe for use by several threads."""

    def __init__(self, store: Store, reader: Reader, *, timeout_ms: int) -> None:
        self._store = store
        self._reader = reader
        self._timeout_ms = timeout_ms
        self._kept_from_us: dict[int, int] = {}  # by seconds of the resolution, as of the last view

    def view(self) -> View:
        """The view of now, the same that readers get."""
        view = self._reader.view()
        self._kept_from_us = {each.seconds: view.kept_from_us[each.name] for each in RESOLUTIONS}
        return view

    def commits(self, after: int, up_to: int | None, *, most_rows: int) -> list[Commit] | None:
        """The commits after a version, ascending, all there are or those up to a version; None when they bring more
        than `most_rows`, or lie so far back that upkeep has deleted their files or their entries.

        A few microseconds when there are none, about 2 ms for each. Raises StoreDamaged.
        """
        commits: list[Commit] = []
        left = most_rows
        version = after + 1
        while up_to is None or version <= up_to:
            files = self._store.scores.table.added(version)
            if files is None:
                if self._store.scores.table.is_cleaned(version - 1):
                    return None
                break
            # Files of older rows only are such that compaction has put together.
            files = [file for file in files if file.bounds["position"][1] >= position_of(version, 0)]
            left -= sum(file.rows for file in files)
            if left < 0 or not all(file.storage.has(file.relative) for file in files):
                return None
            commits.append(_commit(version, files))
            version += 1
        return commits

    def from_now_on(self, view: View, resolution: Resolution, start_us: int) -> list[Bucket]:
        """The buckets that start here or later, of all tickers and scorers."""
        return buckets_of(self._reader.buckets(view, resolution, start_us, MAX_US + 1), resolution)

    def buckets(self, view: View, resolution: Resolution, keys: Collection[BucketKey]) -> list[Bucket]:
        """The buckets of these keys that exist, unordered; about 6 ms where files have to be asked."""
        if not keys:
            return []
        starts = sorted({start_us for _, _, start_us in keys})
        found = [*self._stored(view, resolution, keys, starts), *self._in_tail(view, resolution, keys, starts)]
        return list(merge_all(found).values())

    def touched(self, view: View, after: Place, watch: Watch, *, most_rows: int, most: int) -> dict[Key, Place] | None:
        """The watched buckets that changed after a place, with the places of their last changes, ascending.

        None when more than `most_rows` scores were accepted since, or more than `most` buckets changed.
        """
        rows = self._accepted_since(view, after.version, most_rows)
        if rows is None:
            return None
        params = {**_params(watch), "version": after.version, "nth": after.nth, "limit": most + 1}
        found = _tuples(self._query(_CHANGED_SQL, params, rows=rows))
        return None if len(found) > most else {row[:4]: Place(*row[4:]) for row in found if self.keeps(row[:4])}

    def keeps(self, key: Key) -> bool:
        """Whether the bucket of this key is of a period that is kept at its resolution."""
        return key[3] >= self._kept_from_us.get(key[0], MIN_US)

    def last_nth(self, view: View) -> int:
        """The number of the last change at the view's revision; 0 when it brought no scores."""
        rows = self._accepted_since(view, view.revision, MAX_COMMIT_ROWS)
        return 0 if rows is None else int(self._query(_COUNT_SQL, {}, rows=rows).column(0)[0].as_py())

    def closed(
        self, view: View, watch: Watch, after_us: int, up_to_us: int, *, before_version: int, most: int
    ) -> list[Bucket] | None:
        """The watched buckets that ended in (after, up to] and had their last score before a version; None when there
        are more than `most`."""
        before = position_of(before_version, 0)
        found: list[Bucket] = []
        for resolution in RESOLUTIONS:
            # No interval of this width ended in between, as is most often so.
            if resolution.seconds not in watch.seconds or floor_us(up_to_us, resolution) <= after_us:
                continue
            keys = self._closed_keys(view, watch, resolution, after_us, up_to_us, before, most)
            if len(keys) > most:
                return None
            found += [each for each in self.buckets(view, resolution, keys) if each.last_position < before]
        return found if len(found) <= most else None

    def _closed_keys(
        self, view: View, watch: Watch, resolution: Resolution, after_us: int, up_to_us: int, before: int, most: int
    ) -> set[BucketKey]:
        """The keys of buckets of which that may be true."""
        first_us, last_us = after_us - resolution.width_us + 1, up_to_us - resolution.width_us
        params = {**_params(watch), "first_us": first_us, "last_us": last_us, "before": before, "limit": most + 1}
        del params["seconds"]
        where = (
            "scorer = $scorer AND ($tickers IS NULL OR list_contains($tickers, ticker)) "
            "AND start_us BETWEEN $first_us AND $last_us"
        )
        files = [
            file
            for file in view.bucket_files.get(resolution.name, ())
            if file.bounds["start_us"][0] <= last_us and file.bounds["start_us"][1] >= first_us
        ]
        keys: set[BucketKey] = set()
        if files:
            sql = f"SELECT ticker, scorer, start_us FROM read_parquet($files) WHERE {where} AND last_position < $before"
            keys |= set(_tuples(self._query(f"{sql} LIMIT $limit", {**params, "files": paths(files)})))
        if view.tail_files:
            tail, tail_params, tables = _tail(view)
            start = bucket_start("published_us", resolution)
            sql = f"""SELECT DISTINCT ticker, scorer, start_us FROM (
                SELECT ticker, scorer, {start} AS start_us FROM {tail} WHERE position < $before) WHERE {where}"""
            keys |= set(_tuples(self._query(f"{sql} LIMIT $limit", {**params, **tail_params}, **tables)))
        return keys

    def _stored(
        self, view: View, resolution: Resolution, keys: Collection[BucketKey], starts: Sequence[int]
    ) -> list[Bucket]:
        """What rollups have counted of these buckets; `starts` are the starts in the keys, ascending."""
        files = [file for file in view.bucket_files.get(resolution.name, ()) if _holds_any(file, starts)]
        if not files:
            return []
        tickers, scorers, starts_us = zip(*keys, strict=True)
        rows = self._query(
            f"""SELECT {_BUCKET_COLUMNS} FROM read_parquet($files) SEMI JOIN wanted USING (ticker, scorer, start_us)
            WHERE start_us BETWEEN $first_us AND $last_us""",
            {"files": paths(files), "first_us": starts[0], "last_us": starts[-1]},
            wanted=pa.table({"ticker": tickers, "scorer": scorers, "start_us": pa.array(starts_us, pa.int64())}),
        )
        return buckets_of(rows, resolution)

    def _in_tail(
        self, view: View, resolution: Resolution, keys: Collection[BucketKey], starts: Sequence[int]
    ) -> list[Bucket]:
        """What no rollup has counted of these buckets."""
        first_us, stop_us = starts[0], starts[-1] + resolution.width_us
        tickers = sorted({ticker for ticker, _, _ in keys})
        if not view.tail_files:
            return []
        if view.tail_rows is not None:
            moment = pc.field("published_us")
            asked = (moment >= first_us) & (moment < stop_us) & pc.field("ticker").isin(tickers)
            scores = view.tail_rows.filter(asked)
            if not scores.num_rows:
                return []
            rows = fold_rows(self._store.duck, scores, resolution)
        else:
            tail, params, tables = _tail(view)
            where = "published_us >= $first_us AND published_us < $stop_us AND list_contains($tickers, ticker)"
            folded = fold_sql(f"SELECT *, {ORD} FROM {tail} WHERE {where}", resolution)
            params |= {"first_us": first_us, "stop_us": stop_us, "tickers": tickers}
            rows = self._query(f"SELECT {_BUCKET_COLUMNS} FROM ({folded})", params, **tables).cast(BUCKET_ROW_SCHEMA)
        rows = rows.filter(pc.field("start_us").isin(pa.array(starts, pa.int64())))
        return [each for each in buckets_of(rows, resolution) if (each.ticker, each.scorer, each.start_us) in keys]

    def _accepted_since(self, view: View, version: int, most_rows: int) -> pa.Table | None:
        """The scores accepted at a version and after it, up to the view's; None when they are more than `most_rows`."""
        first = position_of(version, 0)
        if view.dropped_position >= first:
            return None  # some of them were dropped since
        columns = "ticker, scorer, published_us, position"
        if view.tail_rows is not None and version > view.seen:
            rows = view.tail_rows.select(columns.split(", ")).filter(pc.field("position") >= first)
            return rows if rows.num_rows <= most_rows else None
        files = [file for file in view.score_files if file.bounds["position"][1] >= first]
        certain = sum(file.rows for file in files if file.bounds["position"][0] >= first)
        if certain > most_rows:
            return None
        if not files:
            return _COMMIT_SCHEMA.empty_table().select(columns.split(", "))
        rows = self._query(
            f"SELECT {columns} FROM read_parquet($files) WHERE position >= $first LIMIT $limit",
            {"files": paths(files), "first": first, "limit": most_rows + 1},
        )
        return rows if rows.num_rows <= most_rows else None

    def _query(self, sql: str, params: Mapping[str, Any], **tables: pa.Table) -> pa.Table:
        with self._store.duck.cursor() as cursor, cursor.limited(self._timeout_ms):
            for name, table in tables.items():
                cursor.register(name, table)
            rows = cursor.table(sql, params)
        try:
            rows.validate(full=True)  # DuckDB does not look whether the texts of a damaged file are UTF-8
        except pa.ArrowInvalid as error:
            raise StoreDamaged(f"A file of the store cannot be read: {error}") from error
        return rows


def _tail(view: View) -> tuple[str, dict[str, Any], dict[str, pa.Table]]:
    """The scores that no rollup has counted, as SQL with its parameters and tables."""
    if view.tail_rows is not None:
        return "tail", {}, {"tail": view.tail_rows}
    params = {"tail_files": paths(view.tail_files), "tail_from": position_of(view.seen + 1, 0)}
    return f"(SELECT {_FOLD_COLUMNS} FROM read_parquet($tail_files) WHERE position >= $tail_from)", params, {}


def _commit(version: int, files: Sequence[DataFile]) -> Commit:
    scores: list[tuple[Score, int]] = []
    accepted_us = 0
    for path in paths(files):
        rows = read_parquet(path, _COMMIT_SCHEMA)
        scores += scores_of(rows)
        accepted_us = rows.column("accepted_us")[0].as_py()
    return Commit(version, scores, accepted_us)


def _holds_any(file: DataFile, starts: Sequence[int]) -> bool:
    low, high = file.bounds["start_us"]
    place = bisect_left(starts, low)
    return place < len(starts) and starts[place] <= high


def _params(watch: Watch) -> dict[str, Any]:
    return {
        "seconds": sorted(watch.seconds),
        "scorer": watch.scorer,
        "tickers": None if watch.tickers is None else sorted(watch.tickers),
    }


def _tuples(rows: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in rows.columns), strict=True))
