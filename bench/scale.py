"""Does it scale: a store of 100 million scores (500 tickers, two years) beside one of a million of the same kind.

Both are made by the store's own append and rollup, a piece of 30 days at a time, each in a process of its own; what is
there already is gone on with. Tickers and hours are as uneven as in real feeds: a few tickers have most of the news,
New York's trading hours most of the day's, weekends little. Every score has a headline, invented but of real length.

`python -m bench.scale build` makes both stores, `python -m bench.scale` measures on them:
- refresh: one rollup after 1,000 new scores of the last day, with what appending them took;
- questions as a page asks them, from the store, not from a cache: of days anywhere in the two years, with the files in
  the memory of the machine (`warm`) and not (`cold`);
- `serve`: from its start to the first answer of /readyz, with the memory it then holds;
- the peak memory of each step and the bytes on the disk.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.harness import (
    FIRST_DAY_US,
    STORES,
    in_child,
    peak_mb,
    percentile,
    report_child,
    reset_peak,
    save,
    settings_of,
    versions,
)
from dashapp.clock import now_us
from dashapp.model.resolution import RESOLUTIONS, parse_resolution
from dashapp.model.time import US_PER_DAY, US_PER_SECOND
from dashapp.query.series import SeriesReader
from dashapp.rollup.job import rollup
from dashapp.store.compact import compact
from dashapp.store.schema import SCORE_INPUT_SCHEMA
from dashapp.store.store import Store

SIZES = {"large": (100_000_000, 730), "small": (1_000_000, 8)}  # scores, days
TICKERS, PIECE_DAYS, NEW, ROUNDS = 500, 30, 1_000, 7
SOURCES = ("newswire", "posts", "filings", "blogs", "desk")
WEEKEND_SHARE = 0.25  # of a working day's scores
IN_HOURS_SHARE = 0.7  # of a day's scores, around the middle of New York's trading day
MIDDLE_OF_HOURS, SPREAD_OF_HOURS = 0.70, 0.13  # in days
HEADLINES = 100_000
HEADLINE = "{name} {verb} {what} as analysts weigh {topic} against guidance, {number} % {move}"
WORDS = {
    "verb": ("beats", "misses", "cuts", "raises", "confirms", "reviews", "delays", "extends"),
    "what": ("quarterly results", "its outlook", "capital spending", "the dividend", "a buyback", "hiring plans"),
    "topic": ("margins", "demand in Asia", "input costs", "new orders", "regulation", "inventories", "pricing"),
    "move": ("higher", "lower", "up in early trading", "down before the open", "little changed after hours"),
}


class Clock:
    """Times what is done again and again; the processor's time tells what a machine with other work hides."""

    def __init__(self) -> None:
        self._times_ms: list[tuple[float, float]] = []

    @contextmanager
    def once(self) -> Iterator[None]:
        """Time what is done inside."""
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        yield
        self._times_ms.append(((time.perf_counter() - began_s) * 1e3, (time.process_time() - began_cpu_s) * 1e3))

    def figures(self, warm_up: int) -> dict[str, float]:
        """The first time, and p50 and p95 of those after the warm-up, in milliseconds."""
        times_ms, cpu_ms = zip(*self._times_ms[warm_up:], strict=True)
        return {
            "first_ms": round(self._times_ms[0][0], 1),
            "p50_ms": round(percentile(times_ms, 0.5), 1),
            "p95_ms": round(percentile(times_ms, 0.95), 1),
            "cpu_p50_ms": round(percentile(cpu_ms, 0.5), 1),
        }


def rows_of_days(scores: int, days: int) -> list[int]:
    """How many scores each day has."""
    weights = np.array(
        [WEEKEND_SHARE if (FIRST_DAY_US // US_PER_DAY + day + 3) % 7 > 4 else 1.0 for day in range(days)]
    )
    ends = np.rint(np.cumsum(weights) / weights.sum() * scores).astype(np.int64)
    return [int(rows) for rows in np.diff(ends, prepend=0)]


@cache
def names() -> tuple[pa.Array, NDArray[np.float64]]:
    """The tickers, and the share of the scores that each has."""
    weights = 1 / np.arange(1, TICKERS + 1) ** 0.7
    return pa.array([f"TK{number:03d}" for number in range(TICKERS)]), weights / weights.sum()


@cache
def headlines() -> pa.Array:
    """Invented headlines, all different."""
    draw = random.Random(1)
    return pa.array(
        HEADLINE.format(
            name=f"Company {number}", number=number % 97, **{key: draw.choice(of) for key, of in WORDS.items()}
        )
        for number in range(HEADLINES)
    )


def scores_of_day(day: int, rows: int, *, tag: str = "") -> pa.Table:
    """Scores of one day; the same for the same arguments."""
    chance = np.random.default_rng((day, rows))
    tickers, shares = names()
    around = chance.normal(MIDDLE_OF_HOURS, SPREAD_OF_HOURS, rows) % 1.0
    part = np.where(chance.random(rows) < IN_HOURS_SHARE, around, chance.random(rows))
    published_us = FIRST_DAY_US + day * US_PER_DAY + np.minimum((part * US_PER_DAY).astype(np.int64), US_PER_DAY - 1)
    score_e6 = np.clip(chance.normal(0, 300_000, rows), -1_000_000, 1_000_000).astype(np.int32)
    empty = pa.nulls(rows)
    columns = {
        "item_id": pa.array(np.char.add(f"{tag}{day:x}-", chance.permutation(rows).astype(str))),
        "ticker": tickers.take(pa.array(chance.choice(TICKERS, rows, p=shares))),
        "scorer": pa.repeat("bench@1", rows),
        "published_us": pa.array(published_us),
        "score_e6": pa.array(score_e6),
        "source": pa.array(SOURCES).take(pa.array(chance.integers(0, len(SOURCES), rows))),
        "text": headlines().take(pa.array(chance.integers(0, HEADLINES, rows))),
    }
    return pa.table({name: columns.get(name, empty) for name in SCORE_INPUT_SCHEMA.names}).cast(SCORE_INPUT_SCHEMA)


def folder_of(size: str) -> Path:
    """Where the store of a size is."""
    return STORES / f"scale-{size}"


def build(size: str, most_pieces: int) -> None:
    """Make the store of a size, or so many pieces more of it; what each took is kept beside it."""
    days = SIZES[size][1]
    folder = folder_of(size)
    notes = folder / "pieces.jsonl"
    store = Store(settings_of(folder), create=True)
    done = store.scores.version if store.buckets.seen == store.scores.version else store.buckets.seen
    store.close()
    for first in list(range(done, days, PIECE_DAYS))[:most_pieces]:
        piece = in_child("bench.scale", "piece", str(folder), size, str(first), str(min(first + PIECE_DAYS, days)))
        with notes.open("a", encoding="utf-8") as file:
            file.write(json.dumps(piece) + "\n")
        sys.stderr.write(f"{size}: {piece}\n")
    if done < days and _is_whole(size):
        figures = in_child("bench.scale", "upkeep", str(folder))
        with notes.open("a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")
        (folder / "COMPLETE").touch()


def _is_whole(size: str) -> bool:
    store = Store(settings_of(folder_of(size)))
    whole = store.scores.version == SIZES[size][1] == store.buckets.seen
    store.close()
    return whole


def build_piece(folder: Path, size: str, first: int, stop: int) -> None:
    """Append some days, one commit each, and roll them up."""
    rows = rows_of_days(*SIZES[size])
    store = Store(settings_of(folder), create=True)
    headlines()
    reset_peak()
    appending_s = making_s = 0.0
    for day in range(first, stop):
        began_s = time.perf_counter()
        batch = scores_of_day(day, rows[day])
        making_s += time.perf_counter() - began_s
        if day < store.scores.version:  # a piece that was ended in the middle
            continue
        began_s = time.perf_counter()
        store.scores.append(batch, accepted_us=FIRST_DAY_US + (day + 1) * US_PER_DAY)
        appending_s += time.perf_counter() - began_s
    del batch
    append_peak_mb = peak_mb()
    reset_peak()
    result = rollup(store)
    report_child(
        first_day=first,
        scores=sum(rows[first:stop]),
        making_s=round(making_s, 1),
        append_s=round(appending_s, 1),
        append_peak_mb=append_peak_mb,
        rollup_s=round(result.seconds, 1),
        buckets_changed=result.buckets_changed,
    )


def run_upkeep(folder: Path) -> None:
    """Upkeep with nobody else at the store, so that what rollups replaced can go at once."""
    store = Store(settings_of(folder))
    began_s = time.perf_counter()
    compact(store)
    tables = (store.scores.table, store.buckets.table)
    vacuumed = [table.vacuum(kept_s=0, now_s=now_us() / US_PER_SECOND) for table in tables]
    report_child(
        upkeep_s=round(time.perf_counter() - began_s, 1),
        freed_bytes=sum(each.freed_bytes for each in vacuumed),
        files=sum(each.files for each in vacuumed),
    )


def opened(folder: Path) -> None:
    """Open a store and take the first view of it."""
    began_s = time.perf_counter()
    store = Store(settings_of(folder))
    opened_s = time.perf_counter() - began_s
    reader = SeriesReader.over(store, settings_of(folder), preferred_scorer="bench@1")
    view = reader.reader.view()
    viewed_s = time.perf_counter() - began_s
    reader.reader.catalogue(view)
    report_child(
        open_ms=round(opened_s * 1e3),
        view_ms=round((viewed_s - opened_s) * 1e3),
        catalogue_ms=round((time.perf_counter() - began_s - viewed_s) * 1e3),
    )


def linked_copy(folder: Path, target: Path) -> None:
    """A copy that shares the files with the store, none of which is ever changed, to be added to."""
    shutil.copytree(folder, target, copy_function=os.link, ignore=shutil.ignore_patterns("cache", "spill"))


def refreshes(folder: Path, size: str) -> None:
    """Time ROUNDS refreshes of one store."""
    day = SIZES[size][1] - 1
    store = Store(settings_of(folder))
    clocks = {"append": Clock(), "rollup": Clock()}
    for number in range(ROUNDS + 2):
        rows = scores_of_day(day, NEW, tag=f"new{number}-")
        with clocks["append"].once():
            store.scores.append(rows, accepted_us=FIRST_DAY_US + (day + 1) * US_PER_DAY)
        with clocks["rollup"].once():
            rollup(store)
    report_child(**{name: clock.figures(2) for name, clock in clocks.items()})


def forget_files(folder: Path) -> None:
    """Have the machine forget what it holds of the files of a store."""
    for path in folder.rglob("*.parquet"):
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def questions(folder: Path, size: str, is_cold: bool) -> None:
    """Time what a page asks, of random tickers and days."""
    days = SIZES[size][1]
    store = Store(settings_of(folder))
    reader = SeriesReader.over(store, settings_of(folder), preferred_scorer="bench@1")
    figures: dict[str, Any] = {}
    for name, tickers, resolution, span_days in (
        ("1_ticker_1_day_1m", 1, parse_resolution("1m"), 1),
        ("10_tickers_30_days_1h", 10, parse_resolution("1h"), min(30, days)),
    ):
        clock, draw = Clock(), random.Random(2 if is_cold else 1)
        for _ in range(40 + 5):
            asked = [f"TK{number:03d}" for number in draw.sample(range(TICKERS), tickers)]
            start_us = FIRST_DAY_US + draw.randint(0, days - span_days) * US_PER_DAY
            with clock.once():
                reader.series(asked, resolution, start_us, start_us + span_days * US_PER_DAY)
        figures[name] = clock.figures(5)
    report_child(**figures)


def serving(folder: Path) -> dict[str, Any]:
    """How long `serve` takes to be ready, and what it holds in memory then."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [sys.executable, "-m", "dashapp", "serve", "--data-dir", str(folder), "--port", str(port)]
    began_s = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _until(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1).close())
        ready_s = time.perf_counter() - began_s
        address = f"http://127.0.0.1:{port}/api/v2/timeseries/TK000?resolution=1h"
        began_s = time.perf_counter()
        urllib.request.urlopen(address, timeout=30).close()
        return {
            "ready_s": round(ready_s, 2),
            "first_answer_ms": round((time.perf_counter() - began_s) * 1e3),
            "peak_mb": peak_mb(process.pid),
        }
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _until(ask: Callable[[], object]) -> None:
    for _ in range(3_000):
        try:
            ask()
            return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.01)
    raise TimeoutError("the server did not become ready")


def disk(folder: Path) -> dict[str, Any]:
    """What the store takes of the disk."""
    store = Store(settings_of(folder))
    scores, buckets = store.scores.table.files(), store.buckets.table.files()
    rows = {each.name: [file for file in buckets if file.partition["resolution"] == each.name] for each in RESOLUTIONS}
    logs = {
        name: sum(path.stat().st_size for path in (folder / name / "_delta_log").iterdir())
        for name in ("scores", "buckets")
    }
    keys = sum(path.stat().st_size for path in (folder / "keys").rglob("*.u64"))
    store.close()
    return {
        "scores": sum(file.rows for file in scores),
        "score_files": len(scores),
        "bytes_per_score": round(sum(file.size_bytes for file in scores) / sum(file.rows for file in scores), 1),
        "buckets": sum(file.rows for file in buckets),
        "bucket_files": len(buckets),
        "bytes_per_bucket": round(sum(file.size_bytes for file in buckets) / sum(file.rows for file in buckets), 1),
        "buckets_by_resolution": {name: sum(file.rows for file in files) for name, files in rows.items()},
        "key_bytes_per_score": round(keys / sum(file.rows for file in scores), 1),
        "log_bytes": logs,
        "total_bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
    }


def measure() -> None:
    """Measure both stores."""
    figures: dict[str, Any] = {}
    load = [os.getloadavg()[0]]  # of a machine with other work the times say little, the processor's times more
    for size in SIZES:
        folder = folder_of(size)
        if not (folder / "COMPLETE").exists():
            raise SystemExit(f"{folder} is not complete: run `python -m bench.scale build` first.")
        pieces = [json.loads(line) for line in (folder / "pieces.jsonl").read_text("utf-8").splitlines()]
        figures[size] = {"disk": disk(folder), "open": in_child("bench.scale", "opened", str(folder))}
        forget_files(folder)
        figures[size]["cold"] = in_child("bench.scale", "questions", str(folder), size, "cold")
        in_child("bench.scale", "questions", str(folder), size, "warm")
        figures[size]["warm"] = in_child("bench.scale", "questions", str(folder), size, "warm")
        figures[size]["serve"] = serving(folder)
        with tempfile.TemporaryDirectory(dir=STORES) as name:
            copy = Path(name) / "store"
            linked_copy(folder, copy)
            figures[size]["refresh"] = in_child("bench.scale", "refreshes", str(copy), size)
        load.append(os.getloadavg()[0])
        sys.stderr.write(f"{size}: {figures[size]}\n")
        figures[size]["build"] = {
            "append_s": round(sum(piece.get("append_s", 0) for piece in pieces)),
            "rollup_s": round(sum(piece.get("rollup_s", 0) for piece in pieces)),
            "append_peak_mb": max(piece.get("append_peak_mb", 0) for piece in pieces),
            "rollup_peak_mb": max(piece["peak_mb"] for piece in pieces if "rollup_s" in piece),
            "upkeep_s": pieces[-1]["upkeep_s"],
            "upkeep_peak_mb": pieces[-1]["peak_mb"],
        }
    refresh = {size: each["refresh"]["rollup"] for size, each in figures.items()}
    save(
        "scale",
        {
            "tickers": TICKERS,
            "new_scores": NEW,
            **figures,
            "load_average": [round(each, 1) for each in load],
            "refresh_ratio": round(refresh["large"]["p50_ms"] / refresh["small"]["p50_ms"], 2),
            "refresh_cpu_ratio": round(refresh["large"]["cpu_p50_ms"] / refresh["small"]["cpu_p50_ms"], 2),
            "versions": versions("duckdb", "deltalake", "pyarrow"),
        },
    )


def main() -> None:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale")
    steps = parser.add_subparsers(dest="step")
    building = steps.add_parser("build", help="make the stores, or some pieces more of them")
    building.add_argument("--size", choices=[*SIZES])
    building.add_argument("--most-pieces", type=int, default=1_000)
    for name, arguments in {
        "piece": ("folder", "size", "first", "stop"),
        "upkeep": ("folder",),
        "opened": ("folder",),
        "refreshes": ("folder", "size"),
        "questions": ("folder", "size", "how"),
    }.items():
        child = steps.add_parser(name)
        for argument in arguments:
            child.add_argument(argument)
    asked = parser.parse_args()
    match asked.step:
        case "build":
            for size in [asked.size] if asked.size else SIZES:
                build(size, asked.most_pieces)
        case "piece":
            build_piece(Path(asked.folder), asked.size, int(asked.first), int(asked.stop))
        case "upkeep":
            run_upkeep(Path(asked.folder))
        case "opened":
            opened(Path(asked.folder))
        case "refreshes":
            refreshes(Path(asked.folder), asked.size)
        case "questions":
            questions(Path(asked.folder), asked.size, asked.how == "cold")
        case _:
            measure()


if __name__ == "__main__":
    main()
