"""CSV made by Arrow: what the csv module reads from it is what was written, to the last digit."""

from __future__ import annotations

import csv
import io
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from dashapp.model.time import MAX_US, MIN_US, to_iso
from dashapp.store.csv import header, lines

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20) | st.sampled_from(
    ['"', '""', ",", "\n", "\r", "\r\n", 'a"b,c\nd', " ", "", "é\\n", "'", ";"]
)
# Of the kinds that leave the store: millionths, and means of them.
NUMBERS = st.integers(-(10**15), 10**15).map(lambda number: number / 1e6) | st.floats(-1, 1)


def read(text: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.decode(), newline="")))


def written(column: list[Any], kind: pa.DataType) -> list[str]:
    """The texts of one column, read back; a second one stands beside it, since a line of nothing is no row."""
    table = pa.table({"value": pa.array(column, kind), "beside": pa.array(range(len(column)))})
    rows = read(lines(table))
    assert [beside for _, beside in rows] == [str(number) for number in range(len(column))]
    return [value for value, _ in rows]


@given(st.lists(TEXTS | st.none()))
def test_texts_survive_and_null_is_nothing(texts: list[str | None]) -> None:
    assert written(texts, pa.string()) == [text or "" for text in texts]


@given(st.lists(NUMBERS))
def test_numbers_survive_to_the_last_digit_and_look_like_floats(numbers: list[float]) -> None:
    shown = written(numbers, pa.float64())
    assert [float(text) for text in shown] == numbers
    assert all("." in text or "e" in text for text in shown)


@given(st.lists(st.integers(MIN_US, MAX_US) | st.integers(-100, 100).map(lambda seconds: seconds * 1_000_000)))
def test_times_are_written_as_everywhere_else(moments_us: list[int]) -> None:
    for kind in (pa.timestamp("us", tz="UTC"), pa.timestamp("us")):
        assert written(moments_us, kind) == [to_iso(moment_us) for moment_us in moments_us]


@given(st.lists(st.lists(TEXTS, min_size=1)))
def test_lists_are_joined(lists: list[list[str]]) -> None:
    assert written(lists, pa.list_(pa.string())) == [";".join(each) for each in lists]


def test_only_what_needs_quotes_has_them() -> None:
    table = pa.table({"a": ["x", 'q"', "c,", "l\n", "r\r", " s "], "b": [True, False, None, True, True, True]})
    assert lines(table) == b'x,true\n"q""",false\n"c,",\n"l\n",true\n"r\r",true\n s ,true\n'
    assert header(["a", "b,c"]) == b'a,"b,c"\n'
    assert lines(table.slice(2, 2)) == b'"c,",\n"l\n",true\n'
    assert lines(table.slice(0, 0)) == b""


def test_a_table_of_several_chunks_is_one_text() -> None:
    table = pa.concat_tables([pa.table({"a": [1, 2], "b": ["x", "y"]}), pa.table({"a": [3], "b": ["z"]})])
    assert lines(table) == b"1,x\n2,y\n3,z\n"
