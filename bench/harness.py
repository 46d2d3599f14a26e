"""What all benchmarks share: the machine, the stores they run on, child processes with peak memory, and result
files."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dashapp.config import Settings
from dashapp.model.time import US_PER_DAY
from dashapp.rollup.job import rollup
from dashapp.store.schema import SCORE_INPUT_SCHEMA
from dashapp.store.store import Store

RESULTS = Path(__file__).parent / "results"
STORES = Path(os.environ.get("TICKERTONE_BENCH_DIR", "/var/tmp")) / "tickertone-bench"
FIRST_DAY_US = 20_000 * US_PER_DAY  # 2024-10-04
SOURCES = ("newswire", "posts", "filings", "blogs", "desk")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory_bytes / 2**30),
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def versions(*packages: str) -> dict[str, str]:
    """The installed versions of what was measured."""
    return {package: version(package) for package in packages}


def save(name: str, figures: dict[str, Any], *, folder: Path = RESULTS) -> None:
    """Write the figures to NAME.json, in bench/results unless another folder is named, and to the screen."""
    folder.mkdir(exist_ok=True)
    text = json.dumps({"machine": machine(), **figures}, indent=2)
    (folder / f"{name}.json").write_text(text + "\n")
    sys.stdout.write(text + "\n")


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    return float(np.quantile(np.asarray(values), share))


def median_s(repeats: int, run: Callable[[], object]) -> float:
    """The median time of a call in seconds."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def in_child(module: str, *arguments: str) -> dict[str, Any]:
    """Run `python -m module arguments` and return the JSON object it prints last."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def report_child(**figures: Any) -> None:
    """Print the figures of a child process with its peak memory, for `in_child`."""
    sys.stdout.write(json.dumps({**figures, "peak_mb": peak_mb()}) + "\n")


def peak_mb(process_id: int | None = None) -> int:
    """The most memory a process, this one by default, has held since its start or `reset_peak`."""
    # Not ru_maxrss: that one is inherited from the parent.
    status = Path(f"/proc/{process_id or 'self'}/status").read_text()
    return round(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024)  # type: ignore[index]


def reset_peak() -> None:
    """Begin anew with the peak of this process."""
    Path("/proc/self/clear_refs").write_text("5")


def settings_of(folder: Path) -> Settings:
    """The default settings with another data folder."""
    return Settings(data_dir=folder)


def day_of_scores(day: int, tickers: int, rows: int, *, tag: str = "") -> pa.Table:
    """Scores of one day, spread evenly over tickers and seconds; the same for the same arguments."""
    random = np.random.default_rng((day, tickers, rows))
    published_us = FIRST_DAY_US + day * US_PER_DAY + random.integers(0, US_PER_DAY, rows)
    score_e6 = np.clip(random.normal(0, 300_000, rows), -1_000_000, 1_000_000).astype(np.int32)
    names = np.array([f"TK{number:03d}" for number in range(tickers)])
    item_ids = np.char.add(f"{tag}{day}-", random.permutation(rows).astype(str))
    empty = pa.nulls(rows)
    columns = {
        "item_id": pa.array(item_ids),
        "ticker": pa.array(names[random.integers(0, tickers, rows)]),
        "scorer": pa.array(["bench@1"]).take(pa.array(np.zeros(rows, dtype=np.int64))),
        "published_us": pa.array(published_us),
        "score_e6": pa.array(score_e6),
        "source": pa.array(np.array(SOURCES)[random.integers(0, len(SOURCES), rows)]),
        "text": pa.array([""]).take(pa.array(np.zeros(rows, dtype=np.int64))),
    }
    return pa.table({name: columns.get(name, empty) for name in SCORE_INPUT_SCHEMA.names}).cast(SCORE_INPUT_SCHEMA)


def store_of(scores: int, *, tickers: int, days: int) -> Path:
    """The folder of a store with that many scores, one commit a day, not rolled up; built once and kept."""
    folder = STORES / f"{scores}-{tickers}-{days}"
    done = folder / "COMPLETE"
    if not done.exists():
        store = Store(settings_of(folder), create=True)
        for day in range(days):
            store.scores.append(day_of_scores(day, tickers, scores // days), accepted_us=FIRST_DAY_US)
            sys.stderr.write(f"\rbuilding {folder.name}: day {day + 1} of {days}")
        sys.stderr.write("\n")
        store.close()
        done.touch()
    return folder


def rolled_up_copy(scores: int, *, tickers: int, days: int) -> Path:
    """A copy of the store with its buckets complete, to be changed by the measurement and removed by it."""
    source = store_of(scores, tickers=tickers, days=days)
    copy = source.with_name(f"{source.name}-copy")
    if copy.exists():
        shutil.rmtree(copy)
    shutil.copytree(source, copy)
    store = Store(settings_of(copy))
    rollup(store, full=True)
    store.close()
    return copy
