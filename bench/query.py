"""Series queries, not cached: one ticker one day of 1m, ten tickers the same, ten tickers 30 days of 1h.

On the 10 million score store (100 tickers, 30 days), rolled up, with and without a tail of 10,000 scores that no
rollup has seen, and written as the JSON that a chart reads. Beside it the plain ways on the same store: DuckDB folding
the raw scores of that day at query time, and pandas reading the bucket file.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable

import duckdb
import pandas as pd

from bench.harness import FIRST_DAY_US, day_of_scores, percentile, rolled_up_copy, save, settings_of, versions
from dashapp.model.resolution import Resolution, parse_resolution
from dashapp.model.time import US_PER_DAY
from dashapp.query.answer import columns_of
from dashapp.query.reply import inner_json
from dashapp.query.series import Series, SeriesReader
from dashapp.store.store import Store

SCORES, TICKERS, DAYS, ROUNDS = 10_000_000, 100, 30, 60

Question = Callable[[random.Random], list[Series]]


def timed_ms(run: Callable[[random.Random], object]) -> dict[str, float]:
    """p50 and p95 of a call that draws its own question."""
    draw = random.Random(1)
    times = []
    for _ in range(ROUNDS + 5):
        began = time.perf_counter()
        run(draw)
        times.append((time.perf_counter() - began) * 1e3)
    return {"p50_ms": round(percentile(times[5:], 0.5), 2), "p95_ms": round(percentile(times[5:], 0.95), 2)}


def ask(reader: SeriesReader, resolution: Resolution, tickers: int, days: int) -> Question:
    """A question for random tickers and a random range."""

    def run(draw: random.Random) -> list[Series]:
        names = [f"TK{number:03d}" for number in draw.sample(range(TICKERS), tickers)]
        start_us = FIRST_DAY_US + draw.randint(0, DAYS - days) * US_PER_DAY
        return reader.series(names, resolution, start_us, start_us + days * US_PER_DAY)

    return run


def as_json(run: Question) -> Callable[[random.Random], object]:
    """The same, written as a chart in the browser reads it."""
    return lambda draw: [inner_json(columns_of(series, 0)) for series in run(draw)]


def main() -> None:
    """Measure."""
    folder = rolled_up_copy(SCORES, tickers=TICKERS, days=DAYS)
    store = Store(settings_of(folder))
    reader = SeriesReader.over(store, settings_of(folder), preferred_scorer="bench@1")
    minute, hour = parse_resolution("1m"), parse_resolution("1h")
    questions = {
        "1_ticker_1_day_1m": ask(reader, minute, 1, 1),
        "10_tickers_1_day_1m": ask(reader, minute, 10, 1),
        "10_tickers_30_days_1h": ask(reader, hour, 10, 30),
    }
    figures = {name: timed_ms(run) for name, run in questions.items()}
    figures |= {f"{name}_as_json": timed_ms(as_json(run)) for name, run in questions.items()}
    files = {file.partition["date"]: file.path for file in store.scores.table.files()}
    days = sorted(files)
    plain = duckdb.connect()
    plain.execute("SET threads = 2")

    def raw(draw: random.Random) -> object:
        return plain.execute(
            """SELECT time_bucket(INTERVAL 1 minute, make_timestamp(published_us)) AS start,
            arg_min(score_e6, published_us), max(score_e6), min(score_e6), arg_max(score_e6, published_us), count(*)
            FROM read_parquet($file) WHERE ticker = $ticker GROUP BY ALL ORDER BY ALL""",
            {"file": files[draw.choice(days)], "ticker": f"TK{draw.randrange(TICKERS):03d}"},
        ).fetchall()

    buckets = {
        file.partition["period"]: file.path
        for file in store.buckets.table.files()
        if file.partition["resolution"] == minute.name
    }

    def by_pandas(draw: random.Random) -> object:
        frame = pd.read_parquet(buckets[draw.choice(days)])
        return frame[frame.ticker == f"TK{draw.randrange(TICKERS):03d}"]

    figures["1_ticker_1_day_1m_duckdb_from_raw"] = timed_ms(raw)
    figures["1_ticker_1_day_1m_pandas_bucket_file"] = timed_ms(by_pandas)
    store.scores.append(
        day_of_scores(DAYS - 1, TICKERS, 10_000, tag=f"tail{time.time_ns()}-"), accepted_us=FIRST_DAY_US
    )
    figures |= {f"{name}_with_tail": timed_ms(run) for name, run in questions.items()}
    save("query", {"scores": SCORES, "questions": figures, "versions": versions("duckdb", "pandas")})
    store.close()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
