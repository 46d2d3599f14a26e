"""Soak: one store under everything at once for long; files, memory and times stay flat.

Ingest every 250 ms, all jobs of `tickertone run`, listeners to the stream, and random reads. Some seconds always; an
hour is marked slow, and TICKERTONE_SOAK_S chooses another length for it.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dashapp.clock import now_us
from dashapp.model.resolution import RESOLUTIONS
from dashapp.model.time import date_of
from dashapp.store.store import Store
from tests.live.sse import Stream
from tests.stores import append, open_store, score, verification

if TYPE_CHECKING:
    from tests.conftest import ServerFactory

TICKERS = ("AAPL", "BRK-A", "MSFT", "NVDA", "TSLA")
EVERY_S = 0.25
# More often than anybody would, so that some seconds hold many rounds; vacuum and logs keep ten minutes at least.
PAUSES = {
    "TICKERTONE_ROLLUP_EVERY_S": "2",
    "TICKERTONE_COMPACT_EVERY_S": "3",
    "TICKERTONE_UPKEEP_EVERY_S": "5",
    "TICKERTONE_VERIFY_EVERY_S": "60",
    "TICKERTONE_VACUUM_AFTER_S": "600",
    "TICKERTONE_LOG_KEPT_S": "600",
}
# The most commits between two compactions, twice over for a slow machine, and what compaction leaves.
MOST_LIVE_FILES = 60


@dataclass(frozen=True)
class Sample:
    """The state at one moment: files of the newest date, files and log entries on the disk, memory of the server, and
    how long a read took."""

    live_files: int
    disk_files: int
    log_entries: int
    memory_mb: float
    read_ms: float


@pytest.mark.parametrize(
    ("seconds", "listeners"),
    [
        (10.0, 10),
        pytest.param(float(os.environ.get("TICKERTONE_SOAK_S", "3600")), 50, marks=pytest.mark.slow),
    ],
)
def test_a_store_under_everything_at_once_stays_as_it_is(
    tmp_path: Path, server: ServerFactory, seconds: float, listeners: int
) -> None:
    folder = tmp_path / "store"
    store = open_store(folder)
    append(store, [score(f"first-{ticker}", now_us(), 1, ticker=ticker) for ticker in TICKERS])
    running = server("run", data_dir=folder, env=PAUSES)
    streams = [Stream(running.url, resolutions="1m,5m,1h") for _ in range(listeners)]
    draw = random.Random(3)
    samples: list[Sample] = []
    number = 0
    end_s = time.monotonic() + seconds
    every = max(1, int(seconds / EVERY_S / 200))  # some 200 samples
    while (began_s := time.monotonic()) < end_s:
        number += 1
        append(
            store,
            [
                score(f"s{number}-{row}", now_us() - draw.randrange(90_000_000), draw.randint(-1_000_000, 1_000_000),
                      ticker=draw.choice(TICKERS))
                for row in range(draw.randint(1, 8))
            ],
            accepted_us=now_us(),
        )  # fmt: skip
        if number % every == 0:
            for stream in streams:  # an hour of them would fill the memory of this process
                del stream.events[:-10]
            samples.append(_sample(store, folder, running.process.pid, _read(running.url, draw)))
        time.sleep(max(0.0, EVERY_S - (time.monotonic() - began_s)))

    jobs = {job["name"]: job for job in json.loads(_get(f"{running.url}/api/v2/jobs"))["jobs"]}
    assert {name: job["errors"] for name, job in jobs.items()} == dict.fromkeys(jobs, 0)
    assert all(jobs[name]["runs"] > 0 for name in ("rollup", "compaction", "vacuum", "logs", "retention", "verify"))
    assert all(stream.events and not stream.is_over for stream in streams)
    for stream in streams:
        stream.close()
    assert running.stop() == 0
    print(f"{number} commits, {len(samples)} samples: {samples[0]} ... {samples[-1]}")
    assert max(sample.live_files for sample in samples) <= MOST_LIVE_FILES
    early, late = samples[len(samples) // 4 : len(samples) // 2], samples[-len(samples) // 4 :]
    # A quarter and some room on top: noise of a machine that does other things is no leak.
    assert _median(late, "memory_mb") <= 1.25 * _median(early, "memory_mb") + 30
    assert _median(late, "read_ms") <= 1.5 * _median(early, "read_ms") + 20
    if seconds > 3_000:  # when the ten minutes are long over
        assert _median(late, "disk_files") <= 1.5 * _median(early, "disk_files")
        assert _median(late, "log_entries") <= 1.5 * _median(early, "log_entries")
    store.close()
    assert verification(open_store(folder)).differ == 0


def _median(samples: Sequence[Sample], name: str) -> float:
    return statistics.median(getattr(sample, name) for sample in samples)


def _sample(store: Store, folder: Path, process: int, read_ms: float) -> Sample:
    store.scores.table.refresh()
    today = date_of(now_us())
    status = Path(f"/proc/{process}/status").read_text()
    (resident_kb,) = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")]
    return Sample(
        live_files=sum(file.partition["date"] == today for file in store.scores.table.files()),
        disk_files=sum(1 for _ in folder.glob("*/*/**/*.parquet")),
        log_entries=sum(1 for _ in folder.glob("*/_delta_log/*.json")),
        memory_mb=resident_kb / 1_000,
        read_ms=read_ms,
    )


def _read(url: str, draw: random.Random) -> float:
    """How long a read of random buckets takes, in milliseconds."""
    began_s = time.perf_counter()
    resolution = draw.choice(RESOLUTIONS).name
    body = _get(f"{url}/api/v2/timeseries/{draw.choice(TICKERS)}?resolution={resolution}&limit={draw.randint(1, 500)}")
    assert json.loads(body)["resolution"] == resolution
    return (time.perf_counter() - began_s) * 1_000


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        content: bytes = answer.read()
    return content
