"""Whole numbers of 128 bits, as Arrow holds them: two words of 64 each, the low one first. None is below zero here."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Words = NDArray[np.uint64]  # of shape (numbers, 2)

_TYPE = pa.decimal128(38, 0)


def words_of(numbers: pa.ChunkedArray) -> Words:
    """The words of a column of decimal128(38, 0) without nulls."""
    one = numbers.combine_chunks()
    words: Words = np.frombuffer(one.buffers()[1], dtype="<u8").reshape(-1, 2)[one.offset : one.offset + len(one)]
    return words


def column_of(words: Words) -> pa.Array:
    """The column of these words."""
    return pa.Array.from_buffers(_TYPE, len(words), [None, pa.py_buffer(np.ascontiguousarray(words))])


def add(a: Words, b: Words) -> Words:
    """The sums, number by number."""
    sums = a + b
    sums[:, 1] += sums[:, 0] < a[:, 0]  # the carry
    return sums


def shifted(numbers: NDArray[np.int64], bits: int) -> Words:
    """Each number times two to the power of `bits`, below 64."""
    words = np.empty((len(numbers), 2), dtype=np.uint64)
    words[:, 0] = numbers.astype(np.uint64) << np.uint64(bits)
    words[:, 1] = numbers.astype(np.uint64) >> np.uint64(64 - bits) if bits else 0
    return words
