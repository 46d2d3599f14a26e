"""placeholder"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.harness import FIRST_DAY_US, SOURCES, STORES, settings_of
from dashapp.model.time import US_PER_DAY
from dashapp.rollup.job import rollup
from dashapp.store.schema import SCORE_INPUT_SCHEMA
from dashapp.store.store import Store

MINUTES_A_DAY = 1_440


def minutes_of_day(day: int, tickers: int) -> pa.Table:
    """One score in every minute of a day for every ticker, at any second of it; the same for the same arguments."""
    random = np.random.default_rng((day, tickers))
    rows = tickers * MINUTES_A_DAY
    minute = np.tile(np.arange(MINUTES_A_DAY), tickers)
    names = np.array([f"TK{number:03d}" for number in range(tickers)])
    columns = {
        "item_id": pa.array(np.char.add(f"{day}-", np.arange(rows).astype(str))),
        "ticker": pa.array(np.repeat(names, MINUTES_A_DAY)),
        "scorer": pa.array(["bench@1"]).take(pa.array(np.zeros(rows, dtype=np.int64))),
        "published_us": pa.array(
            FIRST_DAY_US + day * US_PER_DAY + minute * 60_000_000 + random.integers(0, 60_000_000, rows)
        ),
        "score_e6": pa.array(np.clip(random.normal(0, 300_000, rows), -1_000_000, 1_000_000).astype(np.int32)),
        "source": pa.array(np.array(SOURCES)[random.integers(0, len(SOURCES), rows)]),
        "text": pa.array([""]).take(pa.array(np.zeros(rows, dtype=np.int64))),
    }
    empty = pa.nulls(rows)
    return pa.table({name: columns.get(name, empty) for name in SCORE_INPUT_SCHEMA.names}).cast(SCORE_INPUT_SCHEMA)


def store_of_minutes(tickers: int, days: int) -> Path:
    """The folder of a store with a bucket in every minute for every ticker, rolled up; built once and kept."""
    folder = STORES / f"minutes-{tickers}-{days}"
    done = folder / "COMPLETE"
    if not done.exists():
        store = Store(settings_of(folder), create=True)
        for day in range(days):
            store.scores.append(minutes_of_day(day, tickers), accepted_us=FIRST_DAY_US + (day + 1) * US_PER_DAY)
            sys.stderr.write(f"\rbuilding {folder.name}: day {day + 1} of {days}")
        rollup(store)
        store.close()
        done.touch()
    return folder
