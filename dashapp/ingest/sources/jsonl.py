"""JSON lines: one object per line."""

from __future__ import annotations

import json
from collections.abc import Iterator

import orjson

from dashapp.ingest.rejects import rejected
from dashapp.ingest.sources.rows import SourceRow, Table, damaged
from dashapp.ingest.sources.stream import MAX_ROW_BYTES, ByteStream, is_blank, lines


def read(stream: ByteStream) -> Table:
    """The lines of a stream as rows; every line that is not blank is one row."""
    return Table(_rows(stream))


def _rows(stream: ByteStream) -> Iterator[SourceRow]:
    number = 0
    for number, line in lines(stream):
        if not is_blank(line):
            yield SourceRow(f":{number}", parse(line), line)
    if stream.damage is not None:
        yield damaged(stream, f":{number + 1}", b"")


def parse(text: bytes) -> object:
    """The value of one JSON text, or a RowRejected where it has none."""
    if len(text) > MAX_ROW_BYTES:
        return rejected("row_too_long", f"the row has more than {MAX_ROW_BYTES} bytes")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return _parse_leniently(text)


def _parse_leniently(text: bytes) -> object:
    """What Python's own reader takes besides: NaN, halves of surrogate pairs and control characters.

    The rows are judged by their values then, which tells the sender more than "not JSON".
    """
    try:
        value: object = json.loads(text.decode("utf-8"), strict=False)
    except UnicodeDecodeError as error:
        return rejected("invalid_utf8", f"byte {error.start} of the row is not UTF-8")
    except (ValueError, RecursionError) as error:  # ValueError also for an integer of thousands of digits
        return rejected("bad_json", f"the row is not JSON: {error}")
    return value
