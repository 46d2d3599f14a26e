"""Parquet files, read batch by batch, and of the columns only those that are needed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dashapp.errors import UnreadableInput
from dashapp.ingest.columns import ColumnMapping, complete_mapping
from dashapp.ingest.rejects import rejected, shown
from dashapp.ingest.sources.rows import SourceRow, Table
from dashapp.ingest.sources.stream import ByteStream

MAGIC = b"PAR1"
_BATCH_ROWS = 8_192
_BINARY = (pa.binary(), pa.large_binary())
_SPOOL_BYTES = 64 << 20  # what cannot be read at any place is copied first: to memory up to this size, to disk beyond

# What pyarrow raises for damaged files, and for values that Python has no type for (a year beyond 9999, an unknown
# zone).
_DAMAGE = (pa.ArrowException, OSError, ValueError, OverflowError, KeyError)


@contextmanager
def opened(stream: ByteStream, mapping: ColumnMapping | None) -> Iterator[Table]:
    """The rows of a stream, while it is open; raises UnreadableInput when it is not Parquet at all.

    The layout of a Parquet file stands at its end, so of one that ends early no row can be read: it is one rejection.
    """
    if not stream.peek().startswith(MAGIC):
        raise UnreadableInput(f"{stream.name} is not a Parquet file: it does not begin with PAR1.", place=stream.name)
    with _seekable(stream) as source:
        try:
            file = pq.ParquetFile(source)
            names = tuple(file.schema_arrow.names)
        except _DAMAGE as error:
            yield Table([_damaged(stream, ":1", f"the layout at its end cannot be read, {shown(str(error))}")])
            return
        yield Table(_rows(stream, file, _needed(complete_mapping(mapping, names), names)), names)


@contextmanager
def _seekable(stream: ByteStream) -> Iterator[BinaryIO]:
    file = stream.plain_file()
    if file is not None:
        file.seek(0)
        yield file
        return
    with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as copy:
        for chunk in stream:
            copy.write(chunk)
        copy.seek(0)
        yield cast("BinaryIO", copy)


def _needed(mapping: ColumnMapping, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if any(name in (asked, asked.partition(".")[0]) for asked in mapping.named())]


def _rows(stream: ByteStream, file: Any, columns: list[str]) -> Iterator[SourceRow]:
    """The rows, numbered from 1; a row group that cannot be read is one rejection, and the next one is tried."""
    total_rows = file.metadata.num_rows
    first = 1
    for group in range(file.num_row_groups):
        number = first
        first += file.metadata.row_group(group).num_rows
        batches = file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=columns)
        while True:
            try:
                batch = next(batches, None)
            except _DAMAGE as error:
                yield _damaged(stream, f":{number}", f"{first - number} rows cannot be read, {shown(str(error))}")
                break
            if batch is None:
                if number < first:
                    yield _damaged(stream, f":{number}", f"{first - number} rows are missing")
                break
            yield from _batch_rows(batch, number)
            number += batch.num_rows
            stream.report(number - 1, total_rows)


def _batch_rows(batch: Any, number: int) -> Iterator[SourceRow]:
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":  # Python's datetimes hold microseconds
            cut = pc.floor_temporal(column.view(pa.timestamp("ns")), unit="microsecond").cast(pa.timestamp("us"))
            batch = batch.set_column(batch.schema.names.index(name), name, cut.view(pa.timestamp("us", column.type.tz)))
    try:
        rows = batch.to_pylist()
    except _DAMAGE:
        rows = [_row(batch, index) for index in range(batch.num_rows)]
    binary = [name for name, kind in zip(batch.schema.names, batch.schema.types, strict=True) if kind in _BINARY]
    for index, row in enumerate(rows, number):
        if binary and isinstance(row, dict):
            row.update({name: _decoded(row[name]) for name in binary})
        yield SourceRow(f":{index}", row, row if isinstance(row, dict) else "")


def _row(batch: Any, index: int) -> object:
    try:
        return batch.slice(index, 1).to_pylist()[0]
    except _DAMAGE as error:
        return rejected("bad_value", f"a value of the row cannot be read, {shown(str(error))}")


def _decoded(value: object) -> object:
    """The text in a binary column; what is not UTF-8 stays bytes, which no column takes."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value


def _damaged(stream: ByteStream, where: str, what: str) -> SourceRow:
    return SourceRow(where, rejected("file_damaged", f"{stream.name}: {what}"), "")
