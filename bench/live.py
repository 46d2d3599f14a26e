"""From a push to the event at the client: 100 streams, 1,000 streams, and how many until p95 passes a second.

A real server (one worker), 50 items a second over 13 tickers pushed one by one, streams of the default kind (all
tickers, 1m) read by another process; server, pushing and reading share the machine. An item has arrived at a stream
with the first event whose bucket counts it. Where there are many streams, 100 of them are timed and the rest are only
read.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import resource
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from bench.harness import percentile, save, versions

TICKERS = tuple(f"TK{number:02d}" for number in range(13))
ITEMS_PER_S = 50
TIMED_STREAMS = 100
SECONDS = 30.0
SEARCH_SECONDS = 12.0
SEARCH = (1_500, 2_000, 3_000, 4_000, 6_000, 8_000)
LIMIT_MS = 1_000.0

_EVENT = re.compile(rb'"ticker":"(\w+)","resolution":"1m","timestamp":"([^"]+)"[^\n]*?"count":(\d+)')

Item = tuple[str, str, int]  # ticker, minute, how many-th of that minute


def main() -> None:
    """Measure; `python -m bench.live brief` shows in seconds that it works."""
    brief = sys.argv[1:] == ["brief"]
    seconds, search = (4.0, ()) if brief else (SECONDS, SEARCH)
    figures: dict[str, Any] = {
        str(streams): measured(streams, seconds) for streams in ((20, 50) if brief else (100, 1_000))
    }
    passes = None
    for streams in search:
        figures[str(streams)] = measured(streams, SEARCH_SECONDS)
        if figures[str(streams)]["from_post_p95_ms"] > LIMIT_MS:
            passes = streams
            break
    result = {
        "items_per_s": ITEMS_PER_S,
        "tickers": len(TICKERS),
        "streams": figures,
        "p95_passes_1_s_at_streams": passes,
        "versions": versions("uvicorn", "fastapi", "deltalake", "duckdb"),
    }
    if brief:
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
    else:
        save("live", result)


def measured(streams: int, seconds: float) -> dict[str, Any]:
    """The figures of one number of streams, on a new store."""
    sys.stderr.write(f"{streams} streams, {seconds:g} s\n")
    with tempfile.TemporaryDirectory(dir=os.environ.get("TICKERTONE_BENCH_DIR")) as folder:
        server, port = _start_server(Path(folder), streams)
        try:
            reader = subprocess.Popen(
                [sys.executable, "-m", "bench.live", "read", str(port), str(streams)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert reader.stdin is not None
            assert reader.stdout is not None
            assert reader.stdout.readline() == "ready\n"
            cpu_s = _cpu_s(server.pid)
            began = time.monotonic()
            pushes = _push(port, seconds)
            time.sleep(2)
            used = (_cpu_s(server.pid) - cpu_s) / (time.monotonic() - began)
            memory_mb = _peak_mb(server.pid)
            reader.stdin.close()
            arrivals = json.loads(reader.stdout.read())
            reader.wait()
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(10)
    return {**_latencies(pushes, arrivals), "server_cpu": round(used, 2), "server_peak_mb": round(memory_mb)}


def _latencies(pushes: dict[Item, tuple[float, float]], arrivals: list[list[list[Any]]]) -> dict[str, Any]:
    """From sending a push, and from having its answer, to the event; each item counts once for each timed stream."""
    from_post, from_answer = [], []
    missing = 0
    for stream in arrivals:
        seen: dict[tuple[str, str], list[tuple[int, float]]] = {}
        for ticker, minute, count, at_s in stream:
            seen.setdefault((ticker, minute), []).append((count, at_s))
        for (ticker, minute, nth), (sent_s, answered_s) in pushes.items():
            at_s = next((at_s for count, at_s in seen.get((ticker, minute), ()) if count >= nth), None)
            if at_s is None:
                missing += 1
                continue
            from_post.append((at_s - sent_s) * 1e3)
            from_answer.append((at_s - answered_s) * 1e3)
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return {
        "items": len(pushes),
        "missing": missing,
        **{f"from_post_{name}_ms": round(percentile(from_post, share), 1) for name, share in shares.items()},
        **{f"from_answer_{name}_ms": round(percentile(from_answer, share), 1) for name, share in shares.items()},
        "from_post_max_ms": round(max(from_post), 1),
    }


def _start_server(folder: Path, streams: int) -> tuple[subprocess.Popen[bytes], int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    settings = {
        "TICKERTONE_DATA_DIR": str(folder / "store"),
        "TICKERTONE_PUSH_OPEN_ON_LOOPBACK": "yes",
        "TICKERTONE_LIVE_MAX_CONNECTIONS": str(streams + 100),
        "TICKERTONE_LOG_LEVEL": "warning",
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "dashapp", "run", "--port", str(port)],
        env={**os.environ, **settings},
        stdout=subprocess.DEVNULL,
        preexec_fn=_many_files,
    )
    deadline = time.monotonic() + 60
    while True:
        try:
            _post(http.client.HTTPConnection("127.0.0.1", port), "first", TICKERS[0], time.time() - 86_400)
        except OSError:
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)
        else:
            return server, port


def _push(port: int, seconds: float) -> dict[Item, tuple[float, float]]:
    """Push items one by one, each ticker by a thread of its own, and return when each was sent and answered."""
    pushes: dict[Item, tuple[float, float]] = {}
    until = time.time() + seconds

    def push(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        counts: dict[str, int] = {}
        due = time.time() + number / ITEMS_PER_S
        while due < until:
            time.sleep(max(0.0, due - time.time()))
            due += len(TICKERS) / ITEMS_PER_S
            sent_s = time.time()
            minute = time.strftime("%Y-%m-%dT%H:%M:00Z", time.gmtime(sent_s))
            counts[minute] = counts.get(minute, 0) + 1
            _post(connection, f"{number}-{sent_s}", TICKERS[number], sent_s)
            pushes[TICKERS[number], minute, counts[minute]] = (sent_s, time.time())
        connection.close()

    threads = [threading.Thread(target=push, args=(number,)) for number in range(len(TICKERS))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return pushes


def _post(connection: http.client.HTTPConnection, item_id: str, ticker: str, at_s: float) -> None:
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))
    item = {"id": item_id, "ts": moment, "tickers": [ticker], "score": 0.25, "source": "bench"}
    connection.request("POST", "/api/v2/items", json.dumps(item), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    told = json.loads(answer.read())
    assert told.get("accepted") == 1, told


def read(port: int, streams: int) -> None:
    """Read streams until stdin ends; print, for each timed one, what it was told: [ticker, minute, count, time]."""
    _many_files()
    selector = selectors.DefaultSelector()
    every = max(1, streams // TIMED_STREAMS)
    arrivals: list[list[list[Any]]] = []
    for number in range(streams):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(b"GET /api/v2/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.setblocking(False)
        timed = None
        if number % every == 0 and len(arrivals) < TIMED_STREAMS:
            timed = _Timed()
            arrivals.append(timed.arrivals)
        selector.register(connection, selectors.EVENT_READ, timed)
    selector.register(sys.stdin, selectors.EVENT_READ, "stdin")
    time.sleep(1)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        for key, _ in selector.select():
            if key.data == "stdin":
                sys.stdout.write(json.dumps(arrivals))
                return
            assert isinstance(key.fileobj, socket.socket)
            received = key.fileobj.recv(1 << 18)
            assert received, "a stream ended"
            if key.data is not None:
                key.data.take(received, time.time())


class _Timed:
    """A stream of which every rise of a count is kept with its time."""

    def __init__(self) -> None:
        self.arrivals: list[list[Any]] = []
        self._counts: dict[tuple[bytes, bytes], int] = {}
        self._rest = b""

    def take(self, received: bytes, at_s: float) -> None:
        """The next bytes of the stream."""
        whole, found, self._rest = (self._rest + received).rpartition(b"\n\n")
        if not found:
            return
        for ticker, minute, count in _EVENT.findall(whole):
            if int(count) > self._counts.get((ticker, minute), 0):
                self._counts[ticker, minute] = int(count)
                self.arrivals.append([ticker.decode(), minute.decode(), int(count), at_s])


def _many_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


if __name__ == "__main__":
    if sys.argv[1:2] == ["read"]:
        read(int(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
