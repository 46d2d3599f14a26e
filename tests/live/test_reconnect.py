"""Clients that lose their connection again and again, slow ones, and servers that are killed: nothing is missed."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from fastapi import FastAPI

from dashapp.api.hub import Hub
from dashapp.api.journal import Journal
from dashapp.api.metrics import Metrics
from dashapp.api.stream import build_stream_router
from dashapp.config import Settings
from dashapp.model.time import EpochUs, to_iso
from dashapp.query.cache import ResponseCache
from dashapp.query.series import SeriesReader
from dashapp.rollup.live import Live
from dashapp.store.follow import Follower
from tests.live.campaign import WISHES, Client, Writing, all_clients, roam_all
from tests.live.conftest import OPEN, Site, now_us, stay_in_minute
from tests.live.sse import Mirror, Stream, expected
from tests.stores import HOUR_US, MINUTE_US, append, open_store, score, stored_scores, verification

# A minute of the fast clock is two seconds.
SPEED = 30


class FastServer:
    """The stream alone on a real port, with a clock on which a minute is two seconds."""

    def __init__(self, folder: Path, *, speed: int = SPEED, began_us: int | None = None) -> None:
        """`began_us` is when its clock began to run fast, from the start of a minute on; now without one."""
        self.speed = speed
        self.began_us = began_us or now_us()
        settings = Settings(data_dir=folder, live_heartbeat_s=0.3, live_poll_ms=10)
        self.store = open_store(folder)
        reader = SeriesReader.over(self.store, settings, preferred_scorer="test@1")
        follower = Follower(self.store, reader.reader, timeout_ms=60_000)
        live = Live(follower, self.now_us, poll_ms=10, replay_max_rows=100_000)
        self._pool = ThreadPoolExecutor(2)
        metrics = Metrics(reader, ResponseCache(folder / "cache", 1_000_000))
        self._hub = Hub(live, self.now_us, reader.scorer, self._pool, metrics, max_connections=100, heartbeat_s=0.3)
        app = FastAPI(on_startup=[self._hub.start], on_shutdown=[self._hub.stop])
        app.include_router(build_stream_router(self._hub, reader.scorer, self._pool))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        config = uvicorn.Config(app, port=port, log_level="warning", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def now_us(self) -> EpochUs:
        return EpochUs(self.began_us - self.began_us % MINUTE_US + (now_us() - self.began_us) * self.speed)

    def stop(self) -> None:
        self._hub.end_soon()
        self._server.should_exit = True
        self._thread.join(10)
        self._pool.shutdown()
        self.store.close()


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_on_a_fast_clock_nothing_is_missed_and_every_end_is_told(tmp_path: Path, seed: int) -> None:
    server = FastServer(tmp_path)
    clients = [Client(wish) for wish in WISHES]
    for client in clients:
        client.begin(server.url)
    writing = Writing(tmp_path, server.now_us, every_s=0.05, seed=seed)
    roam_all(server.url, clients, 12, seed)
    version = writing.stop()
    for client in clients:
        client.finish(server.url, version)
    rows = stored_scores(server.store)
    server.stop()
    assert sum(client.connections for client in clients) > 20
    for client in clients:
        client.check(rows)


def test_every_end_is_told_that_came_while_no_server_was_there(tmp_path: Path) -> None:
    names = [f"T{number}" for number in range(7)]
    server = FastServer(tmp_path, speed=8)
    store = open_store(tmp_path)
    at_us = server.now_us()
    append(store, [score(f"i-{name}", at_us, 5, ticker=name) for name in names], accepted_us=at_us)
    with Stream(server.url, resolutions="1m,24h") as stream:
        stream.wait_version(store.scores.version)
        assert {event.data["ticker"] for event in stream.buckets() if event.data["resolution"] == "1m"} == {*names}
        last = stream.last_id
        told_ms = stream.events[-1].ms
    server.stop()
    end_us = at_us - at_us % MINUTE_US + MINUTE_US
    time.sleep(max(0.0, (end_us - server.now_us()) / server.speed / 1e6 + 0.1))
    late_us = server.now_us()
    append(store, [score("late", late_us, 6, ticker=names[0])], accepted_us=late_us)
    server = FastServer(tmp_path, speed=server.speed, began_us=server.began_us)
    assert last is not None
    with Stream(server.url, resolutions="1m,24h", last_event_id=last) as stream:
        stream.wait(lambda event: event.name == "heartbeat")
        missed = stream.events[: len(names) + 3]
    # What ended first, all but the last with the time of before: who is cut off in between is told them all again.
    first_minute = [event for event in missed if event.data.get("timestamp") == to_iso(end_us - MINUTE_US)]
    ended = [event for event in first_minute if event.data["resolution"] == "1m"]
    server.stop()
    store.close()
    assert sorted(event.data["ticker"] for event in ended) == names
    assert {event.name for event in ended} == {"bucket_update"}
    assert [event.ms for event in ended[:-1]] == [told_ms] * (len(names) - 1)
    assert ended[-1].ms > told_ms
    assert {event.place for event in ended} == {tuple(map(int, last.split("-")[:2]))}


def test_a_fault_of_the_hub_is_logged_and_ends_the_streams_instead_of_silencing_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = FastServer(tmp_path)
    stream = Stream(server.url)
    stream.wait(lambda event: event.name == "heartbeat")
    monkeypatch.setattr(Journal, "advance", lambda *_: 1 // 0)
    stream.wait_over()
    server.stop()
    assert "the live stream has failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("seconds", [6, pytest.param(60, marks=pytest.mark.slow)])
def test_a_client_that_reconnects_at_random_ends_with_what_verify_says(site: Site, seconds: float) -> None:
    clients = all_clients()
    for client in clients:
        client.begin(site.url)
    writing = Writing(site.store.data_dir, now_us, every_s=0.03)
    roam_all(site.url, clients, seconds, 1)
    version = writing.stop()
    for client in clients:
        client.finish(site.url, version)
        client.check(stored_scores(site.store))
    assert verification(site.store).differ == 0


@pytest.mark.parametrize("kills", [2, pytest.param(15, marks=pytest.mark.slow)])
def test_a_killed_server_costs_no_client_anything(server: Any, kills: int) -> None:
    running = server("serve", data_dir=server.directory / f"killed{kills}", env=OPEN)
    clients = all_clients()
    for client in clients:
        client.begin(running.url)
    writing = Writing(running.data_dir, now_us, every_s=0.03)
    over = threading.Event()

    def keep_roaming() -> None:
        seed = 0
        while not over.is_set():
            seed += 1
            roam_all(running.url, clients, 2, seed)

    roaming = threading.Thread(target=keep_roaming, daemon=True)
    roaming.start()
    for _ in range(kills):
        time.sleep(2)
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait()
        time.sleep(0.5)
        running = server("serve", data_dir=running.data_dir, port=running.port, env=OPEN)
    over.set()
    roaming.join(30)
    version = writing.stop()
    store = open_store(running.data_dir)
    for client in clients:
        client.finish(running.url, version)
        client.check(stored_scores(store))
    assert verification(store).differ == 0
    store.close()


def test_what_was_missed_while_a_server_was_down_is_told_by_the_next(server: Any) -> None:
    stay_in_minute(30)
    running = server("serve", data_dir=server.directory / "down", env=OPEN)
    store = open_store(running.data_dir)
    site = Site(running.url, store)
    site.add("first", "AAPL", 1)
    with site.stream(resolutions="1m,24h", scorer="test@1") as stream:
        stream.wait_count("AAPL", 1, "24h")
        last_id = stream.last_id
    assert running.stop() == 0
    late = site.add("late", "AAPL", 2, late_us=HOUR_US * 30)
    site.add("next", "AAPL", 3)
    last = site.append(score("other", now_us(), 4, ticker="MSFT"), score("last", now_us(), 5))
    site.url = server("serve", data_dir=running.data_dir, env=OPEN).url
    with site.stream(resolutions="1m,24h", scorer="test@1", last_event_id=last_id) as stream:
        stream.wait(lambda event: event.name == "heartbeat")
        told = [(event.place, event.name, *event.key[:2], event.data["count"]) for event in stream.buckets()[:6]]
    assert told == [
        ((late, 1), "bucket_update", "AAPL", "1m", 1),
        ((late, 8), "bucket_update", "AAPL", "24h", 1),
        ((last, 1), "partial_bucket", "AAPL", "1m", 3),
        ((last, 2), "partial_bucket", "MSFT", "1m", 1),
        ((last, 15), "partial_bucket", "AAPL", "24h", 3),
        ((last, 16), "partial_bucket", "MSFT", "24h", 1),
    ]
    store.close()


@pytest.fixture
def stuck(site: Site) -> Iterator[list[socket.socket]]:
    """Connections whose clients read nothing, with as little room on their side as the kernel gives."""
    parts = urlsplit(site.url)
    sockets = []
    for _ in range(8):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.connect((parts.hostname, parts.port))
        names = "1m,5m,10m,1h,3h,6h,12h,24h"
        connection.sendall(
            f"GET /api/v2/stream?resolutions={names}&scorer=test@1 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        )
        sockets.append(connection)
    yield sockets
    for connection in sockets:
        connection.close()


def test_slow_clients_are_merged_and_cost_no_memory(site: Site, stuck: list[socket.socket]) -> None:
    before_mb = _resident_mb(site.pid)
    total = 0
    for round_ in range(40):
        at_us = now_us()
        scores = [score(f"slow-{round_}-{number}", at_us, number, ticker=f"SLOW{number:03d}") for number in range(400)]
        total += len(scores) * 8 * 450  # bytes of events for one client
        site.append(*scores)
    with site.stream(tickers="SLOW000", scorer="test@1") as stream:
        stream.wait_version(site.store.scores.version)
    grown_mb = _resident_mb(site.pid) - before_mb
    assert total * len(stuck) > 400e6
    assert grown_mb < 150, f"{grown_mb:.0f} MB more for {len(stuck)} clients that read nothing"
    # Who begins to read again is told the present, not the history.
    received = b""
    stuck[0].settimeout(2)
    mark = f'"revision":{site.store.scores.version},'.encode()
    while received.count(mark) < 400 * 8 and len(received) < 100e6:
        received += stuck[0].recv(1 << 20)
    assert len(received) < total / 4


def test_a_slow_client_ends_with_the_truth(site: Site) -> None:
    class Slow(Stream):
        def _take(self, fields: dict[str, str]) -> None:
            super()._take(fields)
            time.sleep(0.001)

    stream = Slow(site.url, resolutions="1m,5m", scorer="test@1")
    first = stream.wait(lambda event: event.name == "heartbeat")
    for round_ in range(15):
        at_us = now_us() - round_ * 61_000_000
        site.append(*(score(f"s{round_}-{number}", at_us, number, ticker=f"S{number:03d}") for number in range(200)))
    stream.wait_version(site.store.scores.version, 60)
    mirror = Mirror()
    mirror.take(stream.events)
    stream.close()
    due = {
        key: bucket
        for key, bucket in expected(stored_scores(site.store), ("1m", "5m")).items()
        if bucket["revision"] > first.place[0]
    }
    assert {key: mirror.shown.get(key) for key in due} == due


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
