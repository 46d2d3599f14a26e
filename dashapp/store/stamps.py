"""Stamps: whether an answer can have changed, told from what a view holds in memory, without reading anything."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence

import pyarrow as pa

from dashapp.model.resolution import Resolution
from dashapp.model.score import position_of
from dashapp.store.index import BucketIndex
from dashapp.store.reader import View

# By (ticker, scorer): first and last published time, highest position.
_Extents = Mapping[tuple[str, str], tuple[int, int, int]]


class Stamps:
    """Stamps of the views of one reader; safe for use by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._index: tuple[int, BucketIndex] = (-1, BucketIndex({}))
        self._tail: tuple[tuple[int, int], _Extents] = ((-1, -1), {})

    def of(
        self, view: View, tickers: Sequence[str], scorer: str, resolution: Resolution, start_us: int, end_us: int
    ) -> list[str]:
        """For each ticker a text that is another one whenever its buckets starting in [start_us, end_us) may be others.

        It follows from the files and the tail in that range alone: it stays the same while scores arrive elsewhere, and
        two processes that see the same state give the same. 50 µs.
        """
        index, tail = self._state_of(view)
        digest = hashlib.blake2b(digest_size=9)
        for file in index.within(resolution, start_us, end_us):
            digest.update(file.relative.encode())
        stored = digest.hexdigest()
        if view.tail_rows is None:  # a long tail is not looked at: any new score may be one of these
            return [f"{stored}.{position_of(view.revision, 0):x}"] * len(tickers)
        found = [tail.get((ticker, scorer)) for ticker in tickers]
        return [
            f"{stored}.{extent[2]:x}" if extent and extent[0] < end_us and extent[1] >= start_us else f"{stored}.0"
            for extent in found
        ]

    def _state_of(self, view: View) -> tuple[BucketIndex, _Extents]:
        with self._lock:
            if self._index[0] != view.buckets_version:
                self._index = (view.buckets_version, BucketIndex(view.bucket_files))
            if self._tail[0] != (view.revision, view.seen):
                extents = {} if view.tail_rows is None else _extents_of(view.tail_rows)
                self._tail = ((view.revision, view.seen), extents)
            return self._index[1], self._tail[1]


def _extents_of(rows: pa.Table) -> _Extents:
    spans = [("published_us", "min"), ("published_us", "max"), ("position", "max")]
    grouped = rows.group_by(["ticker", "scorer"]).aggregate(spans)
    names = ("ticker", "scorer", *(f"{column}_{how}" for column, how in spans))
    columns = [grouped.column(name).to_pylist() for name in names]
    return {(row[0], row[1]): (row[2], row[3], row[4]) for row in zip(*columns, strict=True)}
