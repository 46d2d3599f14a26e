"""What a million items cost: CPU seconds of each step, bytes on the disk, memory, commits, and what viewers cost.

CPU seconds of the processes are counted, not the clock, so other work on the machine changes little. Two stores of the
same tickers, one ten times the other, show that the costs are per item. The results are what `tickertone capacity` goes
by, so they lie in the package, beside that command.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.harness import FIRST_DAY_US, day_of_scores, in_child, report_child, save, settings_of, versions
from dashapp.commands import capacity
from dashapp.ingest.sources.simulated import load_feed
from dashapp.model.time import US_PER_DAY, to_iso
from dashapp.rollup.job import rollup
from dashapp.rollup.verify import verify
from dashapp.store.reader import Reader
from dashapp.store.store import Store
from dashapp.web.server import free_port

TICKERS, DAYS = 100, 5
SIZES = (100_000, 1_000_000)
TEXTS = 20_000
ROUNDS, ROUND_ITEMS = 20, 1_000
PUSHES, PUSH_ITEMS, PUSH_PAUSE_S = 40, 100, 0.1
ASKED = 400
STREAMS = 50


def main() -> None:
    """Measure all; `brief` shows in seconds that it works and saves nothing."""
    brief = sys.argv[1:] == ["brief"]
    with tempfile.TemporaryDirectory(dir=os.environ.get("TICKERTONE_BENCH_DIR")) as folder:
        headlines = in_child("bench.capacity", "texts", folder)
        sizes = SIZES[:1] if brief else SIZES
        stores = {size: in_child("bench.capacity", "store", f"{folder}/{size}", str(size)) for size in sizes}
        small, large = stores[SIZES[0]], stores[sizes[-1]]
        costs = {
            "ingest_cpu_s_per_million": headlines["cpu_s_per_million"],
            "rebuild_cpu_s_per_million": large["rebuild_cpu_s_per_million"],
            "rollup_round_cpu_s": in_child("bench.capacity", "rounds", f"{folder}/{SIZES[0]}")["cpu_s_per_round"],
            "bytes_per_score": headlines["bytes_per_score"],
            "bytes_per_bucket": large["bytes_per_bucket"],
            **serving(Path(folder) / str(SIZES[0])),
        }
    figures = {
        "costs": costs,
        "store": {"tickers": TICKERS, "days": DAYS, "scores": sizes[-1], **large},
        "store_of_a_tenth": small,
        "versions": versions("duckdb", "deltalake", "uvicorn"),
    }
    if brief:
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    else:
        save("capacity", figures, folder=Path(capacity.__file__).parent)


def cpu_s(who: int = resource.RUSAGE_SELF) -> float:
    """CPU seconds so far, of all threads."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def texts(folder: Path) -> None:
    """`ingest` of headlines that it has to score, as JSONL: the dearest way in."""
    rows = []
    draw = random.Random(1)
    words = sorted(
        {word for item in load_feed(1).items(FIRST_DAY_US, FIRST_DAY_US + US_PER_DAY) for word in item.text.split()}
    )
    for item in load_feed(1).items(FIRST_DAY_US, FIRST_DAY_US + 60 * US_PER_DAY):
        # The feed has a few texts over and over, which takes hardly any space; others do not.
        text = " ".join([item.text, *draw.choices(words, k=6)])
        rows.append({"id": item.id, "ts": to_iso(item.published_us), "text": text})
        if len(rows) == TEXTS:
            break
    file = folder / "texts.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    empty = folder / "empty.jsonl"
    empty.write_text(json.dumps(rows[0]))
    used = []
    for source in (empty, file):  # the first pays for what every process pays once
        before = cpu_s(resource.RUSAGE_CHILDREN)
        command = [
            sys.executable,
            "-m",
            "dashapp",
            "ingest",
            str(source),
            "--json",
            "--data-dir",
            str(folder / "texts"),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        used.append(cpu_s(resource.RUSAGE_CHILDREN) - before)
    told = Store(settings_of(folder / "texts"))
    size_bytes = sum(each.size_bytes for each in told.scores.table.files())
    report_child(
        items=len(rows),
        cpu_s_per_million=round((used[1] - used[0]) / len(rows) * 1e6, 1),
        bytes_per_score=round(size_bytes / len(rows), 1),
    )


def store(folder: Path, scores: int) -> None:
    """Append, rebuild, verify: scores that come scored, without texts."""
    held = Store(settings_of(folder), create=True)
    days = [day_of_scores(day, TICKERS, scores // DAYS) for day in range(DAYS)]
    before = cpu_s()
    for rows in days:
        held.scores.append(rows, accepted_us=FIRST_DAY_US)
    appended = cpu_s()
    changed = rollup(held, full=True).buckets_changed
    rolled = cpu_s()
    result = verify(Reader(held, timeout_ms=3_600_000), progress=lambda _: None)
    verified = cpu_s()
    assert result.differ == 0
    files = {name: table.table.files() for name, table in (("score", held.scores), ("bucket", held.buckets))}
    report_child(
        append_cpu_s_per_million=round((appended - before) / scores * 1e6, 2),
        rebuild_cpu_s_per_million=round((rolled - appended) / scores * 1e6, 2),
        verify_cpu_s_per_million=round((verified - rolled) / scores * 1e6, 2),
        buckets=changed,
        bytes_per_score=round(sum(each.size_bytes for each in files["score"]) / scores, 1),
        bytes_per_bucket=round(sum(each.size_bytes for each in files["bucket"]) / changed, 1),
    )


def rounds(folder: Path) -> None:
    """One rollup of ROUND_ITEMS new scores after another, as `rollup --every` does it."""
    held = Store(settings_of(folder))
    used = 0.0
    for number in range(ROUNDS + 2):
        held.scores.append(day_of_scores(DAYS - 1, TICKERS, ROUND_ITEMS, tag=f"n{number}-"), accepted_us=FIRST_DAY_US)
        before = cpu_s()
        rollup(held)
        used += cpu_s() - before if number >= 2 else 0
    report_child(cpu_s_per_round=round(used / ROUNDS, 3))


def serving(folder: Path) -> dict[str, Any]:
    """What one server process uses at rest, for answers, for pushes, for streams that change all the time."""
    port = free_port("127.0.0.1")
    environment = {
        **os.environ,
        "TICKERTONE_DATA_DIR": str(folder),
        "TICKERTONE_PUSH_OPEN_ON_LOOPBACK": "yes",
        "TICKERTONE_LOG_LEVEL": "warning",
        "TICKERTONE_SCORER": "given@1",  # of what is pushed, and so streamed
    }
    command = [sys.executable, "-m", "dashapp", "serve", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _until_ready(url)
        idle_cpu = _used_while(process.pid, lambda: time.sleep(5)) / 5
        answers: list[bytes] = []
        uncached_s = _used_while(process.pid, lambda: answers.extend(_get(url, number) for number in range(ASKED)))
        cached_s = _used_while(process.pid, lambda: [_get(url, 0) for _ in range(ASKED)])
        alone_s = _used_while(process.pid, lambda: _push(url, "alone"))
        received_bytes = [0] * STREAMS
        streams = [urllib.request.urlopen(f"{url}/api/v2/stream?resolutions=1m") for _ in range(STREAMS)]

        def read(number: int) -> None:
            # Ends with the server, in the middle of the answer.
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
                while part := streams[number].read1(65_536):
                    received_bytes[number] += len(part)

        for number in range(STREAMS):
            threading.Thread(target=read, args=(number,), daemon=True).start()
        watched_s = _used_while(process.pid, lambda: _push(url, "watched"))
        status = Path(f"/proc/{process.pid}/status").read_text()
        seconds = PUSHES * PUSH_PAUSE_S
        return {
            "idle_cpu": round(idle_cpu, 4),
            "uncached_cpu_ms": round(uncached_s / ASKED * 1e3, 2),
            "cached_cpu_ms": round(cached_s / ASKED * 1e3, 2),
            "answer_bytes": sum(len(gzip.compress(each, 6)) for each in answers) // ASKED,
            "push_cpu_s_per_million": round((alone_s - idle_cpu * seconds) / (PUSHES * PUSH_ITEMS) * 1e6, 1),
            "stream_cpu_ms_per_viewer_s": round(max(0.0, watched_s - alone_s) / STREAMS / seconds * 1e3, 3),
            "stream_bytes_per_viewer_s": round(sum(received_bytes) / STREAMS / seconds),
            "web_mb": int(status.split("VmHWM:")[1].split()[0]) // 1024,
        }
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _until_ready(url: str) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=2):
            return
        time.sleep(0.1)
    raise TimeoutError(url)


def _get(url: str, number: int) -> bytes:
    """A day of 1m of one ticker, another for each number."""
    start_us = FIRST_DAY_US + number // TICKERS * US_PER_DAY
    start, end = to_iso(start_us), to_iso(start_us + US_PER_DAY)
    query = f"tickers=TK{number % TICKERS:03d}&scorer=bench@1&resolution=1m&start={start}&end={end}&format=columns"
    with urllib.request.urlopen(f"{url}/api/v2/timeseries?{query}") as answer:
        body: bytes = answer.read()
    return body


def _push(url: str, tag: str) -> None:
    """Batches of items that come scored, of 13 tickers, one every PUSH_PAUSE_S."""
    for push in range(PUSHES):
        now = datetime.now(UTC).isoformat()
        rows = [
            {"id": f"{tag}-{push}-{n}", "ts": now, "ticker": f"TK{n % 13:03d}", "text": "", "score": (n % 19 - 9) / 10}
            for n in range(PUSH_ITEMS)
        ]
        body = "\n".join(map(json.dumps, rows)).encode()
        request = urllib.request.Request(
            f"{url}/api/v2/items", body, {"Content-Type": "application/x-ndjson"}, method="POST"
        )
        began = time.monotonic()
        with urllib.request.urlopen(request) as answer:
            answer.read()
        time.sleep(max(0.0, PUSH_PAUSE_S - (time.monotonic() - began)))


def _used_while(pid: int, run: Callable[[], object]) -> float:
    """CPU seconds that a process used during a call."""
    before = _cpu_s_of(pid)
    run()
    return _cpu_s_of(pid) - before


def _cpu_s_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    if sys.argv[1:] in ([], ["brief"]):
        main()
    elif sys.argv[1] == "texts":
        texts(Path(sys.argv[2]))
    elif sys.argv[1] == "store":
        store(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        rounds(Path(sys.argv[2]))
