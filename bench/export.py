"""Export of 10 million buckets of 1m (100 tickers, 70 days) to Parquet, read back by DuckDB, Polars and pandas.

`python -m bench.export` measures; the export and each reader run in a process of their own, so that peaks of memory are
theirs. Rows a second count from the opened store to the durable file with its manifest; each sum must be the store's.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.harness import FIRST_DAY_US, SOURCES, STORES, in_child, report_child, save, settings_of, versions
from dashapp.model.resolution import FINEST
from dashapp.model.time import US_PER_DAY
from dashapp.rollup.job import rollup
from dashapp.store.schema import SCORE_INPUT_SCHEMA
from dashapp.store.store import Store

TICKERS, DAYS = 100, 70
REPEATS = 3
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


def tickertone(folder: Path, out: Path) -> dict[str, Any]:
    """The product: `export buckets --out FILE`, and what the store itself says the sums are."""
    from dashapp.query.export import Question
    from dashapp.query.series import SeriesReader
    from dashapp.query.takeout import Order, to_file

    settings = settings_of(folder)
    store = Store(settings)
    reader = SeriesReader.over(store, settings, preferred_scorer="bench@1")
    order = Order(reader, [Question("buckets", FINEST)], "parquet", store.scores.table.identity, lambda rows: None)
    began_s = time.perf_counter()
    manifest = to_file(order, out, force=True)
    return {
        "seconds": round(time.perf_counter() - began_s, 3),
        "rows": manifest.rows,
        "bytes": manifest.bytes,
        "sha256": manifest.files[0].sha256,
    }


def store_says(folder: Path, out: Path) -> dict[str, Any]:
    """The sums of the raw scores, by DuckDB over the table's files."""
    import duckdb

    files = [file.path for file in Store(settings_of(folder)).scores.table.files()]
    sql = "SELECT count(*), sum(score_e6)::BIGINT FROM read_parquet($files)"
    (sums,) = duckdb.sql(sql, params={"files": files}).fetchall()
    return {"scores": sums[0], "sum_e6": sums[1]}


def duckdb_reads(folder: Path, out: Path) -> dict[str, Any]:
    """DuckDB."""
    import duckdb

    sql = 'SELECT count(*), sum(sum_e6)::BIGINT, sum("count")::BIGINT FROM read_parquet($file)'
    (sums,) = duckdb.sql(sql, params={"file": str(out)}).fetchall()
    return {"rows": sums[0], "sum_e6": sums[1], "scores": sums[2]}


def polars_reads(folder: Path, out: Path) -> dict[str, Any]:
    """Polars, lazily."""
    import polars as pl

    sums = pl.scan_parquet(out).select(rows=pl.len(), sum_e6=pl.col("sum_e6").sum(), scores=pl.col("count").sum())
    return {name: int(value) for name, value in sums.collect().row(0, named=True).items()}


def pandas_reads(folder: Path, out: Path) -> dict[str, Any]:
    """pandas, the two columns."""
    import pandas as pd

    frame = pd.read_parquet(out, columns=["sum_e6", "count"])
    return {"rows": len(frame), "sum_e6": int(frame["sum_e6"].sum()), "scores": int(frame["count"].sum())}


STEPS = {each.__name__: each for each in (tickertone, store_says, duckdb_reads, polars_reads, pandas_reads)}


def child(name: str, folder: Path, out: Path) -> None:
    """One step, in this process."""
    began_s = time.perf_counter()
    figures = STEPS[name](folder, out)
    report_child(**{"seconds": round(time.perf_counter() - began_s, 3), **figures})


def main() -> None:
    """Measure."""
    folder = store_of_minutes(TICKERS, DAYS)
    out = STORES / "export" / "buckets.parquet"
    runs = [in_child("bench.export", "tickertone", str(folder), str(out)) for _ in range(REPEATS)]
    steps = {name: in_child("bench.export", name, str(folder), str(out)) for name in STEPS if name != "tickertone"}
    shutil.rmtree(out.parent)
    if len({run["sha256"] for run in runs}) != 1:
        raise SystemExit("the same revision gave different bytes")
    says = steps.pop("store_says")
    sums = {name: (each["rows"], each["scores"], each["sum_e6"]) for name, each in steps.items()}
    if set(sums.values()) != {(runs[0]["rows"], says["scores"], says["sum_e6"])}:
        raise SystemExit(f"the sums do not agree: {says} {sums}")
    middle = sorted(runs, key=lambda run: run["seconds"])[len(runs) // 2]
    save(
        "export",
        {
            "rows": middle["rows"],
            "seconds": middle["seconds"],
            "rows_per_s": round(middle["rows"] / middle["seconds"]),
            "peak_mb": max(run["peak_mb"] for run in runs),
            "bytes": middle["bytes"],
            "sha256": middle["sha256"],
            "sums": says,
            "read_back": {
                name: {figure: each[figure] for figure in ("seconds", "peak_mb")} for name, each in steps.items()
            },
            "versions": versions("pyarrow", "duckdb", "deltalake", "polars", "pandas"),
        },
    )


if __name__ == "__main__":
    if len(sys.argv) == 4:
        child(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
