"""Tables as CSV: times as ISO-8601 with Z, lists joined by a semicolon, nothing for null.

All of it is done by Arrow, without the interpreter: an export of millions of rows must not hold up those who wait for
an answer of a millisecond.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_QUOTED = '[",\r\n]'
_ISO = "%Y-%m-%dT%H:%M:%SZ"


def header(names: Sequence[str]) -> bytes:
    """The line of column names."""
    return lines(pa.table([pa.array([name]) for name in names], names=list(names)))


def lines(table: pa.Table) -> bytes:
    """A line for each row."""
    if not table.num_rows:
        return b""
    texts = [_quoted(_text(column.combine_chunks())) for column in table.columns]
    return joined(texts, ",")


def joined(texts: Sequence[pa.Array], between: str = "") -> bytes:
    """A line for each row of several columns of texts."""
    ended = pc.binary_join_element_wise(pc.binary_join_element_wise(*texts, between), "", "\n")
    _, offsets, characters = ended.buffers()
    first, last = np.frombuffer(offsets, np.int32)[[ended.offset, ended.offset + len(ended)]]
    whole: bytes = characters[int(first) : int(last)].to_pybytes()
    return whole


def _text(column: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(column.type):
        return moments(column)
    if pa.types.is_list(column.type):
        return pc.binary_join(column, ";")
    return number_text(column)


def number_text(column: pa.Array) -> pa.Array:
    """Numbers and booleans as texts; a whole number stays recognisable as a float."""
    text = column.cast(pa.string())
    if pa.types.is_floating(column.type):
        is_whole = pc.fill_null(pc.equal(pc.floor(column), column), False)
        longer = pc.replace_substring_regex(text.filter(is_whole), r"^(-?[0-9]+)$", r"\1.0")
        text = pc.replace_with_mask(text, is_whole, longer)
    return text


def moments(column: pa.Array) -> pa.Array:
    """ISO-8601, with fractions of a second only where there are some."""
    # A bucket's start recurs for every ticker, and writing a time takes 1 us.
    each = column.dictionary_encode()
    return _written(each.dictionary).take(each.indices)


def _written(column: pa.Array) -> pa.Array:
    # Without a zone, since Arrow would look for the data of UTC on the machine.
    exact = column.cast(pa.int64()).cast(pa.timestamp("us"))
    seconds = pc.floor_temporal(exact, unit="second")
    whole = pc.strftime(seconds.cast(pa.timestamp("s")), format=_ISO)
    return pc.if_else(pc.equal(seconds, exact), whole, pc.strftime(exact, format=_ISO))


def _quoted(text: pa.Array) -> pa.Array:
    text = pc.fill_null(text, "")
    is_quoted = pc.match_substring_regex(text, _QUOTED)
    if not pc.any(is_quoted).as_py():
        return text
    doubled = pc.replace_substring(text, '"', '""')
    return pc.if_else(is_quoted, pc.binary_join_element_wise('"', doubled, '"', ""), text)
