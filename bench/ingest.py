"""Ingest: how many items a second become durable, pushed over HTTP and read from a file?

Three ways in, each into an empty store on the local disk, each counted at the end against what the store holds:
- `batches`: scored items in NDJSON batches of 500 over 4 connections;
- `singles`: one scored item in each request, from 50 clients that each wait for the answer before the next;
- `parquet`: `tickertone ingest` of one pre-scored Parquet file, the whole command timed, its start included.
Server and clients share the machine. The plain way beside the last is the same file, read row by row.

`python -m bench.ingest --seconds 3 --rows 200000` is a short run, whose figures are not saved.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.harness import FIRST_DAY_US, STORES, in_child, percentile, report_child, save, settings_of, versions
from dashapp.clock import now_us
from dashapp.ingest.scoring.scorer import load_scorer
from dashapp.ingest.service import Ingest
from dashapp.ingest.sources.file import read_file
from dashapp.model.time import to_iso
from dashapp.store.apikeys import ApiKeys
from dashapp.store.store import Store

BATCH_ITEMS, BATCH_CLIENTS, SINGLE_CLIENTS = 500, 4, 50
TICKERS = 13
FILE_DAYS = 5
HEADLINE = "${} shares move as analysts weigh quarterly results against guidance, number {}"


@dataclass(slots=True)
class Sent:
    """What a client was told, and how long it waited for each answer."""

    accepted: int = 0
    times_ms: list[float] = field(default_factory=list)


def item(name: str, number: int) -> dict[str, Any]:
    """A scored item, as a data engineer would send it."""
    ticker = f"TK{number % TICKERS:02d}"
    return {
        "id": f"{name}-{number}",
        "ts": to_iso(now_us()),
        "text": HEADLINE.format(ticker, number),
        "tickers": [ticker],
        "score": (number * 7_919 % 2_000_001 - 1_000_000) / 1_000_000,
        "source": "bench",
    }


async def client(port: int, key: str, body_of: Callable[[int], bytes], until_s: float) -> Sent:
    """Post bodies over one connection, each after the answer to the one before."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sent = Sent()
    number = 0
    while time.monotonic() < until_s:
        body = body_of(number)
        number += 1
        head = (
            f"POST /api/v2/items HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        began_s = time.perf_counter()
        writer.write(head.encode() + body)
        answer_head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(answer_head.split(b"content-length:")[1].split(b"\r\n")[0])
        answer = await reader.readexactly(length)
        sent.times_ms.append((time.perf_counter() - began_s) * 1e3)
        if not answer_head.startswith(b"http/1.1 200"):
            raise RuntimeError(f"{answer_head.decode()}{answer.decode()}")
        # The counts stand before the list of items, which is not worth the client's time.
        sent.accepted += int(answer[: answer.index(b",")].split(b":")[1])
    writer.close()
    return sent


async def clients(port: int, key: str, names: list[str], batch: int, seconds: float) -> list[Sent]:
    """All clients at once, for so long."""
    until_s = time.monotonic() + seconds

    def bodies(name: str) -> Callable[[int], bytes]:
        return lambda number: b"\n".join(
            json.dumps(item(name, number * batch + each)).encode() for each in range(batch)
        )

    return list(await asyncio.gather(*(client(port, key, bodies(name), until_s) for name in names)))


@contextmanager
def server(folder: Path) -> Iterator[int]:
    """A server over a store, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    # The limit of one key is not what is measured.
    environment = {**os.environ, "TICKERTONE_PUSH_ITEMS_PER_S": "1e9", "TICKERTONE_PUSH_BURST_ITEMS": "1000000000"}
    command = [sys.executable, "-m", "dashapp", "serve", "--data-dir", str(folder), "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1).close()
                break
            except (urllib.error.URLError, TimeoutError):
                time.sleep(0.1)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def pushed(names: list[str], batch: int, seconds: float) -> dict[str, Any]:
    """Push to a server of its own, and compare what was acknowledged with what is stored."""
    STORES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STORES) as name:
        folder = Path(name)
        key, _ = ApiKeys(folder).add("bench", now_us=now_us())
        with server(folder) as port:
            asyncio.run(clients(port, key, ["warm"], batch, 1.0))
            began_s = time.monotonic()
            sent = asyncio.run(clients(port, key, names, batch, seconds))
            took_s = time.monotonic() - began_s
        accepted = sum(each.accepted for each in sent)
        store = Store(settings_of(folder))
        with store.duck.cursor() as cursor:
            paths = [file.path for file in store.scores.table.files()]
            rows = cursor.rows(
                "SELECT count(*) FROM read_parquet($paths) WHERE item_id NOT LIKE 'warm-%'", {"paths": paths}
            )
        if rows[0][0] != accepted:
            raise RuntimeError(f"{accepted} items were acknowledged, {rows[0][0]} are stored")
        times_ms = [each for one in sent for each in one.times_ms]
        return {
            "items_per_s": round(accepted / took_s),
            "answer_p50_ms": round(percentile(times_ms, 0.5), 1),
            "answer_p95_ms": round(percentile(times_ms, 0.95), 1),
            "requests": len(times_ms),
            "commits": store.scores.version,
        }


def scored_file(rows: int) -> Path:
    """A Parquet file of scored items with texts, five days of them in the order of time; built once and kept."""
    path = STORES / f"scored-{rows}.parquet"
    if not path.exists():
        STORES.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(rows)
        tickers = np.array([f"TK{number:02d}" for number in range(TICKERS)])[random.integers(0, TICKERS, rows)]
        times_us = FIRST_DAY_US + np.sort(random.integers(0, FILE_DAYS * 86_400_000_000, rows))
        table = pa.table(
            {
                "id": pa.array([f"n-{number}" for number in range(rows)]),
                "published_at": pa.array(times_us, pa.timestamp("us", "UTC")),
                "ticker": pa.array(tickers),
                "score": pa.array(np.clip(random.normal(0, 0.3, rows), -1, 1)),
                "source": pa.array(np.array(["wire", "posts", "desk"])[random.integers(0, 3, rows)]),
                "text": pa.array([HEADLINE.format(*each) for each in zip(tickers, range(rows), strict=True)]),
            }
        )
        pq.write_table(table, path)
    return path


def ingested(path: Path, rows: int) -> dict[str, Any]:
    """Time the whole command on an empty store."""
    folder = STORES / "ingest-parquet"
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "dashapp", "ingest", str(path), "--json", "--data-dir", str(folder)]
    began_s = time.monotonic()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    took_s = time.monotonic() - began_s
    if json.loads(done.stdout)["accepted"] != rows:
        raise RuntimeError(done.stdout)
    shutil.rmtree(folder)
    return {"rows": rows, "seconds": round(took_s, 2), "rows_per_s": round(rows / took_s)}


def row_by_row(path: Path) -> None:
    """The plain way: every row an item."""
    folder = STORES / "ingest-rows"
    shutil.rmtree(folder, ignore_errors=True)
    store = Store(settings_of(folder), create=True)
    job = Ingest(store, load_scorer(), batch_rows=50_000, now_us=now_us)
    began_s = time.monotonic()
    summary = job.run(read_file(path), "rows")
    report_child(rows_per_s=round(summary.accepted / (time.monotonic() - began_s)))
    shutil.rmtree(folder)


def main() -> None:
    """Measure all three ways, and save the figures of a whole run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="how long each push is measured")
    parser.add_argument("--rows", type=int, default=2_000_000, help="rows of the Parquet file")
    parser.add_argument("--only", choices=["batches", "singles", "parquet"])
    asked = parser.parse_args()
    figures: dict[str, Any] = {}
    if asked.only in (None, "batches"):
        names = [f"b{number}" for number in range(BATCH_CLIENTS)]
        figures["batches_of_500"] = pushed(names, BATCH_ITEMS, asked.seconds)
    if asked.only in (None, "singles"):
        names = [f"s{number}" for number in range(SINGLE_CLIENTS)]
        figures["singles_from_50_clients"] = pushed(names, 1, asked.seconds)
    if asked.only in (None, "parquet"):
        path = scored_file(asked.rows)
        figures["parquet"] = ingested(path, asked.rows)
        small = scored_file(min(asked.rows, 100_000))
        figures["parquet_row_by_row"] = in_child("bench.ingest", "--child", str(small))
    is_whole = asked == parser.parse_args([])
    if is_whole:
        save("ingest", {**figures, "versions": versions("deltalake", "fastapi", "pyarrow", "uvicorn")})
    else:
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--child":
        row_by_row(Path(sys.argv[2]))
    else:
        main()
