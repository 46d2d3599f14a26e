"""The buckets table: the folded scores at all eight resolutions, partitioned by resolution and period.

Each commit replaces the partitions it touched, of all resolutions at once, and records up to which version of the
scores table the buckets count (`seen`). A row is one `dashapp.model.bucket.Bucket`.

Buckets that start before the seal of the scores table are all that is left of their scores: no commit may take from
them. Retention drops the oldest periods of a resolution; before what was dropped it has no buckets any more.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake.transaction import AddAction

from dashapp.errors import SealedBucketsLost, StoreDamaged
from dashapp.model.resolution import RESOLUTIONS, Resolution, parse_resolution, period_of
from dashapp.model.time import MIN_US
from dashapp.store.durable import read_parquet
from dashapp.store.merge import merge_partition
from dashapp.store.order import in_order
from dashapp.store.schema import BUCKET_ROW_SCHEMA, BUCKET_TABLE_SCHEMA, ENCODED_BUCKET_ROW_SCHEMA
from dashapp.store.storage import Storage
from dashapp.store.tables import DataFile, NewFile, Table, paths

# Recorded with each commit: the version of the scores table up to which the buckets count.
ROLLUP = "rollup"
# Recorded with the commits that drop periods, by resolution: the start of the first bucket that is kept.
_KEPT_FROM = "kept-from {}"

# A year of 12h of 500 tickers is 365,000 rows, of which a refresh touches the newest thousand, and a day of 1m of 100
# tickers 130,000, of which it touches the last minutes. So what has about this many rows is not added to: what is later
# makes a file of its own, and only files that are touched are written anew. (Measured: a refresh after 1,000 live
# scores takes half as long.) Fewer rows make more files to be read for one ticker, and months of 1h are asked for more
# often than years of 12h. Of a day the newest file grows, too, until it has as many rows as all before it, and a day
# that is over is put together again.
_PIECE_ROWS = {"day": 49_152, "month": 131_072, "year": 32_768}
# What comes in larger numbers is cut by time into files of that size, but for days: nothing will be added to most of
# those that a full rollup makes, and cutting them takes a tenth of it.
_CUT = ("month", "year")

# A ticker's part of a month of 1h is 700 rows at most: in a row group of the usual size there are those of ten others.
# Ten tickers, 30 days of 1h, out of 500: half the time of the usual size, for files that are 5 % larger. (Smaller ones
# gain a tenth more, but then the footer, which is read anew after each rollup, takes longer than the rows.)
_MONTH_GROUP_ROWS = 1_024
# Of a day of 1m that has grown to three files a ticker has 500 rows in each, and of a day of 5m or 10m fewer still. Ten
# tickers of such a day of 1m out of 100: 30 ms instead of 44, and 27 where it is one file.
_SMALL_DAY_GROUP_ROWS = 4_096

_BY_DAY = {each.name for each in RESOLUTIONS if each.period_kind == "day"}
_SEALED_SCHEMA = pa.schema([BUCKET_ROW_SCHEMA.field(name) for name in ("start_us", "count")])


@dataclass(frozen=True, slots=True)
class Written:
    """Files on the disk that are not part of the table yet, the names of those they will replace, and how many new
    buckets they hold."""

    actions: list[AddAction]
    replaced: list[str]
    buckets: int


class BucketsTable:
    """The buckets of a store; not safe for use by several threads at once."""

    def __init__(self, storage: Storage, *, create: bool) -> None:
        self._seen = (-1, 0)  # at a version: to ask the table takes a request where it lies far away
        self.table = Table(
            storage,
            BUCKET_TABLE_SCHEMA,
            partition_by=["resolution", "period"],
            bounded=["start_us", "last_position"],
            # Read at every turn of a page and written anew by every rollup: snappy is read twice as fast as zstd and
            # written in three quarters of the time, for a third more bytes (measured on a day of 130,000 buckets).
            compression="snappy",
            create=create,
        )

    @property
    def seen(self) -> int:
        """The version of the scores table up to which the buckets of the snapshot held count; 0, the empty one, at
        first."""
        if self._seen[0] != self.table.version:
            self._seen = (self.table.version, self.table.transaction_version(ROLLUP) or 0)
        return self._seen[1]

    def files_of(self, resolution: Resolution, periods: Collection[str]) -> tuple[DataFile, ...]:
        """The files of some partitions."""
        return tuple(
            file
            for file in self.table.files()
            if file.partition["resolution"] == resolution.name and file.partition["period"] in periods
        )

    def kept_from_us(self) -> dict[str, int]:
        """By resolution the start of the first bucket that retention has kept; MIN_US where nothing was dropped."""
        found = {each.name: self.table.transaction_version(_KEPT_FROM.format(each.name)) for each in RESOLUTIONS}
        return {name: MIN_US if start_us is None else start_us for name, start_us in found.items()}

    def write(self, resolution: Resolution, new: Sequence[NewFile], *, merge: bool, sealed_us: int = MIN_US) -> Written:
        """Write new buckets as files of their partitions, merged with what is stored there.

        Unless `merge`, that is with what is sealed: stored buckets that start at `sealed_us` or later are forgotten.
        New buckets of periods that retention has dropped are left out. Nothing is seen of them before `commit`, nor
        are they durable before that or `Storage.settle`. Safe for use by several threads, for different partitions.
        """
        kept_from = period_of(self.kept_from_us()[resolution.name], resolution)
        replaced: list[str] = []
        files = []
        for file in new:
            if file.partition["period"] < kept_from:
                continue
            old = self.files_of(resolution, {file.partition["period"]})
            if merge:
                stretches = _stretches(old, file.rows, resolution)
            else:
                stretches = [([each for each in old if each.bounds["start_us"][0] < sealed_us], file.rows)]
            for held, rows in stretches:
                replaced += [each.relative for each in held]
                merged = _merged(held, rows, resolution, None if merge else sealed_us)
                files += [
                    NewFile(file.partition, piece, _group_rows(piece, resolution))
                    for piece in _pieces(merged, resolution)
                ]
        return Written(self.table.write(files, settled=False), replaced, sum(file.rows.num_rows for file in new))

    def joined(self, before: str, touched: Collection[str]) -> list[Written]:
        """Write the files of a day that has grown to several as one for each resolution: those of the earliest such day
        before a period. Nothing is seen of them before `commit`.

        Periods that are `touched` by the same commit have their turn another time, and so has a day with a file that
        cannot be read: who checks the store is told of it. Raises StoreNotWritable.
        """
        grown: dict[str, dict[str, list[DataFile]]] = {}
        for file in self.table.files():
            period, name = file.partition["period"], file.partition["resolution"]
            if name in _BY_DAY and period < before and period not in touched:
                grown.setdefault(period, {}).setdefault(name, []).append(file)
        for _, of_day in sorted(grown.items()):
            several = [files for files in of_day.values() if len(files) > 1]
            with contextlib.suppress(StoreDamaged):
                if several:
                    return [self._as_one(files) for files in several]
        return []

    def _as_one(self, files: Sequence[DataFile]) -> Written:
        parts = [read_parquet(path, ENCODED_BUCKET_ROW_SCHEMA) for path in paths(files)]
        rows = in_order(pa.concat_tables(parts).unify_dictionaries())
        resolution = parse_resolution(files[0].partition["resolution"])
        new = NewFile(files[0].partition, rows, _group_rows(rows, resolution))
        return Written(self.table.write([new]), [file.relative for file in files], 0)

    def commit(
        self, written: Sequence[AddAction], replaced: Sequence[DataFile], *, seen: int, sealed_us: int = MIN_US
    ) -> int:
        """Put written files in the place of others, in one commit; returns the version of the buckets table.

        Raises SealedBucketsLost when buckets that start before `sealed_us` would hold less than before, and
        CommitConflict when another rollup committed first; nothing is changed then.
        """
        self._require_sealed(written, replaced, sealed_us)
        return self.table.commit(written, replaced, metadata={"scores_version": seen}, transactions={ROLLUP: seen})

    def drop(self, kept_from_us: Mapping[Resolution, int]) -> list[DataFile]:
        """Drop the periods before these moments, each the start of a period, in one commit; returns their files.

        Raises CommitConflict, StoreNotWritable.
        """
        files: list[DataFile] = []
        moved: dict[str, int] = {}
        for resolution, start_us in kept_from_us.items():
            kept_from = period_of(start_us, resolution)
            expired = [
                file
                for file in self.table.files()
                if file.partition["resolution"] == resolution.name and file.partition["period"] < kept_from
            ]
            if expired:
                moved[_KEPT_FROM.format(resolution.name)] = start_us
                files += expired
        if files:
            self.table.commit([], files, metadata={"dropped": len(files)}, transactions=moved)
        return files

    def _require_sealed(self, written: Sequence[AddAction], replaced: Sequence[DataFile], sealed_us: int) -> None:
        """Raise SealedBucketsLost when files hold less before a moment than those they replace."""
        lost = self._sealed(
            ((file.partition, file.relative) for file in replaced if file.bounds["start_us"][0] < sealed_us), sealed_us
        )
        if not lost:
            return
        begins = ((json.loads(action.stats)["minValues"]["start_us"], action) for action in written)
        lost.subtract(
            self._sealed(
                ((action.partition_values, action.path) for start_us, action in begins if start_us < sealed_us),
                sealed_us,
            )
        )
        for (resolution, period, what), number in lost.items():
            if number > 0:
                raise SealedBucketsLost(
                    f"The {resolution} buckets of {period} would have {number:,} {what} less than is stored, and the "
                    "scores to make them from were dropped. Nothing was changed."
                )

    def _sealed(
        self, files: Iterable[tuple[Mapping[str, str | None], str]], sealed_us: int
    ) -> Counter[tuple[str, str, str]]:
        """How many buckets and scores files, given with their partitions, hold before a moment."""
        found: Counter[tuple[str, str, str]] = Counter()
        for partition, name in files:
            (path,) = self.table.storage.local([name])
            sealed = read_parquet(path, _SEALED_SCHEMA).filter(pc.field("start_us") < sealed_us)
            key = str(partition["resolution"]), str(partition["period"])
            found[*key, "buckets"] += sealed.num_rows
            found[*key, "scores"] += pc.sum(sealed.column("count")).as_py() or 0
        return found


def _merged(held: Sequence[DataFile], rows: pa.Table, resolution: Resolution, before_us: int | None) -> pa.Table:
    """New rows with the stored ones of some files, or with those that start before a moment."""
    if not held:
        return rows
    stored = pa.concat_tables([read_parquet(path, ENCODED_BUCKET_ROW_SCHEMA) for path in paths(held)])
    if before_us is not None:
        stored = stored.filter(pc.field("start_us") < before_us)
    return merge_partition(stored, rows.cast(BUCKET_ROW_SCHEMA), resolution)


def _stretches(
    files: Sequence[DataFile], rows: pa.Table, resolution: Resolution
) -> list[tuple[list[DataFile], pa.Table]]:
    """New rows of a partition with the stored files that they have to be merged with, stretch by stretch of time.

    Every stored bucket with the key of a new row is in a file of the same stretch. What comes after a last file that is
    large already, or before a first one, makes a file of its own.
    """
    groups: list[list[DataFile]] = []
    last_us = int(MIN_US)
    for file in sorted(files, key=lambda file: file.bounds["start_us"]):
        if groups and file.bounds["start_us"][0] <= last_us:
            groups[-1].append(file)
        else:
            groups.append([file])
        last_us = max(last_us, file.bounds["start_us"][1])
    if not groups:
        return [([], rows)]
    starts_us = rows.column("start_us").to_numpy()
    firsts_us = [group[0].bounds["start_us"][0] for group in groups]
    number = np.searchsorted(firsts_us, starts_us, side="right") - 1
    sizes = [sum(file.rows for file in group) for group in groups]
    least = _PIECE_ROWS[resolution.period_kind]
    first_is_large = sizes[0] >= least
    # A day of many tickers may not have a file for each hour: as many as times it doubles.
    last_is_large = sizes[-1] >= (max(least, sum(sizes[:-1])) if resolution.period_kind == "day" else least)
    if not first_is_large:
        number = np.maximum(number, 0)
    if last_is_large:
        number[starts_us > last_us] = len(groups)
    held = {-1: [], len(groups): [], **dict(enumerate(groups))}
    return [(held[each], rows.filter(pa.array(number == each))) for each in np.unique(number).tolist()]


def _pieces(rows: pa.Table, resolution: Resolution) -> list[pa.Table]:
    """Rows of a partition, cut by time into files."""
    count = rows.num_rows // _PIECE_ROWS[resolution.period_kind]
    if count < 2 or resolution.period_kind not in _CUT:
        return [rows]
    starts_us = rows.column("start_us").to_numpy()
    places = [len(starts_us) * number // count for number in range(1, count)]
    cuts_us = np.unique(np.partition(starts_us, places)[places])
    piece = np.searchsorted(cuts_us, starts_us, side="right")
    return [rows.filter(pa.array(piece == each)) for each in np.unique(piece)]


def _group_rows(piece: pa.Table, resolution: Resolution) -> int | None:
    """How many rows a row group of a file has, where it is not the usual number."""
    if resolution.period_kind == "month":
        return _MONTH_GROUP_ROWS
    if resolution.period_kind == "day" and piece.num_rows < 2 * _PIECE_ROWS["day"]:
        return _SMALL_DAY_GROUP_ROWS
    return None


def partition_of(start_us: int, resolution: Resolution) -> dict[str, str]:
    """The partition that holds the bucket starting here."""
    return {"resolution": resolution.name, "period": period_of(start_us, resolution)}
