"""Where the files of the buckets table lie in time, so that a question about a short range looks at few of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from dashapp.model.resolution import PeriodKind, Resolution
from dashapp.model.time import US_PER_DAY
from dashapp.store.tables import DataFile

_LONGEST_PERIOD_US: dict[PeriodKind, int] = {
    "day": US_PER_DAY,
    "month": 31 * US_PER_DAY,
    "year": 366 * US_PER_DAY,
}


class BucketIndex:
    """The files of the buckets table by resolution and time."""

    def __init__(self, files: Mapping[str, Sequence[DataFile]]) -> None:
        """`files` are those of each resolution, by its name."""
        self._files: dict[str, tuple[list[int], list[DataFile]]] = {}
        for name, found in files.items():
            ordered = sorted(found, key=lambda file: (file.bounds["start_us"][0], file.relative))
            self._files[name] = [file.bounds["start_us"][0] for file in ordered], ordered

    def within(self, resolution: Resolution, start_us: int, end_us: int) -> list[DataFile]:
        """The files that can hold a bucket of this resolution starting in [start_us, end_us), by time."""
        lows, files = self._files.get(resolution.name, ([], []))
        # A file holds one period, so it does not reach further than that from its first bucket.
        first = bisect_left(lows, start_us - _LONGEST_PERIOD_US[resolution.period_kind])
        stop = bisect_left(lows, end_us)
        return [file for file in files[first:stop] if file.bounds["start_us"][1] >= start_us]
