"""Full rebuild of all eight resolutions from 10 million scores (100 tickers, 30 days), beside other ways to do it.

`python -m bench.rollup` measures all; every contender runs in a process of its own, on the same Parquet files, with
warm file cache, and ends with Parquet on disk. The peers write one plain file per resolution; Tickertone also sorts,
partitions, flushes to disk and commits. All produce the same fields, and the totals are compared.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.harness import in_child, report_child, save, settings_of, store_of, versions

SCORES, TICKERS, DAYS = 10_000_000, 100, 30
SECONDS = {"1m": 60, "5m": 300, "10m": 600, "1h": 3600, "3h": 10800, "6h": 21600, "12h": 43200, "24h": 86400}
# What takes long varies less.
REPEATS = {"duckdb_one_pass": 7, "duckdb_one_pass_parquet": 7, "tickertone": 7, "pandas": 1}


def files_of(folder: Path) -> list[str]:
    """The score files of a store."""
    from dashapp.store.store import Store

    store = Store(settings_of(folder))
    return [file.path for file in store.scores.table.files()]


def tickertone(folder: Path, out: Path) -> int:
    """The product: `rollup --full`."""
    from dashapp.rollup.job import rollup
    from dashapp.store.store import Store

    return rollup(Store(settings_of(folder)), full=True).buckets_changed


def duckdb_one_pass(folder: Path, out: Path) -> int:
    """The yardstick: one plain GROUP BY of 1-minute open, high, low, close, count, into a table in memory."""
    return _duckdb(folder, "CREATE TABLE candles AS ")


def duckdb_one_pass_parquet(folder: Path, out: Path) -> int:
    """The same GROUP BY written to one Parquet file, unordered."""
    return _duckdb(folder, "COPY (", f") TO '{out}/candles.parquet' (FORMAT parquet, COMPRESSION zstd)")


def _duckdb(folder: Path, before: str, after: str = "") -> int:
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    connection.execute(
        f"""{before} SELECT ticker, time_bucket(INTERVAL 1 minute, make_timestamp(published_us)) AS start,
        arg_min(score_e6, published_us) AS open, max(score_e6) AS high, min(score_e6) AS low,
        arg_max(score_e6, published_us) AS close, count(*) AS count
        FROM read_parquet($files) GROUP BY ALL {after}""",
        {"files": files_of(folder)},
    )
    return 0


def polars(folder: Path, out: Path) -> int:
    """Polars: 1m from the scores, each coarser resolution from the one before, lazily, its streaming engine."""
    import polars as pl

    columns = ["ticker", "scorer", "published_us", "item_id", "score_e6", "label", "source", "position"]
    fine = (
        pl.scan_parquet(files_of(folder))
        .select(columns)
        .with_columns(start_us=pl.col("published_us") // 60_000_000 * 60_000_000)
        .sort("ticker", "published_us", "item_id")
        .group_by("ticker", "scorer", "start_us", maintain_order=True)
        .agg(
            open_e6=pl.col("score_e6").first(),
            open_us=pl.col("published_us").first(), open_id=pl.col("item_id").first(),
            high_e6=pl.col("score_e6").max(), low_e6=pl.col("score_e6").min(),
            close_e6=pl.col("score_e6").last(),
            close_us=pl.col("published_us").last(), close_id=pl.col("item_id").last(),
            count=pl.len().cast(pl.Int64), sum_e6=pl.col("score_e6").cast(pl.Int64).sum(),
            sumsq=(pl.col("score_e6").cast(pl.Int64) ** 2).sum(),
            positive=(pl.col("label") == "positive").sum(), neutral=(pl.col("label") == "neutral").sum(),
            negative=(pl.col("label") == "negative").sum(),
            sources=pl.col("source").unique().sort(),
            first_position=pl.col("position").min(), last_position=pl.col("position").max(),
        )
        .collect()
    )  # fmt: skip
    total = 0
    for name, seconds in SECONDS.items():
        if name != "1m":
            width = seconds * 1_000_000
            fine = (
                fine.lazy()
                .with_columns(start_us=pl.col("start_us") // width * width)
                .group_by("ticker", "scorer", "start_us", maintain_order=True)
                .agg(
                    *(pl.col(column).first() for column in ("open_e6", "open_us", "open_id")),
                    pl.col("high_e6").max(), pl.col("low_e6").min(),
                    *(pl.col(column).last() for column in ("close_e6", "close_us", "close_id")),
                    *(pl.col(each).sum() for each in ("count", "sum_e6", "sumsq", "positive", "neutral", "negative")),
                    pl.col("sources").list.explode(keep_nulls=False, empty_as_null=False).unique().sort(),
                    pl.col("first_position").min(), pl.col("last_position").max(),
                )
                .collect()
            )  # fmt: skip
        fine.write_parquet(out / f"{name}.parquet", compression="zstd")
        total += fine.height
    return total


def chdb(folder: Path, out: Path) -> int:
    """ClickHouse in process: 1m from the scores, each coarser resolution from the one before, in memory tables."""
    from chdb import session

    engine = session.Session()
    engine.query("CREATE DATABASE b ENGINE = Atomic")
    paths = f"{folder}/scores/date=*/*.parquet"
    sources = "arraySort(groupUniqArray(source)) AS sources"
    engine.query("SET max_threads = 2")
    first = f"""SELECT ticker, scorer, intDiv(published_us, 60000000) * 60000000 AS start_us,
        argMin(score_e6, (published_us, item_id)) AS open_e6, min(published_us) AS open_us,
        argMin(item_id, (published_us, item_id)) AS open_id, max(score_e6) AS high_e6, min(score_e6) AS low_e6,
        argMax(score_e6, (published_us, item_id)) AS close_e6, max(published_us) AS close_us,
        argMax(item_id, (published_us, item_id)) AS close_id, toInt64(count()) AS n,
        sum(toInt64(score_e6)) AS sum_e6, sum(toInt64(score_e6) * score_e6) AS sumsq,
        toInt64(countIf(label = 'positive')) AS positive, toInt64(countIf(label = 'neutral')) AS neutral,
        toInt64(countIf(label = 'negative')) AS negative, {sources},
        min(position) AS first_position, max(position) AS last_position
        FROM file('{paths}', Parquet) GROUP BY ticker, scorer, start_us"""
    total, finer = 0, ""
    for name, seconds in SECONDS.items():
        rows = first
        if finer:
            width = seconds * 1_000_000
            rows = f"""SELECT ticker, scorer, intDiv(f.start_us, {width}) * {width} AS start_us,
                argMin(open_e6, f.start_us) AS open_e6, min(f.open_us) AS open_us, argMin(open_id, f.start_us) AS
                open_id, max(high_e6) AS high_e6, min(low_e6) AS low_e6, argMax(close_e6, f.start_us) AS close_e6,
                max(f.close_us) AS close_us, argMax(close_id, f.start_us) AS close_id, sum(n) AS n, sum(f.sum_e6) AS
                sum_e6, sum(f.sumsq) AS sumsq, sum(f.positive) AS positive, sum(f.neutral) AS neutral, sum(f.negative)
                AS negative, arraySort(groupUniqArrayArray(f.sources)) AS sources, min(f.first_position) AS
                first_position, max(f.last_position) AS last_position
                FROM b.t{finer} AS f GROUP BY ticker, scorer, start_us"""
        engine.query(f"CREATE TABLE b.t{name} ENGINE = Memory AS {rows}")
        engine.query(f"SELECT * FROM b.t{name} INTO OUTFILE '{out}/{name}.parquet' FORMAT Parquet")
        total += int(str(engine.query(f"SELECT count() FROM b.t{name}")).strip())
        finer = name
    return total


def pandas(folder: Path, out: Path) -> int:
    """pandas: 1m from sorted scores, each coarser resolution from the one before; without the lists of sources."""
    import pandas as pd

    columns = ["ticker", "scorer", "published_us", "item_id", "score_e6", "label", "position"]
    frame = pd.concat([pd.read_parquet(path, columns=columns) for path in files_of(folder)])
    frame = frame.sort_values(["ticker", "published_us", "item_id"])
    frame["start_us"] = frame["published_us"] // 60_000_000 * 60_000_000
    frame["sumsq"] = frame["score_e6"].astype("int64") ** 2
    for label in ("positive", "neutral", "negative"):
        frame[label] = frame["label"] == label
    grouped = frame.groupby(["ticker", "scorer", "start_us"], sort=False, observed=True)
    fine = grouped.agg(
        open_e6=("score_e6", "first"), open_us=("published_us", "first"), open_id=("item_id", "first"),
        high_e6=("score_e6", "max"), low_e6=("score_e6", "min"),
        close_e6=("score_e6", "last"), close_us=("published_us", "last"), close_id=("item_id", "last"),
        count=("score_e6", "size"), sum_e6=("score_e6", "sum"), sumsq=("sumsq", "sum"),
        positive=("positive", "sum"), neutral=("neutral", "sum"), negative=("negative", "sum"),
        first_position=("position", "min"), last_position=("position", "max"),
    ).reset_index()  # fmt: skip
    how = dict.fromkeys(("open_e6", "open_us", "open_id"), "first") | {"high_e6": "max", "low_e6": "min"}
    how |= dict.fromkeys(("close_e6", "close_us", "close_id"), "last")
    how |= dict.fromkeys(("count", "sum_e6", "sumsq", "positive", "neutral", "negative"), "sum")
    how |= {"first_position": "min", "last_position": "max"}
    total = 0
    for name, seconds in SECONDS.items():
        if name != "1m":
            width = seconds * 1_000_000
            fine["start_us"] = fine["start_us"] // width * width
            fine = fine.groupby(["ticker", "scorer", "start_us"], sort=False, observed=True).agg(how).reset_index()
        fine.to_parquet(out / f"{name}.parquet", compression="zstd")
        total += len(fine)
    return total


CONTENDERS = {run.__name__: run for run in (duckdb_one_pass, duckdb_one_pass_parquet, tickertone, polars, chdb, pandas)}


def child(name: str, folder: Path) -> None:
    """Run one contender once and print its figures."""
    files_of(folder)  # imports and the table's log are not what is measured
    out = Path(tempfile.mkdtemp(dir=folder.parent))
    began = time.perf_counter()
    buckets = CONTENDERS[name](folder, out)
    report_child(seconds=round(time.perf_counter() - began, 3), buckets=buckets)
    shutil.rmtree(out)


def main() -> None:
    """Measure all contenders, interleaved."""
    folder = store_of(SCORES, tickers=TICKERS, days=DAYS)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS}
    for repeat in range(max(REPEATS.values())):
        for name in CONTENDERS:
            if repeat < REPEATS.get(name, 3):
                runs[name].append(in_child("bench.rollup", name, str(folder)))
                sys.stderr.write(f"{name}: {runs[name][-1]}\n")
    buckets = {name: each[0]["buckets"] for name, each in runs.items() if each[0]["buckets"]}
    if len(set(buckets.values())) != 1:
        raise SystemExit(f"the contenders do not agree: {buckets}")
    figures = {
        name: {
            "seconds": sorted(run["seconds"] for run in each)[len(each) // 2],
            "peak_mb": max(run["peak_mb"] for run in each),
        }
        for name, each in runs.items()
    }
    ours = figures["tickertone"]["seconds"]
    save(
        "rollup",
        {
            "scores": SCORES,
            "buckets": buckets["tickertone"],
            "contenders": figures,
            "tickertone_times_of": {name: round(ours / each["seconds"], 2) for name, each in figures.items()},
            "versions": versions("duckdb", "deltalake", "pyarrow", "polars", "chdb", "pandas"),
        },
    )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        child(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
