"""Files that survive a power cut: written, flushed to the disk, and only then named in a commit."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

# One ticker's day of 1m buckets (1,440 rows) must not cost the reading of all tickers, and a column chunk has a price
# too: 16,384 rows are about 11 full tickers.
ROW_GROUP_ROWS = 16_384


def write_parquet(path: Path, table: pa.Table) -> int:
    """Write a table as Parquet (zstd), flush it to the disk, and return its size in bytes.

    The folder must exist. Raises OSError as it comes.
    """
    with path.open("xb") as file:
        pq.write_table(
            table, file, compression="zstd", row_group_size=ROW_GROUP_ROWS, use_dictionary=_low_cardinality(table)
        )
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def sync_folder(path: Path) -> None:
    """Flush a folder's list of names to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Flush a file that somebody else wrote to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _low_cardinality(table: pa.Table) -> list[str]:
    """The text columns worth a dictionary; ids and texts differ in every row, building one for them is lost work."""
    repeated = {"ticker", "scorer", "source", "label"}
    return [name for name in table.column_names if name in repeated]
