"""What answers look like as tables: the columns of buckets, scores and tickers, and the binary forms of them.

Times are timestamps in UTC to the microsecond, scores are floats in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from dashapp.store import csv

_TIME = pa.timestamp("us", tz="UTC")

BUCKETS = pa.schema(
    [
        pa.field("ticker", pa.string(), nullable=False),
        pa.field("resolution", pa.string(), nullable=False),
        pa.field("timestamp", _TIME, nullable=False),
        pa.field("open", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        pa.field("low", pa.float64(), nullable=False),
        pa.field("close", pa.float64(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("sum", pa.float64(), nullable=False),
        pa.field("avg", pa.float64(), nullable=False),
        pa.field("positive", pa.int64(), nullable=False),
        pa.field("neutral", pa.int64(), nullable=False),
        pa.field("negative", pa.int64(), nullable=False),
        pa.field("sources", pa.list_(pa.string()), nullable=False),
        pa.field("is_partial", pa.bool_(), nullable=False),
    ]
)
SCORES = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("ticker", pa.string(), nullable=False),
        pa.field("published", _TIME, nullable=False),
        pa.field("accepted", _TIME, nullable=False),
        pa.field("scorer", pa.string(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("confidence", pa.float64()),
        pa.field("relevance", pa.float64()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("text", pa.string(), nullable=False),
        pa.field("story_id", pa.string()),
        pa.field("position", pa.int64(), nullable=False),
    ]
)
# The texts behind a candle, each with whether it counts in the variant that was asked for.
ITEMS = pa.schema([*SCORES, pa.field("counts", pa.bool_(), nullable=False)])
TICKERS = pa.schema(
    [
        pa.field("ticker", pa.string(), nullable=False),
        pa.field("scorer", pa.string(), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("first", _TIME, nullable=False),
        pa.field("last", _TIME, nullable=False),
    ]
)


class Writer(Protocol):
    """Turns tables of one schema into the bytes of one file or stream, piece by piece."""

    def write(self, rows: pa.Table) -> bytes:
        """The bytes that these rows add."""

    def finish(self) -> bytes:
        """The bytes at the end."""


class ArrowWriter:
    """Writes an Arrow IPC stream."""

    def __init__(self, schema: pa.Schema) -> None:
        self._drain = _Drain()
        self._writer = pa.ipc.new_stream(pa.PythonFile(self._drain, mode="w"), schema)

    def write(self, rows: pa.Table) -> bytes:
        """The bytes that these rows add; nothing but the schema for none."""
        self._writer.write_table(rows)
        return self._drain.take()

    def finish(self) -> bytes:
        """The end of the stream."""
        self._writer.close()
        return self._drain.take()


class ParquetWriter:
    """Writes a Parquet file, a row group for each table."""

    def __init__(self, schema: pa.Schema) -> None:
        self._drain = _Drain()
        self._writer = pq.ParquetWriter(pa.PythonFile(self._drain, mode="w"), schema, compression="zstd")

    def write(self, rows: pa.Table) -> bytes:
        """The bytes that these rows add."""
        if rows.num_rows:
            self._writer.write_table(rows)
        return self._drain.take()

    def finish(self) -> bytes:
        """The footer."""
        self._writer.close()
        return self._drain.take()


class CsvWriter:
    """Writes CSV with a header; see `dashapp.store.csv`."""

    def __init__(self, schema: pa.Schema) -> None:
        self._head = csv.header(schema.names)

    def write(self, rows: pa.Table) -> bytes:
        """The lines of these rows, none for none."""
        if not rows.num_rows:
            return b""
        head, self._head = self._head, b""
        return head + csv.lines(rows)

    def finish(self) -> bytes:
        """The header where there were no rows."""
        return self._head


def concatenated(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables of one schema as one."""
    return pa.concat_tables(tables)


def table_of(columns: Mapping[str, Sequence[Any]], schema: pa.Schema) -> pa.Table:
    """Columns as a table of this schema; times come in as microseconds."""
    return pa.table([pa.array(columns[field.name], type=field.type) for field in schema], schema=schema)


def columns_of(table: pa.Table) -> dict[str, list[Any]]:
    """The columns of a table as lists; times come out as microseconds."""
    columns: dict[str, list[Any]] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        columns[name] = (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()
    return columns


class _Drain:
    """A file that keeps what is written until it is taken."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken
