"""Tables as JSON lines: an object for each row, times as ISO-8601 with Z, null where there is nothing.

Made by Arrow, as CSV is, and for the same reason; see `dashapp.store.csv`.
"""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.compute as pc

from dashapp.store.csv import joined, moments, number_text

_ESCAPED = '[\\x00-\\x1f"\\\\]'
# The backslash first, since the others bring more of them.
_ESCAPES = {char: json.dumps(char)[1:-1] for char in ["\\", '"', *map(chr, range(32))]}


def lines(table: pa.Table) -> bytes:
    """A line for each row."""
    if not table.num_rows:
        return b""
    members: list[pa.Array] = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        opening = "{" if not members else ","
        value = pc.fill_null(_value(column.combine_chunks()), "null")
        members.append(pc.binary_join_element_wise(f"{opening}{json.dumps(name)}:", value, ""))
    return joined([pc.binary_join_element_wise(*members, "}", "")])


def _value(column: pa.Array) -> pa.Array:
    """The JSON of each value, null for null."""
    if pa.types.is_list(column.type):
        offsets = column.offsets
        inner = pa.ListArray.from_arrays(offsets, _value(column.values))
        return pc.binary_join_element_wise("[", pc.binary_join(inner, ","), "]", "")
    if pa.types.is_timestamp(column.type):
        return pc.binary_join_element_wise('"', moments(column), '"', "")
    if pa.types.is_string(column.type):
        return pc.binary_join_element_wise('"', _escaped(column), '"', "")
    return number_text(column)


def _escaped(text: pa.Array) -> pa.Array:
    if not pc.any(pc.match_substring_regex(text, _ESCAPED)).as_py():
        return text
    for char, escape in _ESCAPES.items():
        if pc.any(pc.match_substring(text, char)).as_py():
            text = pc.replace_substring(text, char, escape)
    return text
