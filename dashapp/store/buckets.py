"""The buckets table: the folded scores at all eight resolutions, partitioned by resolution and period.

Each commit replaces the partitions it touched, of all resolutions at once, and records up to which version of the
scores table the buckets count (`seen`). A row is one `dashapp.model.bucket.Bucket`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa
from deltalake.transaction import AddAction

from dashapp.model.resolution import Resolution, period_of
from dashapp.store.tables import DataFile, Table

ROW_SCHEMA = pa.schema(
    [
        pa.field("ticker", pa.string(), nullable=False),
        pa.field("scorer", pa.string(), nullable=False),
        pa.field("start_us", pa.int64(), nullable=False),
        pa.field("open_e6", pa.int32(), nullable=False),
        pa.field("open_us", pa.int64(), nullable=False),
        pa.field("open_item_id", pa.string(), nullable=False),
        pa.field("high_e6", pa.int32(), nullable=False),
        pa.field("low_e6", pa.int32(), nullable=False),
        pa.field("close_e6", pa.int32(), nullable=False),
        pa.field("close_us", pa.int64(), nullable=False),
        pa.field("close_item_id", pa.string(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("sum_e6", pa.int64(), nullable=False),
        pa.field("sumsq_e12", pa.decimal128(38, 0), nullable=False),
        pa.field("positive", pa.int64(), nullable=False),
        pa.field("neutral", pa.int64(), nullable=False),
        pa.field("negative", pa.int64(), nullable=False),
        pa.field("sources", pa.list_(pa.string()), nullable=False),
        pa.field("first_position", pa.int64(), nullable=False),
        pa.field("last_position", pa.int64(), nullable=False),
    ]
)
TABLE_SCHEMA = pa.schema(
    [pa.field("resolution", pa.string(), nullable=False), pa.field("period", pa.string(), nullable=False), *ROW_SCHEMA]
)
_ROLLUP = "rollup"


class BucketsTable:
    """The buckets of a store; not safe for use by several threads at once."""

    def __init__(self, data_dir: Path, *, create: bool) -> None:
        self.table = Table(
            data_dir / "buckets",
            TABLE_SCHEMA,
            partition_by=["resolution", "period"],
            bounded=["start_us", "last_position"],
            create=create,
        )

    @property
    def seen(self) -> int:
        """The version of the scores table up to which the buckets of the snapshot held count; 0, the empty one, at
        first."""
        return self.table.transaction_version(_ROLLUP) or 0

    def files_of(self, resolution: Resolution, periods: Collection[str]) -> tuple[DataFile, ...]:
        """The files of some partitions."""
        return tuple(
            file
            for file in self.table.files()
            if file.partition["resolution"] == resolution.name and file.partition["period"] in periods
        )

    def files_between(self, resolution: Resolution, start_us: int, end_us: int) -> tuple[DataFile, ...]:
        """The files that hold buckets starting in [start_us, end_us)."""
        return tuple(
            file
            for file in self.table.files()
            if file.partition["resolution"] == resolution.name
            and file.bounds["start_us"][0] < end_us
            and file.bounds["start_us"][1] >= start_us
        )

    def commit(self, written: Sequence[AddAction], replaced: Sequence[DataFile], *, seen: int) -> int:
        """Put written files in the place of others, in one commit; returns the version of the buckets table.

        Raises CommitConflict when another rollup committed first; nothing is changed then.
        """
        return self.table.commit(written, replaced, metadata={"scores_version": seen}, transaction=(_ROLLUP, seen))


def partition_of(start_us: int, resolution: Resolution) -> dict[str, str]:
    """The partition that holds the bucket starting here."""
    return {"resolution": resolution.name, "period": period_of(start_us, resolution)}
