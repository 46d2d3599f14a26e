"""Files that survive a power cut: written, flushed to the disk, and only then named in a commit."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from dashapp.errors import StoreDamaged
from dashapp.store.storage import cause

# One ticker's day of 1m buckets (1,440 rows) must not cost the reading of all tickers, and a column chunk has a price
# too: 8,192 rows are about 6 full tickers.
ROW_GROUP_ROWS = 8_192

# Columns whose values recur are worth a dictionary; ids and texts differ in every row, building one for them is lost
# work. Times and positions rise by small steps, which delta packing keeps in a quarter of the bytes, and counts and
# sums are small numbers: packed they are written and read in half the time a dictionary takes.
_REPEATED = {"ticker", "scorer", "source", "label"}
# A row group has at least so many rows for each text of a dictionary that it is written with.
_ROWS_A_VALUE = 16
# Lists, and where their values lie.
_LEAVES = {"sources": "sources.list.element"}
_PACKED = (
    "start_us",
    "published_us",
    "accepted_us",
    "open_us",
    "close_us",
    "position",
    "first_position",
    "last_position",
    "count",
    "positive",
    "neutral",
    "negative",
    "sum_e6",
)
# What packing has left without a pattern: a codec finds nothing more in them (measured on real and made-up scores, at
# most 2 % of a file), and trying takes a twentieth of writing.
_DENSE = {
    "published_us",
    "open_us",
    "close_us",
    "count",
    "sum_e6",
    "positive",
    "neutral",
    "negative",
}
# The columns that readers look for rows by. Keeping bounds of the others in every row group costs an eighth of writing.
_SEARCHED = {"ticker", "scorer", "start_us", "published_us", "position", "last_position"}
_ENCODINGS = dict.fromkeys(_PACKED, "DELTA_BINARY_PACKED")


# How to open a file to have it read as it was written, or not at all: a flipped bit within a page is found out by the
# page's checksum (measured: no difference in time). Reading ahead is for storage far away: here it copies, and takes a
# third of the time.
CHECKED: Mapping[str, Any] = {"page_checksum_verification": True, "pre_buffer": False}


def write_parquet(
    path: Path, table: pa.Table, *, compression: str, row_group_rows: int | None = None, flush: bool = True
) -> int:
    """Write a table as Parquet, flush it to the disk unless told not to, and return its size in bytes.

    The folder must exist. Raises OSError as it comes.
    """
    with path.open("xb") as file:
        encode(table, file, compression=compression, row_group_rows=row_group_rows)
        file.flush()
        if flush:
            os.fsync(file.fileno())
        return file.tell()


def encode(table: pa.Table, file: BinaryIO, *, compression: str, row_group_rows: int | None = None) -> None:
    """Write a table as Parquet to an open file, in row groups of ROW_GROUP_ROWS unless another number is given."""
    row_group_rows = row_group_rows or ROW_GROUP_ROWS
    for place, column in enumerate(table.columns):
        if pa.types.is_dictionary(column.type) and _is_too_large(column, row_group_rows):
            plain = column.cast(column.type.value_type)
            table = table.set_column(place, table.field(place).with_type(plain.type), plain)

    def codec(name: str) -> str:
        return "none" if name in _DENSE else compression

    pq.write_table(
        table,
        file,
        compression={_LEAVES.get(name, name): codec(name) for name in table.column_names},
        write_page_checksum=True,
        store_schema=False,  # Parquet's own says it all, and a footer without Arrow's is opened sooner
        row_group_size=row_group_rows,
        write_batch_size=ROW_GROUP_ROWS,  # a column of a group in one go: 5 % less time, the same bytes
        use_dictionary=[_LEAVES.get(name, name) for name in table.column_names if name in _REPEATED or name in _LEAVES],
        write_statistics=[name for name in table.column_names if name in _SEARCHED],
        column_encoding={name: code for name, code in _ENCODINGS.items() if name in table.column_names},
    )


def _is_too_large(column: pa.ChunkedArray, row_group_rows: int) -> bool:
    """Whether the dictionary of a column is not to be handed on: all of it is written into each row group, where of
    plain texts each group has its own.

    Measured on a month of 1h of 1,000 tickers: a tenth of the file, and a third of the time of reading ten of them.
    """
    values = max((len(chunk.dictionary) for chunk in column.chunks), default=0)
    return values * _ROWS_A_VALUE > row_group_rows


def open_parquet(path: str, schema: pa.Schema, *, metadata: pq.FileMetaData | None = None) -> pq.ParquetFile:
    """A Parquet file to be read by `read_groups`: texts that are numbers of a dictionary in the schema, in lists too,
    as such, which takes half the time. Raises what Arrow raises."""
    metadata = metadata or pq.read_metadata(path)
    encoded = {field.name for field in schema if _is_encoded(field.type)}
    # Others name what is in a list otherwise, and Arrow takes no name that is not there.
    leaves = [metadata.schema.column(number).path for number in range(metadata.num_columns)]
    named = [leaf for leaf in leaves if leaf.split(".")[0] in encoded]
    return pq.ParquetFile(path, metadata=metadata, read_dictionary=named, **CHECKED)


def read_groups(
    file: pq.ParquetFile, columns: Sequence[str], groups: Sequence[int], *, use_threads: bool = True
) -> pa.Table:
    """Columns of some row groups of a file that `open_parquet` has opened; raises what Arrow raises, and KeyError.

    A file of others may give plain texts all the same.
    """
    rows = file.read_row_groups(
        groups, columns=[name for name in columns if name not in _LEAVES], use_threads=use_threads
    )
    for name in columns:
        if name in _LEAVES:  # one by one: Arrow cannot read several dictionaries of texts in lists at once
            parts = [file.read_row_groups([each], columns=[name], use_threads=False).column(name) for each in groups]
            chunks = [chunk for part in parts for chunk in part.chunks]
            rows = rows.append_column(name, pa.chunked_array(chunks, file.schema_arrow.field(name).type))
    return rows.select(columns)


def read_parquet(path: str, schema: pa.Schema) -> pa.Table:
    """The rows of a Parquet file, with the columns of this schema, encoded where they are so there; raises
    StoreDamaged."""
    try:
        file = open_parquet(path, schema)
        rows = with_types(read_groups(file, schema.names, range(file.num_row_groups)), schema)
        rows.validate(full=True)  # nobody has looked yet whether the texts of a damaged file are UTF-8
    except (pa.ArrowException, OSError, KeyError, UnicodeDecodeError) as error:
        raise StoreDamaged(f"{path} cannot be read: {cause(error)}.") from error
    return rows


def with_types(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows with the types of a schema of the same names; raises ArrowInvalid.

    As `cast`, which takes 40 us even for a column that has its type already, and raises what is no error of Arrow.
    """
    columns = []
    for column, field in zip(rows.columns, schema, strict=True):
        if column.null_count and not field.nullable:
            raise pa.ArrowInvalid(f"{field.name} has {column.null_count:,} nulls")
        columns.append(column if column.type == field.type else column.cast(field.type))
    return pa.table(columns, schema=schema)


def _is_encoded(type_: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(type_.value_type if pa.types.is_list(type_) else type_))


def is_parquet(path: Path) -> bool:
    """Whether a file can be read as Parquet, as far as its footer tells."""
    try:
        pq.read_metadata(path)
    except (pa.ArrowException, OSError):
        return False
    return True


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
