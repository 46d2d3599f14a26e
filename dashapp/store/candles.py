"""Candles: buckets as users see them, in columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Candles:
    """Buckets, a value of each in every array, ascending by `timestamp_us`.

    Scores (open, high, low, close, sum, avg) are exact to the millionth; `revision` is the store's version at which a
    bucket last changed; `source_set` numbers the lists in `source_sets`. Arrays, since ten tickers' day of 1m has
    245,000 values: to make objects of them, hand them on and forget them takes a third of the time of an answer.
    """

    timestamp_us: Counts
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    count: Counts
    sum: Floats
    avg: Floats
    positive: Counts
    neutral: Counts
    negative: Counts
    source_set: NDArray[np.integer[Any]]
    source_sets: Sequence[list[str]]
    revision: Counts

    def __len__(self) -> int:
        return len(self.timestamp_us)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Candles):
            return NotImplemented
        same = (np.array_equal(getattr(self, name), getattr(other, name)) for name in _ARRAYS if name != "source_set")
        return all(same) and self.sources == other.sources

    __hash__ = None  # type: ignore[assignment]  # arrays can be changed

    @property
    def sources(self) -> list[list[str]]:
        """The sources of each bucket; equal lists may be one and the same."""
        return [self.source_sets[number] for number in self.source_set.tolist()]

    def cut(self, first: int, stop: int) -> Candles:
        """Those from a place up to another, without copying."""
        arrays = {name: getattr(self, name)[first:stop] for name in _ARRAYS}
        return Candles(**arrays, source_sets=self.source_sets)


_ARRAYS = tuple(field.name for field in fields(Candles) if field.name != "source_sets")
