"""CSV with a header line; the separator is the one the header uses: comma, semicolon, tab or bar."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator

from dashapp.errors import RowRejected, UnreadableInput
from dashapp.ingest.rejects import rejected, shown
from dashapp.ingest.sources.rows import SourceRow, Table, damaged
from dashapp.ingest.sources.stream import MAX_ROW_BYTES, ByteStream, is_blank, lines

SEPARATORS = ",;\t|"
# The most lines one quoted row may run over. A quote that is never closed costs one row, and no more than this is
# read twice.
MAX_ROW_LINES = 500
# Where row after row has such a quote, the bound goes down to this, so that lines are not read so often.
_FEWEST_LINES = 16


def read(stream: ByteStream) -> Table:
    """The rows of a stream; raises UnreadableInput when its first line cannot be a header.

    Where a row of several lines has broken quotes, its first line is rejected and reading goes on with the second:
    a quote too many does not swallow the rows after it.
    """
    records = _Records(stream)
    header = records.next(None)
    if header is None:
        return Table(_damage_only(stream))
    if isinstance(header.value, RowRejected):
        raise UnreadableInput(f"{stream.name}: the header cannot be read: {header.value}", place=stream.name)
    columns = _distinct(header.value)
    return Table(_rows(records, columns), columns)


def _rows(records: _Records, columns: tuple[str, ...]) -> Iterator[SourceRow]:
    width = len(columns)
    while (record := records.next(width)) is not None:
        if isinstance(record.value, list):
            yield SourceRow(record.where, dict(zip(columns, record.value, strict=True)), record.raw)
        else:
            yield record
    yield from _damage_only(records.stream, records.last_line)


def _damage_only(stream: ByteStream, last_line: int = 0) -> Iterator[SourceRow]:
    if stream.damage is not None:
        yield damaged(stream, f":{last_line + 1}", b"")


class _Records:
    """The records of a stream, each one line, or several where a quoted field holds newlines."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self.last_line = 0
        self._separator = ""
        self._most_lines = MAX_ROW_LINES
        self._lines = lines(stream)
        self._again: deque[tuple[int, bytes]] = deque()  # lines to be read again

    def next(self, width: int | None) -> SourceRow | None:
        """The next record: its fields, or why it is rejected; the first one, of any width, tells the separator."""
        taken = self._next_line()
        while taken is not None and is_blank(taken[1]):
            taken = self._next_line()
        if taken is None:
            return None
        number, first = taken
        where = f":{number}"
        if len(first) > MAX_ROW_BYTES:
            return SourceRow(where, rejected("row_too_long", f"the line has more than {MAX_ROW_BYTES} bytes"), first)
        self._separator = self._separator or max(SEPARATORS, key=lambda mark: first.count(mark.encode()))
        group = [taken]
        fields = self._quoted(group) if b'"' in first else _text(first).rstrip("\r").split(self._separator)
        if isinstance(fields, list) and width is not None and len(fields) != width:
            fields = rejected("wrong_field_count", f"the row has {len(fields)} fields, the header {width}")
        if isinstance(fields, RowRejected):
            self._again.extendleft(reversed(group[1:]))
            return SourceRow(where, fields, first)
        raw = first if len(group) == 1 else b"\n".join(line for _, line in group)
        if not _is_utf8(raw):
            return SourceRow(where, rejected("invalid_utf8", "the row is not UTF-8"), raw)
        return SourceRow(where, fields, raw)

    def _quoted(self, group: list[tuple[int, bytes]]) -> list[str] | RowRejected:
        """The fields of the record that begins with the one line of `group`, to which its other lines are added."""
        try:
            fields = next(csv.reader(self._supply(group), delimiter=self._separator, strict=True))
        except csv.Error as error:
            if len(group) >= self._most_lines:
                self._most_lines = max(self._most_lines // 2, _FEWEST_LINES)
            return rejected("bad_csv", f"the row is not CSV: {shown(str(error))}")
        self._most_lines = MAX_ROW_LINES
        return fields

    def _supply(self, group: list[tuple[int, bytes]]) -> Iterator[str]:
        size_bytes = len(group[0][1])
        yield _text(group[0][1]) + "\n"
        while len(group) < self._most_lines and size_bytes <= MAX_ROW_BYTES:
            taken = self._next_line()
            if taken is None:
                return
            group.append(taken)
            size_bytes += len(taken[1])
            yield _text(taken[1]) + "\n"

    def _next_line(self) -> tuple[int, bytes] | None:
        taken = self._again.popleft() if self._again else next(self._lines, None)
        if taken is not None:
            self.last_line = max(self.last_line, taken[0])
        return taken


def _text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _distinct(names: object) -> tuple[str, ...]:
    """Column names without blanks around them; one that comes again gets its number: `text`, `text (2)`."""
    assert isinstance(names, list)
    seen: dict[str, int] = {}
    distinct = []
    for name in (str(name).strip() for name in names):
        seen[name] = seen.get(name, 0) + 1
        distinct.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(distinct)
