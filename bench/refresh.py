"""Refresh after 1,000 new scores on stores of 1 and 10 million: does it depend on the size of the store?

Both stores hold 100 tickers, 333,000 scores a day, over 3 and over 30 days. The new scores fall on the last day, as
live ones do; `scattered` spreads them over all days instead, as a backfill does. Each round is one append and one
rollup; only the rollup is timed. The plain way beside it is the full rebuild.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.harness import (
    FIRST_DAY_US,
    day_of_scores,
    in_child,
    percentile,
    report_child,
    save,
    settings_of,
    store_of,
    versions,
)
from dashapp.model.time import US_PER_DAY
from dashapp.rollup.job import rollup
from dashapp.store.store import Store

SIZES = {1_000_000: 3, 10_000_000: 30}
TICKERS, NEW, ROUNDS = 100, 1_000, 15


def rolled_up_copy(scores: int, days: int) -> Path:
    """A copy of the store with its buckets complete, to be changed by the measurement."""
    source = store_of(scores, tickers=TICKERS, days=days)
    copy = source.with_name(f"{source.name}-refresh")
    if copy.exists():
        shutil.rmtree(copy)
    shutil.copytree(source, copy)
    store = Store(settings_of(copy))
    rollup(store, full=True)
    store.close()
    return copy


def child(folder: Path, days: int, scattered: bool) -> None:
    """Time ROUNDS refreshes of one store."""
    store = Store(settings_of(folder))
    times_ms = []
    for number in range(ROUNDS + 2):
        rows = day_of_scores(days - 1, TICKERS, NEW, tag=f"new{scattered}{number}-")
        if scattered:
            shifted = FIRST_DAY_US + np.random.default_rng(number).integers(0, days * US_PER_DAY, NEW)
            rows = rows.set_column(
                rows.schema.get_field_index("published_us"), rows.field("published_us"), pa.array(shifted)
            )
        store.scores.append(rows, accepted_us=FIRST_DAY_US)
        began = time.perf_counter()
        rollup(store)
        times_ms.append((time.perf_counter() - began) * 1e3)
    warm = times_ms[2:]
    report_child(p50_ms=round(percentile(warm, 0.5), 1), p95_ms=round(percentile(warm, 0.95), 1))


def main() -> None:
    """Measure both sizes, live and scattered, and the full rebuild of the larger."""
    figures = {}
    for scores, days in SIZES.items():
        folder = rolled_up_copy(scores, days)
        for kind in ("live", "scattered"):
            figures[f"{scores}_{kind}"] = in_child("bench.refresh", str(folder), str(days), kind)
        if scores == max(SIZES):
            figures[f"{scores}_full_rebuild_s"] = round(rollup(Store(settings_of(folder)), full=True).seconds, 2)
        shutil.rmtree(folder)
    small, large = (figures[f"{scores}_live"]["p50_ms"] for scores in SIZES)
    save(
        "refresh",
        {
            "new_scores": NEW,
            **figures,
            "live_ratio": round(large / small, 2),
            "versions": versions("duckdb", "deltalake"),
        },
    )


if __name__ == "__main__":
    import sys

    if len(sys.argv) == 4:
        child(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "scattered")
    else:
        main()
