"""What answers look like as tables: the columns of buckets, scores and tickers, and the binary forms of them.

Times are timestamps in UTC to the microsecond, scores are floats in [-1, 1].
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from dashapp.store import csv, jsonl

# Half as fast again as the usual 6 for a tenth more bytes.
_GZIP_LEVEL = 4
_RECURRING = {
    "ticker", "resolution", "timestamp", "count", "positive", "neutral", "negative", "sources", "scorer", "revision",
    "source", "label", "published", "accepted", "relevance",
}  # fmt: skip
# The columns that readers look for rows by; bounds of the others cost a quarter of writing.
_SEARCHED = {"ticker", "resolution", "timestamp", "published", "accepted", "scorer", "revision", "position", "source"}

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
# What exports have besides, where a format has types: whole numbers, whose sums are exact, and what tells versions of a
# bucket apart.
BUCKETS_EXACT = pa.schema(
    [
        *BUCKETS,
        *(pa.field(name, pa.int32(), nullable=False) for name in ("open_e6", "high_e6", "low_e6", "close_e6")),
        pa.field("sum_e6", pa.int64(), nullable=False),
        pa.field("scorer", pa.string(), nullable=False),
        pa.field("revision", pa.int64(), nullable=False),
    ]
)
SCORES_EXACT = pa.schema([*SCORES, pa.field("score_e6", pa.int32(), nullable=False)])
# What one reads of texts, in the order in which one reads it.
TEXTS = pa.schema(
    [
        SCORES.field(name)
        for name in ("published", "ticker", "score", "label", "source", "text", "url", "id", "story_id", "scorer")
    ]
)
UNITS = {
    "timestamp": "start of the bucket, UTC",
    "published": "UTC",
    "accepted": "UTC",
    **dict.fromkeys(("open", "high", "low", "close", "avg", "score"), "sentiment, -1 to 1"),
    "sum": "sentiment, -1 to 1, times count",
    **dict.fromkeys(
        ("open_e6", "high_e6", "low_e6", "close_e6", "sum_e6", "score_e6"), "millionths of the float beside"
    ),
    **dict.fromkeys(("count", "positive", "neutral", "negative"), "scores"),
    "is_partial": "whether the interval was not over when the revision was accepted",
    "confidence": "0 to 1",
    "relevance": "0 to 1",
    "position": "(revision << 20) + row in its commit",
    "revision": "commit of scores that changed the bucket last",
}
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

    _open = staticmethod(pa.ipc.new_stream)

    def __init__(self, schema: pa.Schema) -> None:
        self._drain = _Drain()
        self._writer = self._open(pa.PythonFile(self._drain, mode="w"), schema)

    def write(self, rows: pa.Table) -> bytes:
        """The bytes that these rows add, as one batch; nothing but the schema for none."""
        self._writer.write_table(rows.combine_chunks())
        return self._drain.take()

    def finish(self) -> bytes:
        """The end of the stream."""
        self._writer.close()
        return self._drain.take()


class ArrowFileWriter(ArrowWriter):
    """Writes an Arrow IPC file, which can be mapped into memory and read from anywhere in it."""

    _open = staticmethod(pa.ipc.new_file)


class ParquetWriter:
    """Writes a Parquet file, a row group for each table.

    The bytes depend on the rows of each table, the schema and the version of pyarrow alone.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._drain = _Drain()
        self._writer = pq.ParquetWriter(
            pa.PythonFile(self._drain, mode="w"),
            schema,
            version="2.6",
            data_page_version="1.0",
            # Level 1 is written twice as fast as 3, for a tenth more bytes.
            compression="zstd",
            compression_level=1,
            # Scores hardly recur: building a dictionary of them is lost work, two thirds of writing.
            use_dictionary=[
                "sources.list.element" if field.name == "sources" else field.name
                for field in schema
                if field.name in _RECURRING
            ],
            write_statistics=[name for name in schema.names if name in _SEARCHED],
            write_page_checksum=True,
        )

    def write(self, rows: pa.Table) -> bytes:
        """The bytes that these rows add."""
        if rows.num_rows:
            # Chunks would show in the sizes of pages.
            self._writer.write_table(rows.combine_chunks(), row_group_size=rows.num_rows)
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


class JsonlWriter:
    """Writes a JSON object on each line; see `dashapp.store.jsonl`."""

    def __init__(self, schema: pa.Schema) -> None:
        """The same for all schemas."""

    def write(self, rows: pa.Table) -> bytes:
        """The lines of these rows, none for none."""
        return jsonl.lines(rows)

    def finish(self) -> bytes:
        """Nothing."""
        return b""


class GzipWriter:
    """Packs what another writer writes; the bytes tell no time and no name."""

    def __init__(self, inner: Writer) -> None:
        self._inner = inner
        self._packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)

    def write(self, rows: pa.Table) -> bytes:
        """The bytes that these rows add; they may come later."""
        return self._packer.compress(self._inner.write(rows))

    def finish(self) -> bytes:
        """The bytes at the end."""
        return self._packer.compress(self._inner.finish()) + self._packer.flush()


def concatenated(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables of one schema as one."""
    return pa.concat_tables(tables)


def table_of(columns: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    """Columns, lists or NumPy's arrays, as a table of this schema; times come in as microseconds."""
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
