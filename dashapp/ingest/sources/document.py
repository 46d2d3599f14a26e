"""JSON documents: an array of rows, one object, or the answer of an API that holds rows under a known name.

The document is cut into rows as it streams by and each row is parsed alone, so memory stays flat and a broken row,
or an early end, costs the rows it touches and no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dashapp.ingest.rejects import rejected
from dashapp.ingest.sources.jsonl import parse
from dashapp.ingest.sources.rows import SourceRow, Table, damaged
from dashapp.ingest.sources.stream import MAX_ROW_BYTES, ByteStream

# Where the answers of APIs hold their rows: Alpha Vantage, Alpaca, StockTwits, and others.
LIST_NAMES = ("feed", "news", "messages", "data", "items", "results", "articles")

_OUTSIDE_STRING = re.compile(rb'[\[\]{},"]')
_INSIDE_STRING = re.compile(rb'["\\]')
_LIST_NAMES = frozenset(name.encode() for name in LIST_NAMES)
_MAX_NAME_BYTES = 64


def read(stream: ByteStream) -> Table:
    """The rows of a stream of JSON documents."""
    return Table(_rows(stream))


def _rows(stream: ByteStream) -> Iterator[SourceRow]:
    cutter = _Cutter()
    for chunk in stream:
        for where, text in cutter.feed(chunk):
            yield SourceRow(where, parse(text), text)
    if stream.damage is not None:
        yield damaged(stream, cutter.where(), cutter.rest())
    elif cutter.depth or cutter.rest():
        ends = rejected("file_damaged", "the JSON document ends before it is closed")
        yield SourceRow(cutter.where(), ends, cutter.rest())


class _Cutter:
    """Finds where rows begin and end, counting brackets outside strings; knows nothing else of JSON.

    A row is an element of a top-level array, or of a list in LIST_NAMES of a top-level object; else a top-level
    object itself, or whatever else stands between documents.
    """

    def __init__(self) -> None:
        self.depth = 0
        self._list_depth = 0  # the depth inside the list of rows; 0 outside of one
        self._list_name = ""
        self._is_answer = False  # in a top-level object that had a list of rows, so that it is no row itself
        self._index = 0
        self._chunk = b""
        self._taken = 0  # up to here the chunk is in the text, or separates rows
        self._text = bytearray()
        self._rows: list[tuple[str, bytes]] = []
        self._in_string = False
        self._escaped = False  # the chunk ended with a backslash
        self._string = bytearray()  # the last string at depth 1: the name of the value that follows

    def where(self) -> str:
        """The place of the row that is being read."""
        return f":{self._list_name}[{self._index}]"

    def rest(self) -> bytes:
        """What was read of a row that has not ended."""
        return bytes(self._text).strip()

    def feed(self, chunk: bytes) -> list[tuple[str, bytes]]:
        """The rows that end in this chunk, with their places."""
        self._rows = []
        self._chunk, self._taken = chunk, 0
        at, self._escaped = int(self._escaped), False
        string_start = 0
        while found := (_INSIDE_STRING if self._in_string else _OUTSIDE_STRING).search(chunk, at):
            token, begin, at = found.group(), found.start(), found.end()
            if token == b"\\":
                at += 1
                self._escaped = at > len(chunk)
            elif token == b'"':
                self._in_string = not self._in_string
                if self._in_string:
                    string_start = at
                    self._string.clear()
                else:
                    self._note_string(chunk[string_start:begin])
            elif token == b",":
                self._comma(begin)
            elif token in b"[{":
                self._open(token, begin)
            else:
                self._close(begin)
        if self._in_string:
            self._note_string(chunk[string_start:])
        self._take(len(chunk))
        return self._rows

    def _comma(self, begin: int) -> None:
        if self._list_depth and self.depth == self._list_depth:
            self._take(begin)
            self._finish()
            self._taken = begin + 1

    def _open(self, token: bytes, begin: int) -> None:
        name = None
        if token == b"[" and self.depth == 0:
            name = ""
        elif token == b"[" and self.depth == 1 and not self._list_depth and bytes(self._string) in _LIST_NAMES:
            name = self._string.decode("ascii")
        if self.depth == 0 or name is not None:
            self._take(begin)
            if self.depth == 0 and self._text.strip():
                self._finish()
            self._text.clear()
        if name is not None:
            self._list_depth, self._list_name, self._index = self.depth + 1, name, 0
            self._is_answer = self.depth == 1
            self._taken = begin + 1
        self.depth += 1

    def _close(self, begin: int) -> None:
        if not self.depth:  # it closes nothing: part of whatever stands between documents
            return
        self.depth -= 1
        if self._list_depth and self.depth < self._list_depth:
            self._take(begin)
            if self._text.strip():
                self._finish()
            self._text.clear()
            self._list_depth, self._list_name, self._index = 0, "", 0
            self._taken = begin + 1
        if not self.depth:
            self._take(begin + 1)
            if self._text.strip() and not self._is_answer:
                self._finish()
            self._text.clear()
            self._is_answer = False

    def _take(self, end: int) -> None:
        room = MAX_ROW_BYTES + 1 - len(self._text)
        if room > 0:
            self._text += self._chunk[self._taken : min(end, self._taken + room)]
        self._taken = end

    def _finish(self) -> None:
        self._rows.append((self.where(), self.rest()))
        self._text.clear()
        self._index += 1

    def _note_string(self, part: bytes) -> None:
        if self.depth == 1:
            self._string += part[:_MAX_NAME_BYTES]
