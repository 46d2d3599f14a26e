"""Numbers of 128 bits: sums and shifts are those of Python's own integers."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from dashapp.store import wide

BIG = st.integers(0, 10**37)


def column(numbers: list[int]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array([Decimal(number) for number in numbers], pa.decimal128(38, 0))])


@given(st.lists(st.tuples(BIG, BIG), min_size=1))
def test_sums_are_exact_beyond_64_bits(pairs: list[tuple[int, int]]) -> None:
    a, b = (wide.words_of(column([pair[side] for pair in pairs])) for side in (0, 1))
    assert wide.column_of(wide.add(a, b)).to_pylist() == [Decimal(x + y) for x, y in pairs]


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1), st.integers(0, 40))
def test_shifts_are_exact_beyond_64_bits(numbers: list[int], bits: int) -> None:
    words = wide.shifted(np.array(numbers, dtype=np.int64), bits)
    assert wide.column_of(words).to_pylist() == [Decimal(number << bits) for number in numbers]


def test_a_slice_of_a_column_has_its_own_words() -> None:
    assert wide.words_of(column([1, 2, 3]).slice(1)).tolist() == [[2, 0], [3, 0]]
