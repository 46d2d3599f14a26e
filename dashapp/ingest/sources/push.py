"""The body of a push: one JSON item, a JSON array of items, or JSON lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import TYPE_CHECKING, cast

import orjson

from dashapp.errors import TooLarge
from dashapp.ingest.columns import RowOptions
from dashapp.ingest.rejects import Rejection
from dashapp.ingest.sources import document
from dashapp.ingest.sources.file import layout_of_objects
from dashapp.ingest.sources.jsonl import parse
from dashapp.ingest.sources.rows import SourceRow, each_item_of
from dashapp.ingest.sources.stream import CHUNK_BYTES, MAX_ROW_BYTES, ByteStream
from dashapp.model.item import Item

if TYPE_CHECKING:
    from io import BufferedReader

_UTF8_BOM = b"\xef\xbb\xbf"


def read_push(body: bytes, sender: str, *, max_items: int, max_scores: int) -> list[Item | Rejection]:
    """The rows of a body in order; raises TooLarge when they, or the tickers they name, are more than so many.

    A row is what file ingest takes, its columns guessed by name, each by itself. `sender` is the source of rows that
    name none, and stands in the place of what is rejected.
    """
    read: list[Item | Rejection] = []
    scores = 0
    for row in each_item_of(_rows(body.removeprefix(_UTF8_BOM)), RowOptions(place_name=sender), f"push/{sender}"):
        read.append(row)
        scores += len(row.mentions) if isinstance(row, Item) else 0
        if len(read) > max_items or scores > max_scores:
            raise TooLarge(
                f"A push holds at most {max_items} items that name at most {max_scores} tickers in all. "
                "Send it in several parts.",
                max_items=max_items,
                max_scores=max_scores,
            )
    return read


def _rows(body: bytes) -> Iterable[SourceRow]:
    start = body.lstrip()[:1]
    if start == b"[":
        return _array(body)
    if start == b"{" and layout_of_objects(body[:CHUNK_BYTES]) == "document":
        return _documents(body)
    return _lines(body)


def _lines(body: bytes) -> Iterator[SourceRow]:
    for number, line in enumerate(map(bytes.rstrip, BytesIO(body)), 1):
        if line:
            yield SourceRow(f":{number}", parse(line), line)


def _array(body: bytes) -> Iterable[SourceRow]:
    if len(body) <= MAX_ROW_BYTES:  # so no row can be longer than rows may be
        try:
            return [SourceRow(f":[{index}]", row, row) for index, row in enumerate(orjson.loads(body))]
        except orjson.JSONDecodeError:
            pass  # a broken row costs itself, not the others
    return _documents(body)


def _documents(body: bytes) -> Iterable[SourceRow]:
    # It begins with a bracket, so it is nothing packed, which the stream would unpack past the limit.
    return document.read(ByteStream(cast("BufferedReader", BytesIO(body)), "push")).rows
