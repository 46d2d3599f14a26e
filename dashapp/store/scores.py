"""The scores table: one row per (item, ticker, scorer), partitioned by published UTC date.

Its version is the clock of the system: every accepted batch makes the next one. Within a commit rows are ordered by
ticker, scorer, published time and item id, and their positions rise in that order.

Retention drops the oldest dates. What was published before the seal is then told by its buckets alone, so it takes
nothing more unless it is reopened; hashes of the identities that were dropped are kept, in files of their own.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dashapp.model.score import LABEL_THRESHOLD_E6, MAX_COMMIT_ROWS, POSITION_BITS, Score, position_of
from dashapp.model.time import MIN_US, US_PER_DAY, date_of
from dashapp.store.attempts import committed
from dashapp.store.duck import Duck
from dashapp.store.durable import read_parquet
from dashapp.store.keys import KeyIndex, Keys, key_of, run_files
from dashapp.store.locks import exclusive
from dashapp.store.migrations import FORMAT, FORMAT_NAME
from dashapp.store.schema import SCORE_INPUT_SCHEMA, SCORE_TABLE_SCHEMA
from dashapp.store.storage import Storage, Unwritten
from dashapp.store.tables import DataFile, NewFile, Table, paths

IDENTITY = ("item_id", "ticker", "scorer")

# 31 is the unit separator: no id, ticker or scorer may hold it, so two different identities never make one text.
# `dashapp.store.keys.key_of` is the same in Python.
_KEYS_SQL = "SELECT md5_number_lower(item_id || chr(31) || ticker || chr(31) || scorer) AS key FROM "
# Up to here Python hashes faster than DuckDB gets ready to (4 ms, a third of a live commit).
_FEW_ROWS = 1_000
_COMMIT_ATTEMPTS = 20
# Scores whose keys are read at once, by whoever finds no index: 100 million would take gigabytes.
_CATCH_UP_ROWS = 4_000_000

# Positions of this version still fit their column.
LAST_VERSION = (1 << 42) - 1
# Recorded with the commits that drop scores: the moment before which scores were dropped, the highest position among
# those dropped, and the version of the newest such commit.
SEALED, _DROPPED, _DROPPED_AT = "sealed", "dropped", "dropped-at"
# Where the hashes of dropped identities are kept, and of which version; not in `keys/`, which can be made from the
# table and these.
_DROPPED_KEYS = re.compile(r"_dropped/([0-9]{20})-[0-9a-f-]{36}\.parquet")
# Scores hashed at once when they are dropped.
_PORTION_ROWS = 5_000_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of a batch: `duplicate[i]` tells whether row i was known already, `sealed[i]` whether it was refused
    since its period is sealed; version is None when nothing was new."""

    version: int | None
    duplicate: NDArray[np.bool_]
    sealed: NDArray[np.bool_]

    @property
    def fresh(self) -> NDArray[np.bool_]:
        """Which rows are new and durable."""
        return ~(self.duplicate | self.sealed)

    @property
    def accepted(self) -> int:
        """How many are."""
        return int(self.fresh.sum())


@dataclass(frozen=True, slots=True)
class Dropped:
    """How many scores and files were dropped."""

    scores: int = 0
    files: int = 0


class ScoresTable:
    """The scores of a store; not safe for use by several threads at once."""

    def __init__(self, storage: Storage, data_dir: Path, duck: Duck, *, create: bool) -> None:
        self._data_dir = data_dir
        self._duck = duck
        self._keys: KeyIndex | None = None  # only writers need it
        self.table = Table(
            storage,
            SCORE_TABLE_SCHEMA,
            partition_by=["date"],
            bounded=["position", "published_us"],
            compression="zstd",  # texts, kept for ever
            create=create,
            transactions={FORMAT_NAME: FORMAT},
        )

    @property
    def version(self) -> int:
        """The version of the snapshot held."""
        return self.table.version

    @property
    def sealed_us(self) -> int:
        """The start of the first date of which every score is here: those before are sealed; MIN_US at first."""
        sealed_us = self.table.transaction_version(SEALED)
        return MIN_US if sealed_us is None else sealed_us

    @property
    def dropped_position(self) -> int:
        """The highest position among the scores that were dropped; -1 when none were."""
        position = self.table.transaction_version(_DROPPED)
        return -1 if position is None else position

    def append(self, rows: pa.Table, *, accepted_us: int, reopen: bool = False) -> Appended:
        """Store the rows that are new, durable on return; rows are of SCORE_INPUT_SCHEMA, at most MAX_COMMIT_ROWS.

        Of rows with the same identity the first counts, in the batch as in the store. Rows of a sealed period are
        refused, unless it is to `reopen`: then they are added to what its buckets hold. Raises StoreNotWritable, or
        CommitConflict when other writers kept winning; nothing was stored then. About 10 ms and a flush to the disk.
        """
        if rows.num_rows > MAX_COMMIT_ROWS:
            raise ValueError(f"{rows.num_rows} rows in one commit; at most {MAX_COMMIT_ROWS} are allowed")
        rows = rows.cast(SCORE_INPUT_SCHEMA)
        if rows.num_rows == 0:
            return Appended(None, np.zeros(0, dtype=np.bool_), np.zeros(0, dtype=np.bool_))
        keys = self._keys_of(rows)
        return self._committed(lambda: self._append_once(rows, keys, accepted_us, reopen=reopen))

    def drop(self, before_us: int, *, counted: int) -> Dropped | None:
        """Drop the scores published before a moment, the start of a date, and seal their period, in one commit.

        Every one of them must be in the buckets, which count up to the version `counted`: None when some are not, and
        nothing is changed then. Raises StoreNotWritable, CommitConflict.
        """
        return self._committed(lambda: self._drop_once(before_us, counted))

    def _committed(self, attempt: Callable[[], T]) -> T:
        return committed(self._data_dir, "scores.lock", _COMMIT_ATTEMPTS, attempt)

    def expired(self, before_us: int) -> list[DataFile]:
        """The files of the snapshot held that have the scores published before a moment, the start of a date."""
        return [file for file in self.table.files() if file.partition["date"] < date_of(before_us)]

    def files_after(self, version: int) -> tuple[DataFile, ...]:
        """The files that hold rows accepted after this version (and, once compacted, older rows as well)."""
        first = position_of(version + 1, 0)
        return tuple(file for file in self.table.files() if file.bounds["position"][1] >= first)

    def damaged_runs(self) -> list[Path]:
        """The files of the index of keys that do not say what the snapshot held says; nothing is changed.

        Files of versions that are yet to come are of another moment of the store, which the index finds out by itself.
        """
        dropped = self._dropped_keys(0, LAST_VERSION)
        found = []
        for run in run_files(self._index_folder()):
            first, stop = position_of(run.first, 0), position_of(run.last + 1, 0)
            files = [
                file
                for file in self.table.files()
                if file.bounds["position"][0] < stop and file.bounds["position"][1] >= first
            ]
            stored = self._keys_in(files, run.first, run.last)
            if run.last <= self.table.version and not run.holds(stored, dropped) and run.path.exists():
                found.append(run.path)
        return found

    def give_up(self, names: Collection[str]) -> int:
        """Take files that cannot be read out of the table, in one commit; returns how many scores are lost with them.

        For a repair: whoever has the table open knows an index of keys that still has theirs. Raises StoreNotWritable,
        CommitConflict.
        """
        with exclusive(self._data_dir / "locks" / "scores.lock"):
            self.table.refresh()
            files = [file for file in self.table.files() if file.relative in names]
            lost = sum(file.rows for file in files)
            self.table.commit([], files, metadata={"lost": lost})
        return lost

    def _index_folder(self) -> Path:
        return self._data_dir / "keys" / self.table.identity

    def _keys_of(self, rows: pa.Table) -> Keys:
        if rows.num_rows <= _FEW_ROWS:
            identities = zip(*(rows.column(name).to_pylist() for name in IDENTITY), strict=True)
            return np.fromiter((key_of(*each) for each in identities), dtype=np.uint64, count=rows.num_rows)
        with self._duck.cursor() as cursor:
            cursor.register("batch", rows)
            keys: Keys = cursor.table(_KEYS_SQL + "batch").column("key").to_numpy()
        return keys

    def _drop_once(self, before_us: int, counted: int) -> Dropped | None:
        self.table.refresh()
        files = self.expired(before_us)
        if any(file.bounds["position"][1] >= position_of(counted + 1, 0) for file in files):
            return None
        if not files:
            return Dropped()
        version = self.table.version + 1
        # A process that is killed before its commit leaves hashes of scores that are still stored, which harms nobody.
        hashes = [
            Unwritten(
                f"_dropped/{version:020d}-{uuid.uuid4()}.parquet", pa.table({"key": np.sort(self._keys_in(portion))})
            )
            for portion in _portions(files)
        ]
        self.table.storage.write(hashes, compression="zstd")
        last = max(files, key=lambda file: file.partition["date"])
        sealed_us = last.bounds["published_us"][0] // US_PER_DAY * US_PER_DAY + US_PER_DAY
        scores = sum(file.rows for file in files)
        self.table.commit(
            [],
            files,
            metadata={"dropped": scores},
            transactions={
                SEALED: max(self.sealed_us, sealed_us),
                _DROPPED: max(self.dropped_position, *(file.bounds["position"][1] for file in files)),
                _DROPPED_AT: version,
            },
        )
        return Dropped(scores, len(files))

    def _append_once(self, rows: pa.Table, keys: Keys, accepted_us: int, *, reopen: bool) -> Appended:
        self.table.refresh()
        index = self._caught_up_index()
        duplicate = _repeated(rows, keys)
        suspects = np.flatnonzero(index.contains(keys) & ~duplicate)
        if self.dropped_position >= 0:
            # What was dropped cannot be asked any more. That two identities have one hash of 64 bits is less likely,
            # with a thousand million of them stored, than one in ten thousand millions for each row.
            duplicate[suspects] = True
        elif len(suspects):
            duplicate[suspects[self._stored(rows.take(pa.array(suspects)))]] = True
        sealed = np.zeros(len(keys), dtype=np.bool_)
        if not reopen:
            sealed = (rows.column("published_us").to_numpy() < self.sealed_us) & ~duplicate
        fresh = np.flatnonzero(~(duplicate | sealed))
        if len(fresh) == 0:
            self.table.flush()  # what is known already is as durable as what is new
            return Appended(None, duplicate, sealed)
        version = self.table.version + 1
        written = self.table.write(_partitioned(rows.take(pa.array(fresh)), version, accepted_us))
        self.table.commit(written, metadata={"accepted": len(fresh)})
        index.add(version, keys[fresh])
        return Appended(version, duplicate, sealed)

    def _caught_up_index(self) -> KeyIndex:
        if self._keys is None:
            self._keys = KeyIndex(self._index_folder())
        if self._keys.version > self.table.version:
            # The table was replaced by an older one: the index is not of it.
            self._keys = self._keys.emptied()
        while self._keys.version < self.table.version:
            first, last, files = self._missed(self._keys.version)
            missed = [self._keys_in(files, first, last)]
            if (self.table.transaction_version(_DROPPED_AT) or 0) >= first:
                missed.append(self._dropped_keys(first, last))
            self._keys.add(last, np.concatenate(missed))
        return self._keys

    def _missed(self, version: int) -> tuple[int, int, list[DataFile]]:
        """What to catch up with after a version: the first and last of some versions, up to the snapshot's, and the
        files that hold rows of them; about _CATCH_UP_ROWS at most, unless they are one version's."""
        files = sorted(self.files_after(version), key=lambda file: file.bounds["position"][1])
        rows, last = 0, self.table.version
        for file in files:
            rows += file.rows
            if rows > _CATCH_UP_ROWS:
                last = file.bounds["position"][1] >> POSITION_BITS
                break
        stop = position_of(last + 1, 0)
        return version + 1, last, [file for file in files if file.bounds["position"][0] < stop]

    def _keys_in(self, files: Sequence[DataFile], first: int = 0, last: int = LAST_VERSION) -> Keys:
        """The keys of the scores in files that were accepted at these versions."""
        if not files:
            return np.zeros(0, dtype=np.uint64)
        sql = _KEYS_SQL + "read_parquet($files) WHERE position >= $first AND position < $stop"
        params = {"files": paths(files), "first": position_of(first, 0), "stop": position_of(last + 1, 0)}
        with self._duck.cursor() as cursor:
            keys: Keys = cursor.table(sql, params).column("key").to_numpy()
        return keys

    def _dropped_keys(self, first: int, last: int) -> Keys:
        """The keys of the scores that the commits of these versions dropped."""
        found = [(file.name, _DROPPED_KEYS.fullmatch(file.name)) for file in self.table.storage.data_files()]
        names = [name for name, match in found if match and first <= int(match[1]) <= last]
        schema = pa.schema([pa.field("key", pa.uint64())])
        tables = [read_parquet(path, schema) for path in self.table.storage.local(names)]
        return pa.concat_tables(tables).column("key").to_numpy() if tables else np.zeros(0, dtype=np.uint64)

    def _stored(self, rows: pa.Table) -> NDArray[np.bool_]:
        """Which of the rows the table holds, by their full identity."""
        found = np.zeros(rows.num_rows, dtype=np.bool_)
        dates = set(np.unique(_dates(rows)).astype(str).tolist())
        files = self.table.files()
        here = [file for file in files if file.partition["date"] in dates]
        elsewhere = [file for file in files if file.partition["date"] not in dates]
        # Nearly every repeat has the date it had the first time; only what is not found there is looked for everywhere.
        for asked in (here, elsewhere):
            missing = np.flatnonzero(~found)
            if len(missing) and asked:
                found[missing[self._held(rows.take(pa.array(missing)), asked)]] = True
        return found

    def _held(self, rows: pa.Table, files: Sequence[DataFile]) -> NDArray[np.int64]:
        wanted = rows.select(IDENTITY).append_column("row", pa.array(range(rows.num_rows), pa.int64()))
        with self._duck.cursor() as cursor:
            cursor.register("wanted", wanted)
            # Reading only the wanted tickers lets whole row groups be skipped.
            tickers = pc.unique(rows.column("ticker")).to_pylist()
            held = cursor.table(
                "SELECT DISTINCT row FROM wanted SEMI JOIN "
                "(SELECT item_id, ticker, scorer FROM read_parquet($files) "
                "WHERE list_contains($tickers, ticker)) AS stored "
                "USING (item_id, ticker, scorer)",
                {"files": paths(files), "tickers": tickers},
            )
        return np.asarray(held.column("row").to_numpy(), dtype=np.int64)


def scores_to_arrow(scores: Sequence[Score]) -> pa.Table:
    """Scores as rows of SCORE_INPUT_SCHEMA, in their order."""
    return pa.table(
        {name: [getattr(score, name) for score in scores] for name in SCORE_INPUT_SCHEMA.names},
        schema=SCORE_INPUT_SCHEMA,
    )


def scores_from_arrow(rows: pa.Table) -> list[Score]:
    """Rows of SCORE_INPUT_SCHEMA as scores, in their order."""
    return [Score(**row) for row in rows.select(SCORE_INPUT_SCHEMA.names).to_pylist()]


def join_scores(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of several tables of SCORE_INPUT_SCHEMA, in order."""
    return pa.concat_tables(tables) if tables else SCORE_INPUT_SCHEMA.empty_table()


def take_scores(scores: pa.Table, rows: NDArray[np.int64]) -> pa.Table:
    """These rows, in this order."""
    return scores.take(pa.array(rows))


def _portions(files: Sequence[DataFile]) -> Iterator[list[DataFile]]:
    """The files in groups of bounded size."""
    portion: list[DataFile] = []
    for file in files:
        if portion and sum(each.rows for each in portion) + file.rows > _PORTION_ROWS:
            yield portion
            portion = []
        portion.append(file)
    yield portion


def _repeated(rows: pa.Table, keys: Keys) -> NDArray[np.bool_]:
    """Which rows repeat the identity of an earlier row of the same batch."""
    repeated = np.zeros(len(keys), dtype=np.bool_)
    _, first = np.unique(keys, return_index=True)
    if len(first) == len(keys):
        return repeated
    seen: set[tuple[str, ...]] = set()
    # Equal keys are few; only their rows are compared in full.
    values, counts = np.unique(keys, return_counts=True)
    shared = np.flatnonzero(np.isin(keys, values[counts > 1]))
    columns = [rows.column(name).take(pa.array(shared)).to_pylist() for name in IDENTITY]
    for row, identity in zip(shared, zip(*columns, strict=True), strict=True):
        repeated[row] = identity in seen
        seen.add(identity)
    return repeated


def _dates(rows: pa.Table) -> NDArray[np.datetime64]:
    published_us: NDArray[np.int64] = rows.column("published_us").to_numpy()
    return np.floor_divide(published_us, US_PER_DAY).astype("datetime64[D]")


def _partitioned(rows: pa.Table, version: int, accepted_us: int) -> list[NewFile]:
    """The rows with position, acceptance time and label, one file per published date."""
    score_e6 = rows.column("score_e6")
    label = pc.if_else(
        pc.greater_equal(score_e6, LABEL_THRESHOLD_E6),
        "positive",
        pc.if_else(pc.less_equal(score_e6, -LABEL_THRESHOLD_E6), "negative", "neutral"),
    )
    rows = rows.append_column("label", label).append_column("date", pa.array(_dates(rows)))
    rows = rows.sort_by([(name, "ascending") for name in ("date", "ticker", "scorer", "published_us", "item_id")])
    rows = rows.append_column("accepted_us", pa.array(np.full(rows.num_rows, accepted_us, dtype=np.int64)))
    positions = np.arange(rows.num_rows, dtype=np.int64) + position_of(version, 0)
    rows = rows.append_column("position", pa.array(positions))
    dates = rows.column("date").to_numpy()
    starts = np.flatnonzero(np.concatenate([[True], dates[1:] != dates[:-1]]))
    columns = [name for name in SCORE_TABLE_SCHEMA.names if name != "date"]
    data = rows.select(columns)
    return [
        NewFile({"date": str(dates[start])}, data.slice(start, stop - start))
        for start, stop in zip(starts, [*starts[1:], rows.num_rows], strict=True)
    ]
