"""Replies: a finished body and what is to be said about it, for whichever way it is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from dashapp.store.answers import ArrowWriter, CsvWriter, ParquetWriter, Writer

# The forms an answer can have. `columns` is the compact JSON a browser draws from.
FORMATS = ("json", "columns", "csv", "arrow", "parquet")
TABLE_FORMATS = ("json", "csv", "arrow", "parquet")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: `body` is None when the client holds it already, as its `etag` tells."""

    etag: str
    revision: int
    body: bytes | None
    next_cursor: str | None = None
    cache_hit: bool = False


def tag(parts: Iterable[str]) -> str:
    """An entity tag of everything an answer depends on.

    It is a weak one: two answers with the same tag say the same, but for when and how fast they were given.
    """
    digest = hashlib.blake2b(digest_size=12)
    for part in parts:
        digest.update(part.encode())
        digest.update(b"\0")
    return f'W/"{digest.hexdigest()}"'


def pack(next_cursor: str | None, body: bytes) -> bytes:
    """A body and its cursor as one value of the cache."""
    return b"%s\n%s" % ((next_cursor or "").encode(), body)


def unpack(packed: bytes) -> tuple[str | None, bytes]:
    """The cursor and the body of `pack`."""
    cursor, _, body = packed.partition(b"\n")
    return cursor.decode() or None, body


def inner_json(value: Mapping[str, Any]) -> bytes:
    """A JSON object, NumPy's arrays in it included, without the braces around it, to be joined with others by
    `json_object`."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]


def json_object(*inner: bytes) -> bytes:
    """One JSON object of the members of several."""
    return b"{%s}" % b",".join(inner)


def encoded(rows: Any, form: str) -> bytes:
    """An Arrow table as a whole file of one of these forms: csv, arrow, parquet."""
    writer = writer_of(rows.schema, form)
    return writer.write(rows) + writer.finish()


def writer_of(schema: Any, form: str) -> Writer:
    """What writes csv, arrow or parquet, piece by piece."""
    return _WRITERS[form](schema)


_WRITERS: dict[str, Callable[[Any], Writer]] = {"csv": CsvWriter, "arrow": ArrowWriter, "parquet": ParquetWriter}
