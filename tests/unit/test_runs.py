"""What is made of runs, beside a loop over them."""

from __future__ import annotations

import functools
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashapp.store.runs import Runs


@pytest.mark.parametrize("operation", [np.maximum, np.minimum, np.bitwise_or])
@given(st.lists(st.one_of(st.integers(1, 9), st.integers(1, 400)), min_size=1, max_size=30), st.randoms())
def test_runs_are_reduced_as_one_by_one(operation: np.ufunc, counts: list[int], random: Random) -> None:
    rows = sum(counts)
    values = np.array([random.randrange(1 << 40) for _ in range(rows)])
    stops = np.cumsum(counts, dtype=np.int64)
    runs = Runs(stops - counts, rows)
    expected = [
        functools.reduce(operation, values[stop - count : stop]) for stop, count in zip(stops, counts, strict=True)
    ]
    assert runs.reduced(operation, values).tolist() == expected
    assert runs.count.tolist() == counts
    assert runs.stop.tolist() == stops.tolist()


@pytest.mark.parametrize("counts", [[1], [64], [65], [127], [128], [300], [300, 1], [1, 300], [200, 300, 1, 300]])
def test_runs_of_every_length_are_reduced(counts: list[int]) -> None:
    stops = np.cumsum(counts, dtype=np.int64)
    values = np.arange(sum(counts)) % 97
    expected = [int(values[stop - count : stop].max()) for stop, count in zip(stops, counts, strict=True)]
    assert Runs(stops - counts, sum(counts)).reduced(np.maximum, values).tolist() == expected
