"""Campaigns against the stream: a writer, clients that lose their connection again and again, and the reckoning."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dashapp.model.resolution import parse_resolution
from dashapp.model.time import parse_iso
from dashapp.rollup.job import rollup
from tests.live.sse import CurlStream, Mirror, Stream, expected
from tests.stores import DAY_US, HOUR_US, append, open_store, score

TICKERS = ("AAPL", "BRK-A", "MSFT", "NVDA", "TSLA")
# Most are on time; a score of a second ago, of a minute and a half, of an hour, of ten days; one of the near future.
LATENESS_US = (0, 0, 0, 0, 0, 0, 1_000_000, 90_000_000, HOUR_US, 10 * DAY_US, -70_000_000)
WISHES: tuple[dict[str, str], ...] = (
    {"resolutions": "1m", "scorer": "test@1"},
    {"resolutions": "24h,1m,1h,5m", "scorer": "test@1"},
    {"resolutions": "1h,1m", "tickers": "AAPL,MSFT", "scorer": "test@1"},
)


class Writing:
    """Scores that stream into a store from another thread and store than the server's, with rollups, until stopped."""

    def __init__(self, folder: Path, now_us: Callable[[], int], *, every_s: float, seed: int = 1) -> None:
        self._folder = folder
        self._now_us = now_us
        self._every_s = every_s
        self._draw = random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._version = 0
        self._thread.start()

    def stop(self) -> int:
        """End; returns the last version of the scores."""
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self._version

    def _write(self) -> None:
        store, draw, number = open_store(self._folder), self._draw, 0
        while not self._stop.wait(draw.expovariate(1 / self._every_s)):
            number += 1
            scores = [
                score(
                    f"w{draw.randrange(number * 3)}",  # some come twice
                    self._now_us() - draw.choice(LATENESS_US) - draw.randrange(3_000_000),
                    draw.randint(-1_000_000, 1_000_000),
                    ticker=draw.choice(TICKERS),
                    source=draw.choice(("wire", "posts")),
                )
                for _ in range(draw.randint(1, 6))
            ]
            append(store, scores, accepted_us=self._now_us())
            self._version = store.scores.version
            if number % 40 == 0:
                rollup(store)
        store.close()


class Client:
    """Somebody who keeps what the stream tells, and comes back with the last id whenever the connection is lost."""

    def __init__(self, wish: Mapping[str, str], open_stream: Callable[..., Stream] = Stream) -> None:
        self.wish = dict(wish)
        self._open_stream = open_stream
        self.mirror = Mirror()
        self.first_version = 0
        self.connections = 0

    def connect(self, url: str) -> Stream | None:
        """A connection that goes on from the last; None where there is no server."""
        last = {} if self.mirror.last_id is None else {"last_event_id": self.mirror.last_id}
        try:
            stream = self._open_stream(url, **self.wish, **last)
        except OSError:
            return None
        if stream.status != 200:
            stream.close()
            return None
        self.connections += 1
        return stream

    def begin(self, url: str) -> None:
        """Connect for the first time, and know from which version on everything has to be told."""
        stream = self.connect(url)
        assert stream is not None
        greeting = stream.wait(lambda event: event.name == "heartbeat")
        self.first_version = greeting.place[0]
        stream.close()
        self.mirror.take(stream.events)

    def roam(self, url: str, draw: random.Random, until_s: float) -> None:
        """Come and go until a time (of time.monotonic)."""
        while time.monotonic() < until_s:
            stream = self.connect(url)
            if stream is not None:
                time.sleep(min(draw.expovariate(2), max(0.0, until_s - time.monotonic())))
                stream.close()
                self.mirror.take(stream.events)
            time.sleep(draw.choice((0, 0, 0.05, 0.3, 1.5)))

    def finish(self, url: str, version: int) -> None:
        """Stay until everything up to a version was told, and all that is over by now."""
        stream = self.connect(url)
        assert stream is not None
        stream.wait_version(version, 30)
        enough = time.monotonic() + 1.5
        stream.wait(lambda event: event.name == "heartbeat" and time.monotonic() > enough, 30)
        stream.close()
        self.mirror.take(stream.events)

    def check(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """What it knows is what the oracle makes of all scores, and it knows which buckets are over."""
        resolutions = self.wish["resolutions"].split(",")
        tickers = self.wish.get("tickers", ",".join(TICKERS)).split(",")
        due = {
            key: bucket
            for key, bucket in expected(rows, resolutions).items()
            if bucket["revision"] > self.first_version and key[0] in tickers
        }
        assert len(due) > 5
        assert self.mirror.reloads == 0
        assert {key: self.mirror.shown.get(key) for key in due} == due
        assert self.mirror.last_id is not None
        told_ms = int(self.mirror.last_id.split("-")[2])
        over = {key: told_ms >= _end_ms(key) for key in self.mirror.is_partial}
        assert {key: not partial for key, partial in self.mirror.is_partial.items()} == over


def all_clients() -> list[Client]:
    """One for each wish, and one that is the command `curl`, where that is installed."""
    curl = [Client(WISHES[1], CurlStream)] if shutil.which("curl") else []
    return [*map(Client, WISHES), *curl]


def roam_all(url: str, clients: Sequence[Client], seconds: float, seed: int) -> None:
    """Let the clients come and go for that long."""
    until_s = time.monotonic() + seconds
    threads = [
        threading.Thread(target=client.roam, args=(url, random.Random(seed * 100 + number), until_s), daemon=True)
        for number, client in enumerate(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 30)
        assert not thread.is_alive()


def _end_ms(key: tuple[str, str, str]) -> int:
    _, resolution, timestamp = key
    return (parse_iso(timestamp) + parse_resolution(resolution).width_us) // 1_000
