"""Rows of an input as they come out of a format's reader, and what becomes of them: items or rejections."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dashapp.errors import RowRejected
from dashapp.ingest.columns import (
    ColumnMapping,
    RowOptions,
    complete_mapping,
    missing_columns,
    refuse_columns,
    row_to_item,
)
from dashapp.ingest.rejects import Rejection, raw_of, rejected, shown
from dashapp.ingest.sources.stream import ByteStream
from dashapp.model.item import Item

# So many rows may pass before the time of publication, and every column named by a mapping, must have been seen.
MAX_ROWS_BEFORE_COLUMNS = 1_000
_MAX_SHAPES = 1_000
_MAX_COLUMNS_KEPT = 200


class SourceRow(NamedTuple):
    """One row: where in the input it stands (`:17`), what it holds or why it cannot be read, and its raw form."""

    where: str
    value: object
    raw: object


class Table(NamedTuple):
    """Rows, and their columns where the format says them before the first row."""

    rows: Iterable[SourceRow]
    columns: tuple[str, ...] | None = None


class _Shapes:
    """The mapping of each combination of columns that occurs in an input; rows of JSON need not all have the same."""

    def __init__(self, mapping: ColumnMapping | None) -> None:
        self.mapping = mapping
        self.found: dict[str, None] = {}
        self.missing: set[str] | None = None
        self._by_names: dict[tuple[str, ...], ColumnMapping] = {}

    def mapping_of(self, names: tuple[str, ...]) -> ColumnMapping:
        mapping = self._by_names.get(names)
        if mapping is None:
            mapping = complete_mapping(self.mapping, names)
            if len(self._by_names) < _MAX_SHAPES:
                self._by_names[names] = mapping
            missing = missing_columns(mapping, names)
            self.missing = missing if self.missing is None else self.missing & missing
            if len(self.found) < _MAX_COLUMNS_KEPT:
                self.found.update(dict.fromkeys(names))
        return mapping


def items_of(table: Table, options: RowOptions, place: str) -> Iterator[Item | Rejection]:
    """Each row as an item or a rejection, in order.

    Raises BadMapping, before anything is handed out, when no column holds the time or one of the mapping does not
    occur.
    """
    shapes = _Shapes(options.mapping)
    if table.columns is not None:
        shapes.missing = set()
        check_columns(table.columns, options, place)
    held: list[Item | Rejection] = []
    rows = iter(table.rows)
    while shapes.missing is None or shapes.missing:
        row = next(rows, None) if len(held) < MAX_ROWS_BEFORE_COLUMNS else None
        if row is None:
            if shapes.missing:
                raise refuse_columns(shapes.missing, shapes.found, place)
            break
        held.append(_item_of(row, shapes, options, place))
    yield from held
    for row in rows:
        yield _item_of(row, shapes, options, place)


def check_columns(columns: tuple[str, ...], options: RowOptions, place: str) -> None:
    """Raise BadMapping when no column holds the time or one of the mapping does not occur."""
    missing = missing_columns(complete_mapping(options.mapping, columns), columns)
    if missing:
        raise refuse_columns(missing, columns, place)


def each_item_of(rows: Iterable[SourceRow], options: RowOptions, place: str) -> Iterator[Item | Rejection]:
    """Each row as an item or a rejection, in order, judged by itself: one without a time is rejected like any other."""
    shapes = _Shapes(options.mapping)
    return (_item_of(row, shapes, options, place) for row in rows)


def damaged(stream: ByteStream, where: str, raw: object) -> SourceRow:
    """The row that stands for what a damaged stream may have lost."""
    return SourceRow(where, rejected("file_damaged", f"{stream.name}: {stream.damage}"), raw)


def _item_of(row: SourceRow, shapes: _Shapes, options: RowOptions, place: str) -> Item | Rejection:
    try:
        if isinstance(row.value, RowRejected):
            raise row.value
        if not isinstance(row.value, dict):
            raise rejected("not_an_object", f"the row is {shown(row.value)}")
        return row_to_item(row.value, shapes.mapping_of(tuple(row.value)), options)
    except RowRejected as error:
        return Rejection(place + row.where, error.reason, str(error), raw_of(row.raw))
