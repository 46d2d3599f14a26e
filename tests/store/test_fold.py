"""Sums of squares, beside whole numbers of Python: where they fit into 64 bits and where they may not."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pyarrow as pa
import pytest

from dashapp.model.score import SCORE_SCALE
from dashapp.store import fold

COUNTS = (1, 5, 60, 300)


def scores_of(values: list[int]) -> fold._Scores:
    """Scores of one ticker, in order, as a fold holds them."""
    rows = len(values)
    columns = {
        "ticker": pa.array(["A"] * rows).dictionary_encode(),
        "scorer": pa.array(["s@1"] * rows).dictionary_encode(),
        "source": pa.array(["wire"] * rows).dictionary_encode(),
        "published_us": pa.array(range(rows), pa.int64()),
        "item_id": pa.array([f"i{row}" for row in range(rows)]),
        "score_e6": pa.array(values, pa.int32()),
        "position": pa.array(range(rows), pa.int64()),
    }
    return fold._Scores(pa.table(columns))


@pytest.mark.parametrize("few", [0, fold._FEW_SQUARES])
@pytest.mark.parametrize("before", [0, 2**62, 2**63 - 1, 2**64 - 1])
def test_squares_add_up_to_the_last_bit(monkeypatch: pytest.MonkeyPatch, few: int, before: int) -> None:
    """Also where the sum of all that come before in a file has run over."""
    monkeypatch.setattr(fold, "_FEW_SQUARES", few)
    draw = random.Random(before)
    values = [draw.choice((-SCORE_SCALE, SCORE_SCALE, draw.randint(-SCORE_SCALE, SCORE_SCALE))) for _ in range(366)]
    scores = scores_of(values)
    scores._square_sums = (scores._square_sums.view(np.uint64) + np.uint64(before)).view(np.int64)
    bounds = np.cumsum([0, *COUNTS])

    found = scores._sums_of_squares(bounds).to_pylist()

    expected = [sum(value**2 for value in values[first:stop]) for first, stop in itertools.pairwise(bounds)]
    assert [int(each) for each in found] == expected


def test_as_many_squares_as_are_summed_at_once_fit_into_64_bits_and_one_more_may_not() -> None:
    assert fold._FEW_SQUARES * SCORE_SCALE**2 < 2**64 <= (fold._FEW_SQUARES + 1) * SCORE_SCALE**2
