"""A process that appends batch after batch and prints an acknowledgement of each: what it printed must never be lost.

`python -m tests.campaign.appender FOLDER NAME BATCHES SIZE`. Ids are NAME-BATCH-NUMBER, over two dates; every batch
begins with a few rows of the batch before, which are duplicates.
"""

from __future__ import annotations

import sys
from pathlib import Path

from dashapp.model.score import Score
from tests.stores import DAY_US, append, open_store, score


def batch(name: str, number: int, size: int) -> list[Score]:
    """The rows of one batch, without those it repeats."""
    return [
        score(
            f"{name}-{number}-{row}",
            (row % 2) * DAY_US + (number * 1_000 + row) * 77_777_777 % DAY_US,
            (number * 7_919 + row * 104_729) % 2_000_001 - 1_000_000,
            ticker=("AAPL", "MSFT")[row % 2],
        )
        for row in range(size)
    ]


def main(folder: str, name: str, batches: str, size: str) -> None:
    """Append them all."""
    store = open_store(Path(folder))
    for number in range(int(batches)):
        repeated = batch(name, number - 1, int(size))[: int(size) // 4] if number else []
        append(store, [*repeated, *batch(name, number, int(size))])
        print(f"{name} {number}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
