"""Parquet files, read batch by batch, and of the columns only those that are needed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple, cast

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


class Batch(NamedTuple):
    """Consecutive rows: the number of the first one, from 1, and the columns, an Arrow record batch."""

    number: int
    rows: Any


class Batches(NamedTuple):
    """Batches in order, among them rows that stand for those that cannot be read; and all columns of the file."""

    batches: Iterable[Batch | SourceRow]
    columns: tuple[str, ...] | None


@contextmanager
def opened(stream: ByteStream, mapping: ColumnMapping | None) -> Iterator[Table]:
    """The rows of a stream, while it is open; raises UnreadableInput when it is not Parquet at all."""
    with opened_batches(stream, mapping) as (batches, columns):
        yield Table(_rows(batches), columns)


@contextmanager
def opened_batches(stream: ByteStream, mapping: ColumnMapping | None) -> Iterator[Batches]:
    """The rows of a stream by batches, while it is open; raises UnreadableInput when it is not Parquet at all.

    The layout of a Parquet file stands at its end, so of one that ends early no row can be read: it is one rejection.
    """
    if not stream.peek().startswith(MAGIC):
        raise UnreadableInput(f"{stream.name} is not a Parquet file: it does not begin with PAR1.", place=stream.name)
    with _seekable(stream) as source:
        try:
            file = pq.ParquetFile(source)
            names = tuple(file.schema_arrow.names)
        except _DAMAGE as error:
            damage = _damaged(stream, ":1", f"the layout at its end cannot be read, {shown(str(error))}")
            yield Batches([damage], None)
            return
        yield Batches(_batches(stream, file, _needed(complete_mapping(mapping, names), names)), names)


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


def _rows(batches: Iterable[Batch | SourceRow]) -> Iterator[SourceRow]:
    for batch in batches:
        if isinstance(batch, Batch):
            yield from batch_rows(batch.rows, range(batch.number, batch.number + batch.rows.num_rows))
        else:
            yield batch


def _batches(stream: ByteStream, file: Any, columns: list[str]) -> Iterator[Batch | SourceRow]:
    """The batches; a row group that cannot be read is one rejection, and the next one is tried."""
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
            yield Batch(number, batch)
            number += batch.num_rows
            stream.report(number - 1, total_rows)


def batch_rows(batch: Any, numbers: Sequence[int]) -> Iterator[SourceRow]:
    """The rows of a record batch, each with its number in the file."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":  # Python's datetimes hold microseconds
            whole_us = pc.fill_null(column.view(pa.int64()), 0).to_numpy() // 1_000  # down, also before 1970
            cut = pa.array(whole_us, mask=column.is_null().to_numpy(zero_copy_only=False))
            batch = batch.set_column(batch.schema.names.index(name), name, cut.view(pa.timestamp("us", column.type.tz)))
    try:
        rows = batch.to_pylist()
    except _DAMAGE:
        rows = [_row(batch, index) for index in range(batch.num_rows)]
    binary = [name for name, kind in zip(batch.schema.names, batch.schema.types, strict=True) if kind in _BINARY]
    for number, row in zip(numbers, rows, strict=True):
        if binary and isinstance(row, dict):
            row.update({name: _decoded(row[name]) for name in binary})
        yield SourceRow(f":{number}", row, row if isinstance(row, dict) else "")


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
