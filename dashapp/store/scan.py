"""Scanning files for a few tickers: only the row groups that can hold them are read.

Files are sorted by ticker, so a ticker's day lies in one or two of the ten row groups of its file. Reading those
straight with Arrow takes a third of the time of a query, which has to be planned and looks at every row group
(measured on 100 tickers, one ticker's day of 1m: 2 ms against 8 ms).
"""

from __future__ import annotations

import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dashapp.errors import StoreDamaged, StoreError
from dashapp.model.time import MAX_US, MIN_US
from dashapp.store.durable import CHECKED
from dashapp.store.order import in_order
from dashapp.store.schema import BUCKET_ROW_SCHEMA
from dashapp.store.storage import cause
from dashapp.store.tables import DataFile, paths

# What the footers of this many files say is kept; a footer takes about 50 KB.
_FOOTERS = 2_000
# More row groups than this are decoded by several threads, a column each; for fewer that costs more than it gains.
_FEW_GROUPS = 3
# Texts that recur in nearly every row: read as numbers of a dictionary, 0.5 ms less each for a row group. (Texts in
# lists cannot be, where several row groups have a dictionary each.)
_RECURRING = ("ticker", "scorer")
_LAST_TEXT = chr(sys.maxunicode)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows: of these tickers, by this scorer, each any for None, with their moment in [start_us, end_us)."""

    tickers: Collection[str] | None
    scorer: str | None
    start_us: int
    end_us: int


@dataclass(frozen=True, slots=True)
class _Footer:
    metadata: pq.FileMetaData
    tickers: tuple[tuple[str, str], ...]  # lowest and highest of each row group
    moments_us: tuple[tuple[int, int], ...]


class Scanner:
    """Reads files of one table, of buckets or of scores; safe for use by several threads."""

    def __init__(self, schema: pa.Schema = BUCKET_ROW_SCHEMA, moment: str = "start_us") -> None:
        """`moment` is the column that holds a row's time."""
        self._schema = schema
        self._moment = moment
        self._lock = threading.Lock()
        self._footers: OrderedDict[str, _Footer] = OrderedDict()

    def rows(self, files: Sequence[DataFile], wanted: Wanted, columns: Sequence[str], *, timeout_ms: int) -> pa.Table:
        """The rows wanted, by ticker, scorer and moment: `columns` of the schema, the moment among them.

        1 to 2 ms a file. Raises StoreDamaged, and StoreError when it takes longer than `timeout_ms`.
        """
        deadline_s = time.monotonic() + timeout_ms / 1000
        read = list(dict.fromkeys(["ticker", "scorer", self._moment, *columns]))
        found = []
        for path in paths(files):
            if time.monotonic() > deadline_s:
                raise StoreError("The query took too long and was stopped; ask for a shorter range.")
            try:
                rows = self._of_file(path, wanted, read)
                if rows is not None:
                    rows = rows.select(read)
                    # Nobody has looked yet whether the texts of a damaged file are UTF-8.
                    rows.validate(full=True)
            except (pa.ArrowException, OSError, KeyError, UnicodeDecodeError) as error:
                raise StoreDamaged(f"A file of the store cannot be read: {path}: {cause(error)}.") from error
            if rows is not None:
                found.append(rows)
        if not found:
            return pa.schema([self._schema.field(name) for name in columns]).empty_table()
        rows = found[0] if len(found) == 1 else in_order(pa.concat_tables(found), self._moment)
        return rows.select(columns)

    def _of_file(self, path: str, wanted: Wanted, columns: Sequence[str]) -> pa.Table | None:
        footer = self._footer(path)
        groups = [
            number
            for number, ((low, high), (first_us, last_us)) in enumerate(
                zip(footer.tickers, footer.moments_us, strict=True)
            )
            if first_us < wanted.end_us
            and last_us >= wanted.start_us
            and (wanted.tickers is None or any(low <= ticker <= high for ticker in wanted.tickers))
        ]
        if not groups:
            return None
        options = {"metadata": footer.metadata, "read_dictionary": _RECURRING, **CHECKED}
        with pq.ParquetFile(path, **options) as file:
            rows = file.read_row_groups(groups, columns=columns, use_threads=len(groups) > _FEW_GROUPS).combine_chunks()
        kept = np.flatnonzero(_matches(rows, wanted, self._moment))
        if not len(kept):
            return None
        first, last = int(kept[0]), int(kept[-1])
        rows = rows.slice(first, last - first + 1) if last - first + 1 == len(kept) else rows.take(pa.array(kept))
        # The column types of the schema, no dictionaries.
        return rows.cast(pa.schema([self._schema.field(name) for name in rows.column_names]))

    def _footer(self, path: str) -> _Footer:
        with self._lock:
            held = self._footers.get(path)
            if held is not None:
                self._footers.move_to_end(path)
                return held
        metadata = pq.read_metadata(path)
        columns = {metadata.schema.column(number).path: number for number in range(metadata.num_columns)}
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        footer = _Footer(
            metadata,
            tuple(_bounds(group.column(columns["ticker"]), "", _LAST_TEXT) for group in groups),
            tuple(_bounds(group.column(columns[self._moment]), MIN_US, MAX_US) for group in groups),
        )
        with self._lock:
            self._footers[path] = footer
            while len(self._footers) > _FOOTERS:
                self._footers.popitem(last=False)
        return footer


def _bounds(column: pq.ColumnChunkMetaData, lowest: T, highest: T) -> tuple[T, T]:
    """The bounds of a row group's column; where another writer kept none, those of all values."""
    statistics = column.statistics
    if statistics is None or not statistics.has_min_max:
        return lowest, highest
    return statistics.min, statistics.max


def _matches(rows: pa.Table, wanted: Wanted, moment: str) -> NDArray[np.bool_]:
    moments_us = rows.column(moment).to_numpy()
    matches: NDArray[np.bool_] = (moments_us >= wanted.start_us) & (moments_us < wanted.end_us)
    if wanted.tickers is not None:
        matches &= _is_one_of(rows.column("ticker"), wanted.tickers)
    if wanted.scorer is not None:
        matches &= _is_one_of(rows.column("scorer"), (wanted.scorer,))
    return matches


def _is_one_of(column: pa.ChunkedArray, texts: Collection[str]) -> NDArray[np.bool_]:
    encoded = column.combine_chunks()
    named = np.array([text in texts for text in encoded.dictionary.to_pylist()], dtype=bool)
    matches: NDArray[np.bool_] = named[encoded.indices.to_numpy()]
    return matches
