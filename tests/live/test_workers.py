"""Two workers of one server, and its end with streams open."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dashapp.model.time import to_iso
from tests.live.campaign import WISHES, Client, Writing, roam_all
from tests.live.conftest import OPEN, Site, now_us, stay_in_minute
from tests.live.sse import Stream
from tests.stores import DAY_US, HOUR_US, open_store, score, stored_scores


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server of two workers, started as an operator would."""
    folder = tmp_path_factory.mktemp("workers")
    process, url = start_workers(folder)
    store = open_store(folder / "store")
    site = Site(url, store, process.pid)
    site.add("first", "KNOWN", late_us=HOUR_US)
    yield site
    store.close()
    process.terminate()
    process.wait(20)
    print((folder / "log").read_text())


def start_workers(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TICKERTONE_")}
    command = "--factory dashapp.asgi:factory --workers 2 --timeout-graceful-shutdown 3 --host 127.0.0.1 --port"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", *command.split(), str(port)],
            env={**inherited, **OPEN, "TICKERTONE_DATA_DIR": str(folder / "store")},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while (folder / "log").read_text().count("Application startup complete") < 2:
        assert time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.1)
    return process, url


def spread(site: Site, **query: str) -> list[Stream]:
    """Streams of which some go to each worker: their heartbeats say how many each has."""
    streams = [site.stream(**query) for _ in range(12)]
    for stream in streams:
        stream.wait(lambda event: event.name == "heartbeat")
    time.sleep(1.2)
    for stream in streams:
        if [event for event in stream.events if event.name == "heartbeat"][-1].data["connections"] < len(streams):
            return streams
    pytest.fail("all streams went to one worker")


def test_two_workers_tell_the_same_in_the_same_places(workers: Site) -> None:
    stay_in_minute(20)
    streams = spread(workers, resolutions="1m,1h,24h", scorer="test@1")
    begin = max(stream.events[-1].place[0] for stream in streams)
    for number in range(25):
        at_us = now_us()
        version = workers.append(
            score(f"{number}-a", at_us, number, ticker="AAPL"),
            score(f"{number}-b", at_us, -number, ticker="MSFT"),
            score(f"{number}-c", at_us - (number % 5) * DAY_US, 5, ticker="ZM"),
        )
        time.sleep(0.05)
    for stream in streams:
        stream.wait_version(version)
        stream.close()
    contents: dict[Any, set[str]] = {}
    places: dict[Any, set[tuple[int, int]]] = {}
    for stream in streams:
        first_seen = set()
        for event in stream.buckets():
            if event.data["revision"] <= begin:
                continue
            state = (event.key, event.data["revision"])
            contents.setdefault(state, set()).add(repr(event.bucket))
            # The first event of a state is the change itself; later ones tell of its progress.
            if state not in first_seen:
                first_seen.add(state)
                places.setdefault(state, set()).add(event.place)
    assert len(contents) > 60
    assert [found for found in contents.values() if len(found) > 1] == []
    assert [found for found in places.values() if len(found) > 1] == []
    assert all(place[0] == revision for (_, revision), found in places.items() for place in found)


def test_a_client_may_come_back_to_the_other_worker(workers: Site) -> None:
    clients = [Client(wish) for wish in WISHES]
    for client in clients:
        client.begin(workers.url)
    writing = Writing(workers.store.data_dir, now_us, every_s=0.03, seed=5)
    roam_all(workers.url, clients, 8, 5)
    version = writing.stop()
    for client in clients:
        client.finish(workers.url, version)
        client.check(stored_scores(workers.store))


class Sending:
    """A connection to one of the workers, whichever takes it; it stays with that one."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        self.before = self.accepted()

    def push(self, *item_ids: str) -> list[str]:
        """What became of each item."""
        ts = to_iso(now_us())
        rows = [{"id": each, "ts": ts, "tickers": ["BOTH"], "score": 0.5} for each in item_ids]
        self._connection.request("POST", "/api/v2/items", "\n".join(map(json.dumps, rows)))
        answer = self._connection.getresponse()
        body = json.load(answer)
        assert answer.status == 200, body
        return [item["status"] for item in body["items"]]

    def get(self, path: str) -> str:
        self._connection.request("GET", path)
        return self._connection.getresponse().read().decode()

    def accepted(self) -> int:
        """Items that this worker has accepted."""
        (value,) = re.findall(r'^tickertone_ingest_items_total{outcome="accepted"} (\S+)', self.get("/metrics"), re.M)
        return int(float(value))

    def close(self) -> None:
        self._connection.close()


def test_what_is_pushed_to_both_workers_at_once_counts_once_and_is_told_by_both(workers: Site) -> None:
    stay_in_minute(20)
    with closing(Sending(workers.url)) as first:
        first.push("so that the scorer is known")
    senders = [Sending(workers.url) for _ in range(12)]
    streams = spread(workers, tickers="BOTH", resolutions="1m,24h", scorer="given@1")
    with ThreadPoolExecutor(len(senders)) as pool:
        told = list(
            pool.map(
                lambda number: senders[number].push(*(f"both-{each}" for each in range(40)), f"own-{number}"),
                range(len(senders)),
            )
        )
    assert all(statuses[-1] == "accepted" for statuses in told)
    for nth in range(40):
        assert sorted(statuses[nth] for statuses in told) == ["accepted"] + ["duplicate"] * (len(senders) - 1)
    gained = {sender.accepted() - sender.before for sender in senders}
    assert len(gained) == 2, "all went to one worker"
    assert sum(gained) == 40 + len(senders)
    last = [stream.wait_count("BOTH", 41 + len(senders), "24h") for stream in streams]
    assert len({repr(event.bucket) for event in last}) == 1
    assert len({event.data["revision"] for event in last}) == 1
    for stream in streams:
        stream.close()
    answers = [json.loads(sender.get("/api/v2/timeseries/BOTH?resolution=24h&scorer=given@1")) for sender in senders]
    for sender in senders:
        sender.close()
    assert {answer["partial_bucket"]["count"] for answer in answers} == {41 + len(senders)}


def test_workers_end_with_streams_open(tmp_path: Path) -> None:
    process, url = start_workers(tmp_path)
    streams = [Stream(url) for _ in range(10)]
    for stream in streams:
        stream.wait(lambda event: event.name == "heartbeat")
    began_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(10)
    assert time.monotonic() - began_s < 5
    for stream in streams:
        stream.wait_over()
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    assert "graceful shutdown exceeded" not in log


def test_a_server_ends_within_five_seconds_with_streams_open(server: Any) -> None:
    running = server("serve", data_dir=server.directory / "ending", env=OPEN)
    streams = [Stream(running.url) for _ in range(20)]
    for stream in streams:
        stream.wait(lambda event: event.name == "heartbeat")
    raw = raw_stream(running.url)
    began_s = time.monotonic()
    assert running.stop() == 0
    assert time.monotonic() - began_s < 5
    for stream in streams:
        stream.wait_over()
    received = b""
    while part := raw.recv(65_536):
        received += part
    raw.close()
    assert received.endswith(b"\r\n0\r\n\r\n"), "the answer was cut off instead of ended"
    assert "graceful shutdown exceeded" not in running.log
    assert "Traceback" not in running.log


def test_a_server_ends_within_five_seconds_though_a_client_reads_nothing(server: Any) -> None:
    running = server("serve", data_dir=server.directory / "stuck", env=OPEN)
    store = open_store(running.data_dir)
    stuck = raw_stream(running.url, receive_bytes=4_096)
    for round_ in range(30):
        at_us = now_us()
        store_scores = [score(f"{round_}-{number}", at_us, 1, ticker=f"T{number:03d}") for number in range(300)]
        Site(running.url, store).append(*store_scores)
    began_s = time.monotonic()
    assert running.stop() == 0
    assert time.monotonic() - began_s < 5
    stuck.close()
    store.close()


def test_the_place_of_a_client_that_left_is_free_at_once(server: Any) -> None:
    running = server("serve", data_dir=server.directory / "leaving", env=OPEN)
    streams = [Stream(running.url) for _ in range(5)]
    for stream in streams:
        stream.wait(lambda event: event.name == "heartbeat")
    assert clients(running.url) == 5
    for stream in streams[:3]:
        stream.close()
    deadline = time.monotonic() + 5
    while clients(running.url) != 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for stream in streams[3:]:
        stream.close()


def clients(url: str) -> int:
    """How many listen, by the metrics."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    (value,) = (line.split()[1] for line in lines if line.startswith("tickertone_stream_clients "))
    return int(float(value))


def raw_stream(url: str, *, receive_bytes: int = 0) -> socket.socket:
    """A connection to the stream that nobody reads yet."""
    parts = urlsplit(url)
    connection = socket.socket()
    if receive_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.connect((parts.hostname, parts.port))
    connection.settimeout(10)
    names = "1m,5m,10m,1h,3h,6h,12h,24h"
    connection.sendall(f"GET /api/v2/stream?resolutions={names} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return connection
