"""The buckets table: the folded scores at all eight resolutions, partitioned by resolution and period.

Each commit replaces the partitions it touched, of all resolutions at once, and records up to which version of the
scores table the buckets count (`seen`). A row is one `dashapp.model.bucket.Bucket`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pyarrow as pa
from deltalake.transaction import AddAction

from dashapp.model.resolution import Resolution, period_of
from dashapp.store.durable import read_parquet
from dashapp.store.merge import merge_partition
from dashapp.store.schema import BUCKET_ROW_SCHEMA, BUCKET_TABLE_SCHEMA
from dashapp.store.storage import Storage
from dashapp.store.tables import DataFile, NewFile, Table, paths

_ROLLUP = "rollup"


@dataclass(frozen=True, slots=True)
class Written:
    """Files on the disk that are not part of the table yet, those they will replace, and how many new buckets they
    hold."""

    actions: list[AddAction]
    replaced: list[DataFile]
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
            self._seen = (self.table.version, self.table.transaction_version(_ROLLUP) or 0)
        return self._seen[1]

    def files_of(self, resolution: Resolution, periods: Collection[str]) -> tuple[DataFile, ...]:
        """The files of some partitions."""
        return tuple(
            file
            for file in self.table.files()
            if file.partition["resolution"] == resolution.name and file.partition["period"] in periods
        )

    def write(self, resolution: Resolution, new: Sequence[NewFile], *, merge: bool) -> Written:
        """Write new buckets as files of their partitions, merged with what is stored there unless `merge` is False.

        Nothing is seen of them before `commit`. Safe for use by several threads, for different partitions.
        """
        replaced: list[DataFile] = []
        files = []
        for file in new:
            old = self.files_of(resolution, {file.partition["period"]}) if merge else ()
            rows = file.rows
            if old:
                stored = pa.concat_tables([read_parquet(path, BUCKET_ROW_SCHEMA) for path in paths(old)])
                rows = merge_partition(stored, rows, resolution)
                replaced += old
            files.append(NewFile(file.partition, rows))
        return Written(self.table.write(files), replaced, sum(file.rows.num_rows for file in new))

    def commit(self, written: Sequence[AddAction], replaced: Sequence[DataFile], *, seen: int) -> int:
        """Put written files in the place of others, in one commit; returns the version of the buckets table.

        Raises CommitConflict when another rollup committed first; nothing is changed then.
        """
        return self.table.commit(written, replaced, metadata={"scores_version": seen}, transaction=(_ROLLUP, seen))


def partition_of(start_us: int, resolution: Resolution) -> dict[str, str]:
    """The partition that holds the bucket starting here."""
    return {"resolution": resolution.name, "period": period_of(start_us, resolution)}
