"""Clocks that jump, and hosts in odd zones: what is counted is the same, and nothing waits for a clock to catch up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from unittest import mock

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from dashapp import asgi
from dashapp.config import Settings
from dashapp.model.time import EpochUs, parse_iso, to_iso
from dashapp.rollup.job import rollup
from dashapp.rollup.jobs import Did, keep_up
from tests.api.client import Clock
from tests.stores import DAY_US, HOUR_US, append, open_store, score, verification

NOW = parse_iso("2024-03-31T00:59:59Z")
MARK = "-- next --"
ALL = f"""
import json, sys
from dashapp import cli
for command in json.loads(sys.argv[1]):
    assert cli.main([*command, "--data-dir", sys.argv[2]]) == 0
    print({MARK!r}, flush=True)
"""
JUMPS_US = (0, 2 * HOUR_US, -3 * HOUR_US, DAY_US, -40 * DAY_US, 40 * DAY_US)


def test_a_clock_that_jumps_under_a_server_loses_nothing_and_every_push_is_shown_at_once(tmp_path: Path) -> None:
    clock = Clock(EpochUs(NOW))
    settings = Settings(data_dir=tmp_path, push_open_on_loopback="yes")
    with mock.patch.object(asgi, "now_us", clock):
        app = asgi.build(settings)

    async def work() -> None:
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
        ):
            for count, jump_us in enumerate(JUMPS_US, start=1):
                clock.now_us = EpochUs(clock.now_us + jump_us)
                item = {"id": str(count), "ts": to_iso(clock.now_us), "ticker": "AAPL", "text": f"good {count}"}
                answer = await client.post("/api/v2/items", json=item)
                assert answer.status_code == 200, answer.text
                assert answer.json()["accepted"] == 1, answer.text
                body = (await client.get("/api/v2/tickers")).json()
                assert [each["count"] for each in body["tickers"]] == [count]
                # The bucket of now is open, whatever was open before.
                body = (await client.get("/api/v2/timeseries/AAPL?resolution=1h")).json()
                assert body["partial_bucket"]["timestamp"] == to_iso(clock.now_us - clock.now_us % HOUR_US)
                if count == 3:
                    store = open_store(tmp_path)
                    rollup(store)
                    store.close()

    with start_blocking_portal() as portal:
        portal.call(work)
    store = open_store(tmp_path)
    rollup(store)
    assert verification(store).differ == 0
    store.close()


@pytest.mark.parametrize("jump_us", [-DAY_US, DAY_US])
def test_jobs_go_on_when_the_clock_jumps_between_two_runs(tmp_path: Path, jump_us: int) -> None:
    store = open_store(tmp_path)
    append(store, [score("a", 0, 1)])
    store.close()
    ahead_us = 0
    runs: list[float] = []
    stop = threading.Event()

    def now_us() -> EpochUs:
        return EpochUs(time.time_ns() // 1_000 + ahead_us)

    def report(name: str, did: Did) -> None:
        nonlocal ahead_us
        runs.append(time.monotonic())
        if len(runs) == 2:
            ahead_us = jump_us
        if len(runs) == 4:
            stop.set()

    threading.Timer(20, stop.set).start()
    keep_up(Settings(data_dir=tmp_path), ["rollup"], stop, now_us, every_s=0.1, report=report)
    assert len(runs) == 4
    assert runs[-1] - runs[0] < 15


def test_the_zone_of_the_host_changes_nothing(tmp_path: Path) -> None:
    # Over changes of summer time, in zones of odd quarters, and one that is off by more than any country.
    moments = ["2024-03-31T00:59:59.5Z", "2024-04-06T15:30:00+01:00", "2024-10-27T01:30:00Z", "1969-12-31T23:59:59Z"]
    rows = [
        {"id": str(number), "ts": moment, "ticker": "AAPL", "text": f"good {number}"}
        for number, moment in enumerate(moments)
    ]
    (tmp_path / "news.jsonl").write_text("\n".join(map(json.dumps, rows)))
    commands = [
        ["ingest", "news.jsonl"],
        ["rollup"],
        ["query", "AAPL", "--resolution", "24h", "--start", "1969-01-01", "--end", "2025-01-01", "--format", "csv"],
        ["query", "AAPL", "--resolution", "1h", "--start", "2024-03-30", "--end", "2024-10-28", "--format", "csv"],
        ["verify"],
    ]
    told = []
    for number, zone in enumerate(("UTC", "Pacific/Chatham", "XYZ-24:59:59")):
        # A process of its own, since a zone is read when Python starts.
        done = subprocess.run(
            [sys.executable, "-c", ALL, json.dumps(commands), str(tmp_path / str(number))],
            cwd=tmp_path,
            env={**os.environ, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        )
        told.append(done.stdout.split(MARK)[2:])
    # Each query printed a line for the header and one for each bucket.
    assert [len(text.strip().splitlines()) for text in told[0][:2]] == [5, 4]
    assert told[0] == told[1] == told[2]
