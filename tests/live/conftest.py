"""What the tests of the live stream share: a running server over a store that the test writes to."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from dashapp.model.score import Score
from dashapp.model.time import US_PER_SECOND
from dashapp.store.store import Store
from tests.live.sse import Stream
from tests.stores import HOUR_US, append, open_store, score

# Heartbeats come when everything is told; short ones let tests wait for them.
OPEN = {"TICKERTONE_PUSH_OPEN_ON_LOOPBACK": "yes", "TICKERTONE_LIVE_HEARTBEAT_S": "1"}


@dataclass
class Site:
    """A server, and its store opened a second time: what is appended here is another process's doing to the server."""

    url: str
    store: Store
    pid: int = 0

    def stream(self, **query: str) -> Stream:
        """A connection to the stream."""
        stream = Stream(self.url, **query)
        assert stream.status == 200, stream.response.read()
        return stream

    def append(self, *scores: Score) -> int:
        """Store scores; returns the version."""
        append(self.store, list(scores), accepted_us=time.time_ns() // 1_000)
        return self.store.scores.version

    def add(self, item_id: str, ticker: str, score_e6: int = 250_000, *, late_us: int = 0, **how: Any) -> int:
        """Store one score that was published now, or so long ago; returns the version."""
        return self.append(score(item_id, now_us() - late_us, score_e6, ticker=ticker, **how))

    def wait_known(self, version: int) -> None:
        """Until the server has followed the store to a version."""
        with self.stream(tickers="NOBODY") as stream:
            stream.wait_version(version)

    def push(self, *items: dict[str, Any]) -> dict[str, Any]:
        """Send items over HTTP."""
        body = "\n".join(map(json.dumps, items)).encode()
        request = urllib.request.Request(f"{self.url}/api/v2/items", body, {"Content-Type": "application/x-ndjson"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            told: dict[str, Any] = json.load(answer)
        return told

    def timeseries(self, ticker: str, resolution: str, **query: str) -> dict[str, Any]:
        """What a reload says."""
        asked = urlencode({"resolution": resolution, **query})
        with urllib.request.urlopen(f"{self.url}/api/v2/timeseries/{ticker}?{asked}", timeout=30) as answer:
            body: dict[str, Any] = json.load(answer)
        return body


def now_us() -> int:
    return time.time_ns() // 1_000


def stay_in_minute(seconds: float) -> None:
    """Wait for the next minute when this one has less than that left, so that what is open stays open."""
    left_s = 60 - now_us() / US_PER_SECOND % 60
    if left_s < seconds:
        time.sleep(left_s + 0.3)


@pytest.fixture(scope="module")
def site(server: Any) -> Iterator[Site]:
    """The server of this module."""
    running = server("serve", env=OPEN)
    store = open_store(running.data_dir)
    site = Site(running.url, store, running.process.pid)
    site.add("first", "KNOWN", late_us=HOUR_US)
    yield site
    store.close()
