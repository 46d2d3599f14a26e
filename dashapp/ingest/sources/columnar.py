"""Parquet files of scored items, column by column: no object is made for a row that is plainly clean.

Plainly clean is what the way of rows (`columns.row_to_item`) would take over as it stands: a timestamp with a zone or
a whole number of one unit, a score in [-1, 1], an id, one ticker, and a text that needs no cleaning. Every other row
goes the way of rows, so each row becomes the item or the rejection that it would be there. What is decided value by
value there (tickers, sources) is decided by the same functions here, once for each distinct value.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dashapp.errors import RowRejected
from dashapp.ingest.columns import MAX_URL_CHARS, ColumnMapping, RowOptions, complete_mapping, source_of
from dashapp.ingest.mentions import mentions_of
from dashapp.ingest.rejects import Rejection
from dashapp.ingest.scoring.scorer import GIVEN_SCORER
from dashapp.ingest.sources.parquet import Batch, Batches, batch_rows
from dashapp.ingest.sources.rows import SourceRow, check_columns, each_item_of
from dashapp.model.item import MAX_ID_CHARS, MAX_TEXT_CHARS, Item
from dashapp.model.score import SCORE_SCALE
from dashapp.store.schema import SCORE_INPUT_SCHEMA

Flags = NDArray[np.bool_]

# Whole numbers that can only be a time of one unit, whatever `times.parse_time` weighs besides: from, to (exclusive),
# and what makes microseconds of them. All of them lie between 2001 and 2286.
_WHOLE_TIMES: tuple[tuple[int, int, Callable[[Any], Any]], ...] = (
    (10**9, 10**10, lambda times: times * 1_000_000),
    (10**12, 10**13, lambda times: times * 1_000),
    (10**15, 10**16, lambda times: times),
    (10**18, 9 * 10**18, lambda times: times // 1_000),
)
# Timestamps of these years are the same in every zone's calendar.
_FIRST_US, _END_US = -2_208_988_800_000_000, 7_258_118_400_000_000  # 1900 to 2200
_UNITS_PER_S = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

_PLAIN_ID = "^[!-~]([ -~]*[!-~])?$"
_PLAIN_URL = "^(?i:https?)://[!-~]*$"
# What str.strip() takes away.
_BLANKS = r"\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
# What `text.clean_text` changes: controls, what may be an entity, blanks at the ends.
_UNCLEAN = rf"[\x00-\x08\x0b-\x1f\x7f\x{{80}}-\x{{9f}}]|&[#A-Za-z][0-9A-Za-z]*;|^[{_BLANKS}]|[{_BLANKS}]$"
_MAX_KEPT_VALUES = 100_000


@dataclass(frozen=True, slots=True)
class Columns:
    """Consecutive rows of an input: the scores of those that are plainly clean, and the others as items or rejections.

    `count` is the number of rows. `scores` are of SCORE_INPUT_SCHEMA, `owners` says of each which row it is of, and
    `others` goes with the row too; both ascend.
    """

    count: int
    scores: Any
    owners: NDArray[np.int64]
    others: list[tuple[int, Item | Rejection]]


def columns_of(batches: Batches, options: RowOptions, place: str) -> Generator[Columns, None, None]:
    """The rows of a Parquet file, in order; raises BadMapping as `rows.items_of` does."""
    if batches.columns is not None:
        check_columns(batches.columns, options, place)
    cleaner = _Cleaner(complete_mapping(options.mapping, batches.columns or ()), options)
    for batch in batches.batches:
        if isinstance(batch, SourceRow):
            others = list(enumerate(each_item_of([batch], options, place)))
            yield Columns(1, SCORE_INPUT_SCHEMA.empty_table(), np.zeros(0, np.int64), others)
        else:
            yield _columns(batch, cleaner, options, place)


def _columns(batch: Batch, cleaner: _Cleaner, options: RowOptions, place: str) -> Columns:
    clean, scores = cleaner.scores(batch.rows)
    rest = np.flatnonzero(~clean)
    others: Iterable[Item | Rejection] = ()
    if len(rest):
        rows = batch.rows if len(rest) == len(clean) else batch.rows.take(pa.array(rest))
        others = each_item_of(batch_rows(rows, (rest + batch.number).tolist()), options, place)
    return Columns(len(clean), scores, np.flatnonzero(clean), list(zip(rest.tolist(), others, strict=True)))


class _Cleaner:
    """Finds the plainly clean rows of the batches of one file."""

    def __init__(self, mapping: ColumnMapping, options: RowOptions) -> None:
        self._mapping = mapping
        self._scorer = options.scorer or GIVEN_SCORER
        # In the place of a name stands what names nothing, so that a row without a source has one as well.
        no_source = source_of(None, options.source) or options.place_name
        self._source = _Known(lambda value: source_of(value, options.source) or options.place_name, no_source)
        self._ticker = _Known(_only_ticker, None)

    def scores(self, rows: Any) -> tuple[Flags, Any]:
        """Which rows are plainly clean, and their scores."""
        count = rows.num_rows
        names = self._mapping.named()
        schema_names = rows.schema.names
        is_plain = (
            self._mapping.score is not None
            and self._mapping.id is not None
            and self._mapping.ticker is not None
            and len(self._mapping.text) <= 1
            # A name with a point may be a path as well, and that is looked up row by row.
            and all(schema_names.count(name) == 1 and "." not in name for name in names)
        )
        if not is_plain:
            return np.zeros(count, np.bool_), SCORE_INPUT_SCHEMA.empty_table()

        def column(name: str | None) -> Any:
            return pa.nulls(count) if name is None else _decoded(rows.column(name))

        text = self._mapping.text[0] if self._mapping.text else None
        found = {
            "item_id": _ids(column(self._mapping.id)),
            "published_us": _times(column(self._mapping.ts)),
            "score_e6": _scores(column(self._mapping.score)),
            "ticker": self._ticker.of(column(self._mapping.ticker)),
            "text": _texts(column(text)),
            "source": self._source.of(column(self._mapping.source)),
            "url": _urls(column(self._mapping.url)),
            "confidence": _numbers(column(self._mapping.confidence), lambda value: (value >= 0) & (value <= 1)),
            "relevance": _numbers(column(self._mapping.relevance), np.isfinite),
            "scorer": (pa.repeat(self._scorer, count), np.ones(count, np.bool_)),
            "story_id": (pa.nulls(count), np.ones(count, np.bool_)),
        }
        clean = np.logical_and.reduce([flags for _, flags in found.values()])
        values = pa.table([found[name][0] for name in SCORE_INPUT_SCHEMA.names], names=SCORE_INPUT_SCHEMA.names)
        if not clean.all():
            values = values.filter(pa.array(clean))
        return clean, values.cast(SCORE_INPUT_SCHEMA)


class _Known:
    """What a function makes of each distinct text of a column; rows where it makes nothing are not clean."""

    def __init__(self, function: Callable[[str], str | None], of_null: str | None) -> None:
        self._function = function
        self._of_null = of_null
        self._made: dict[str, str | None] = {}

    def of(self, column: Any) -> tuple[Any, Flags]:
        """The values, null where there are none, and whether there is one."""
        if not pa.types.is_string(column.type):
            made = pa.array([self._of_null], pa.string()).take(pa.array(np.zeros(len(column), np.int64)))
            return made, _nulls(column) if self._of_null is not None else np.zeros(len(column), np.bool_)
        encoded = column.dictionary_encode()
        values = [self._value(text) for text in encoded.dictionary.to_pylist()]
        made = pa.array([*values, self._of_null], pa.string())
        taken = made.take(pc.fill_null(encoded.indices, len(values)))
        return taken, ~_nulls(taken)

    def _value(self, text: str) -> str | None:
        if text not in self._made:
            if len(self._made) >= _MAX_KEPT_VALUES:
                self._made.clear()
            try:
                self._made[text] = self._function(text)
            except RowRejected:
                self._made[text] = None
        return self._made[text]


def _only_ticker(text: str) -> str | None:
    """The ticker that a text names, None when it names several."""
    mentions = mentions_of(text, "")
    return mentions[0].ticker if len(mentions) == 1 else None


def _decoded(column: Any) -> Any:
    """The column, all its texts as strings of one type; when one of them is not UTF-8, a column of nothing usable."""
    kind = column.type
    try:
        if pa.types.is_dictionary(kind):
            column = column.dictionary_decode()
            kind = column.type
        if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            column = column.cast(pa.string())
        column.validate(full=True)
    except pa.ArrowException:
        return pa.array([False] * len(column))
    return column


def _nulls(column: Any) -> Flags:
    flags: Flags = column.is_null().to_numpy(zero_copy_only=False)
    return flags


def _ids(column: Any) -> tuple[Any, Flags]:
    if pa.types.is_integer(column.type):
        return column.cast(pa.string()), ~_nulls(column)
    if not pa.types.is_string(column.type):
        return pa.nulls(len(column), pa.string()), np.zeros(len(column), np.bool_)
    return column, _matches(column, _PLAIN_ID) & _shorter(column, MAX_ID_CHARS)


def _texts(column: Any) -> tuple[Any, Flags]:
    if pa.types.is_string(column.type):
        filled = pc.fill_null(column, "")
        return filled, ~_matches(filled, _UNCLEAN) & _shorter(filled, MAX_TEXT_CHARS)
    return pa.repeat("", len(column)), _nulls(column)


def _urls(column: Any) -> tuple[Any, Flags]:
    if pa.types.is_string(column.type):
        return column, _nulls(column) | (_matches(column, _PLAIN_URL) & _shorter(column, MAX_URL_CHARS))
    return pa.nulls(len(column)), _nulls(column)


def _matches(column: Any, pattern: str) -> Flags:
    flags: Flags = pc.fill_null(pc.match_substring_regex(column, pattern), False).to_numpy(zero_copy_only=False)
    return flags


def _shorter(column: Any, most_chars: int) -> Flags:
    """Whether texts have at most so many bytes, and so at most so many characters."""
    flags: Flags = pc.less_equal(pc.fill_null(pc.binary_length(column), 0), most_chars).to_numpy(zero_copy_only=False)
    return flags


def _times(column: Any) -> tuple[Any, Flags]:
    kind = column.type
    count = len(column)
    if pa.types.is_timestamp(kind) and kind.tz is not None and _is_zone(kind):
        per_s = _UNITS_PER_S[kind.unit]
        times = pc.fill_null(column.view(pa.int64()), 0).to_numpy()
        clean = (times >= _FIRST_US // 1_000_000 * per_s) & (times < _END_US // 1_000_000 * per_s)
        moments = np.where(clean, times, 0)
        times_us = moments * (1_000_000 // per_s) if per_s <= 1_000_000 else moments // (per_s // 1_000_000)
        return pa.array(times_us), clean & ~_nulls(column)
    times_us = np.zeros(count, np.int64)
    clean = np.zeros(count, np.bool_)
    if pa.types.is_integer(kind) and kind != pa.uint64():
        times = pc.fill_null(column.cast(pa.int64()), 0).to_numpy()
        for first, end, to_us in _WHOLE_TIMES:
            of_unit = (times >= first) & (times < end)
            times_us[of_unit] = to_us(times[of_unit])
            clean |= of_unit
    return pa.array(times_us), clean


def _is_zone(kind: Any) -> bool:
    """Whether Python knows the zone of a timestamp type; where it does not, the way of rows says so for each row."""
    try:
        pa.scalar(0, kind).as_py()
    except (ValueError, KeyError, LookupError):
        return False
    return True


def _scores(column: Any) -> tuple[Any, Flags]:
    numbers, clean = _floats(column)
    with np.errstate(invalid="ignore"):
        clean &= (numbers >= -1) & (numbers <= 1)
    # As `quantise`: times the scale, halves to even.
    return pa.array(np.rint(np.where(clean, numbers, 0) * SCORE_SCALE).astype(np.int32)), clean


def _numbers(column: Any, is_allowed: Callable[[Any], Any]) -> tuple[Any, Flags]:
    numbers, there = _floats(column)
    with np.errstate(invalid="ignore"):
        allowed = is_allowed(numbers)
    return pa.array(numbers, mask=~there), _nulls(column) | (there & allowed)


def _floats(column: Any) -> tuple[NDArray[np.float64], Flags]:
    """The numbers of a column, and whether there is one."""
    kind = column.type
    if not (pa.types.is_integer(kind) or kind in (pa.float32(), pa.float64())):
        return np.zeros(len(column)), np.zeros(len(column), np.bool_)
    # Not safe: a whole number that no float is goes to the nearest one, as float() does.
    numbers: NDArray[np.float64] = pc.fill_null(column.cast(pa.float64(), safe=False), 0).to_numpy()
    return numbers, ~_nulls(column)
