"""Refresh after 1,000 new scores on stores of 1 and 10 million: does it depend on the size of the store?

Both stores hold 100 tickers, 333,000 scores a day, over 3 and over 30 days. `live` replays the end of one day more in
the order of its scores, 1,000 at a time; `late` spreads the 1,000 over the whole last day, so that no file of it is
spared, and `scattered` over all days, as a backfill does. Each round is one append and one rollup; only the rollup is
timed. The plain way beside it is the full rebuild.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.harness import (
    FIRST_DAY_US,
    day_of_scores,
    in_child,
    percentile,
    report_child,
    rolled_up_copy,
    save,
    settings_of,
    versions,
)
from dashapp.model.time import US_PER_DAY
from dashapp.rollup.job import rollup
from dashapp.store.store import Store

SIZES = {1_000_000: 3, 10_000_000: 30}
TICKERS, NEW, DAY_SCORES = 100, 1_000, 333_333
# Live until what is written anew with each round, the newest file, has grown from nothing to its full size.
LIVE_ROUNDS, ROUNDS, WARM_UP = 130, 17, 2


def batches(kind: str, days: int) -> Iterator[pa.Table]:
    """The new scores of each round; `live` begins with those of the day so far."""
    if kind == "live":
        rows = day_of_scores(days, TICKERS, DAY_SCORES, tag="live").sort_by("published_us")
        yield rows.slice(0, DAY_SCORES - LIVE_ROUNDS * NEW)
        for number in range(LIVE_ROUNDS):
            yield rows.slice(DAY_SCORES - (LIVE_ROUNDS - number) * NEW, NEW)
        return
    for number in range(ROUNDS):
        rows = day_of_scores(days - 1, TICKERS, NEW, tag=f"{kind}{number}-")
        first_day = 0 if kind == "scattered" else days - 1
        begin_us, stop_us = (FIRST_DAY_US + day * US_PER_DAY for day in (first_day, days))
        published_us = np.random.default_rng(number).integers(begin_us, stop_us, NEW)
        place = rows.schema.get_field_index("published_us")
        yield rows.set_column(place, rows.field(place), pa.array(published_us))


def child(folder: Path, days: int, kind: str) -> None:
    """Time the refreshes of one store."""
    store = Store(settings_of(folder))
    times_ms = []
    for rows in batches(kind, days):
        store.scores.append(rows, accepted_us=FIRST_DAY_US)
        began = time.perf_counter()
        rollup(store)
        times_ms.append((time.perf_counter() - began) * 1e3)
    warm = times_ms[WARM_UP:]
    report_child(p50_ms=round(percentile(warm, 0.5), 1), p95_ms=round(percentile(warm, 0.95), 1))


def main() -> None:
    """Measure both sizes, all kinds, and the full rebuild of the larger."""
    figures = {}
    for scores, days in SIZES.items():
        folder = rolled_up_copy(scores, tickers=TICKERS, days=days)
        for kind in ("live", "late", "scattered"):
            figures[f"{scores}_{kind}"] = in_child("bench.refresh", str(folder), str(days), kind)
        if scores == max(SIZES):
            figures[f"{scores}_full_rebuild_s"] = round(rollup(Store(settings_of(folder)), full=True).seconds, 2)
        shutil.rmtree(folder)
    ratios = {
        f"{kind}_ratio": round(figures[f"{max(SIZES)}_{kind}"]["p50_ms"] / figures[f"{min(SIZES)}_{kind}"]["p50_ms"], 2)
        for kind in ("live", "late")
    }
    save(
        "refresh",
        {
            "new_scores": NEW,
            **figures,
            **ratios,
            "versions": versions("duckdb", "deltalake"),
        },
    )


if __name__ == "__main__":
    import sys

    if len(sys.argv) == 4:
        child(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
    else:
        main()
