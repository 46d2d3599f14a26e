"""Files of items: JSON lines, JSON documents, CSV and Parquet, also packed by gzip and from standard input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Literal, TypeVar

import orjson

from dashapp.errors import UnreadableInput
from dashapp.ingest.columns import MAX_SOURCE_CHARS, RowOptions, guess_mapping
from dashapp.ingest.rejects import Rejection
from dashapp.ingest.sources import csv, document, jsonl, parquet
from dashapp.ingest.sources.columnar import Columns, columns_of
from dashapp.ingest.sources.rows import Table, items_of
from dashapp.ingest.sources.stream import STDIN, ByteStream, Progress, opened
from dashapp.ingest.text import clean_text
from dashapp.model.item import Item
from dashapp.store.ahead import read_ahead

T = TypeVar("T")

FileFormat = Literal["jsonl", "csv", "parquet"]
_Layout = Literal["jsonl", "document", "csv", "parquet"]

# Read while a commit is being made, which takes longer; about half of the rows of one.
_BATCHES_AHEAD = 4

_SUFFIXES: dict[str, _Layout] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}


def read_file(
    path: str | Path,
    *,
    file_format: FileFormat | None = None,
    options: RowOptions | None = None,
    progress: Progress | None = None,
) -> Iterator[Item | Rejection]:
    """The rows of a file (`-`: of standard input) as items and rejections, in order; memory does not grow with it.

    Without `file_format` the content tells Parquet, the suffix tells the rest, and the content where the suffix
    does not; gzip is told by the content always. `progress` gets the bytes read and their total (None for a pipe).
    Nothing is opened before the first item is asked for. Raises UnreadableInput for what cannot be opened or is of
    no known format, BadMapping for what lacks the columns it must have.
    """
    yield from _read(path, file_format, options, progress, _by_rows)


def read_columns(
    path: str | Path,
    *,
    file_format: FileFormat | None = None,
    options: RowOptions | None = None,
    progress: Progress | None = None,
) -> Iterator[Item | Rejection | Columns]:
    """As `read_file`, but of Parquet whole columns at a time, which are stored about six times as fast."""
    yield from _read(path, file_format, options, progress, _by_columns)


def _read(
    path: str | Path,
    file_format: FileFormat | None,
    options: RowOptions | None,
    progress: Progress | None,
    read_parquet: Callable[[ByteStream, RowOptions], Iterator[T]],
) -> Iterator[Item | Rejection | T]:
    options = replace(options or RowOptions(), place_name=_place_name(path))
    with opened(path, progress) as stream:
        layout = file_format or _layout_of(stream)
        if layout == "parquet":
            yield from read_parquet(stream, options)
        else:
            yield from items_of(_table_of(stream, layout), options, stream.name)


def _by_rows(stream: ByteStream, options: RowOptions) -> Iterator[Item | Rejection]:
    with parquet.opened(stream, options.mapping) as table:
        yield from items_of(table, options, stream.name)


def _by_columns(stream: ByteStream, options: RowOptions) -> Iterator[Columns]:
    with parquet.opened_batches(stream, options.mapping) as batches:
        yield from read_ahead(columns_of(batches, options, stream.name), _BATCHES_AHEAD)


def _table_of(stream: ByteStream, layout: Literal["jsonl", "document", "csv"]) -> Table:
    return {"jsonl": jsonl.read, "document": document.read, "csv": csv.read}[layout](stream)


def _place_name(path: str | Path) -> str:
    """The source of rows that name none: the file's name without its ending."""
    if str(path) == STDIN:
        return "stdin"
    name = PurePath(PurePath(path).name.removesuffix(".gz"))
    return clean_text(name.stem if name.suffix in (*_SUFFIXES, ".json") else name.name)[:MAX_SOURCE_CHARS] or "file"


def _layout_of(stream: ByteStream) -> _Layout:
    head = stream.peek()
    if head.startswith(parquet.MAGIC):
        return "parquet"
    name = stream.name.lower().removesuffix(".gz")
    by_suffix = _SUFFIXES.get(PurePath(name).suffix)
    if by_suffix is not None:
        return by_suffix
    start = head.lstrip()[:1]
    if start == b"[":
        return "document"
    if start == b"{":
        return layout_of_objects(head)
    if not start:
        return "jsonl"  # nothing in it, whatever it was meant to be
    if _is_text(head) and any(mark in head.lstrip().split(b"\n", 1)[0] for mark in (b",", b";", b"\t", b"|")):
        return "csv"
    raise UnreadableInput(
        f"{stream.name} is of no known format: neither JSON nor CSV nor Parquet. "
        "If it is one of them, say so with --format.",
        place=stream.name,
    )


def layout_of_objects(head: bytes) -> _Layout:
    """Whether text that begins with `{` is one object per line, or a document that may run over lines."""
    for line in head.split(b"\n")[:2]:  # the second tells when the first is broken
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(value, dict):
            is_answer = any(name in value for name in document.LIST_NAMES) and guess_mapping(value).ts is None
            return "document" if is_answer else "jsonl"
    return "document"


def _is_text(head: bytes) -> bool:
    try:
        head[:-4].decode("utf-8")  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return b"\0" not in head
