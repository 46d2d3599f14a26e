"""A client of the stream for tests: raw HTTP, one thread, every event kept with the time it came."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests import oracle

BUCKET_EVENTS = ("bucket_update", "partial_bucket")
# What a bucket event says of the moment and not of the scores.
OF_THE_MOMENT = ("is_partial", "progress_pct", "next_update_at")

ShownKey = tuple[str, str, str]  # ticker, resolution, timestamp


@dataclass(frozen=True)
class Event:
    """One event: `at_s` is when it came, by time.time()."""

    name: str
    id: str
    data: dict[str, Any]
    at_s: float

    @property
    def place(self) -> tuple[int, int]:
        """Version and number of the change its reader has been told of."""
        version, nth, _ = self.id.split("-")
        return int(version), int(nth)

    @property
    def ms(self) -> int:
        return int(self.id.split("-")[2])

    @property
    def key(self) -> ShownKey:
        return self.data["ticker"], self.data["resolution"], self.data["timestamp"]

    @property
    def bucket(self) -> dict[str, Any]:
        """What it says of the scores."""
        return {name: value for name, value in self.data.items() if name not in OF_THE_MOMENT}


class Stream:
    """One connection to the stream, read in a thread until it ends."""

    def __init__(self, url: str, *, headers: Mapping[str, str] | None = None, **query: str) -> None:
        self._open(f"{url}/api/v2/stream" + (f"?{urlencode(query)}" if query else ""), dict(headers or {}))
        self.retry_ms: int | None = None
        self.events: list[Event] = []
        self.is_over = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        if self.status == 200:
            self._thread.start()

    def _open(self, url: str, headers: dict[str, str]) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        self._connection.request("GET", f"{parts.path}?{parts.query}", headers=headers)
        self._socket = self._connection.sock
        self.response = self._connection.getresponse()
        self.status = self.response.status

    def _readline(self) -> bytes:
        return self.response.readline()

    def _cut(self) -> None:
        with contextlib.suppress(OSError):  # it was cut from the other side
            self._socket.shutdown(socket.SHUT_RDWR)

    def _free(self) -> None:
        self._socket.close()
        self._connection.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def last_id(self) -> str | None:
        return self.events[-1].id if self.events else None

    def buckets(self, *names: str) -> list[Event]:
        """The events that carry a bucket, of these names or of both."""
        return [event for event in list(self.events) if event.name in (names or BUCKET_EVENTS)]

    def wait(self, until: Callable[[Event], bool], timeout_s: float = 10) -> Event:
        """The first event of which that is true, which may have come already."""
        deadline = time.monotonic() + timeout_s
        seen = 0
        with self._changed:
            while True:
                for event in self.events[seen:]:
                    if until(event):
                        return event
                seen = len(self.events)
                left_s = deadline - time.monotonic()
                shown = "\n".join(map(repr, self.events[-5:]))
                assert left_s > 0, f"did not come in {timeout_s} s; the last events:\n{shown}"
                assert not self.is_over, f"the stream ended before it came; the last events:\n{shown}"
                self._changed.wait(left_s)

    def wait_count(self, ticker: str, count: int, resolution: str = "1m", timeout_s: float = 10) -> Event:
        """The first event with a bucket of that ticker that counts so many scores."""
        return self.wait(
            lambda event: (
                event.name in BUCKET_EVENTS
                and event.data["ticker"] == ticker
                and event.data["resolution"] == resolution
                and event.data["count"] == count
            ),
            timeout_s,
        )

    def wait_version(self, version: int, timeout_s: float = 10) -> None:
        """Until it was told of all watched changes up to a version: heartbeats come when nothing more is to be told."""
        self.wait(lambda event: event.name == "heartbeat" and event.place[0] >= version, timeout_s)

    def wait_over(self, timeout_s: float = 10) -> None:
        """Until the server ended it."""
        self._thread.join(timeout_s)
        assert self.is_over, f"the stream did not end in {timeout_s} s"
        self.close()

    def close(self) -> None:
        """Cut the connection."""
        self._cut()
        if self._thread.ident is not None:
            self._thread.join(10)
        self._free()

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            while line := self._readline():
                text = line.decode().rstrip("\n")
                if text:
                    name, _, value = text.partition(": ")
                    assert name not in fields, f"{name} twice in one event"
                    fields[name] = value
                    continue
                self._take(fields)
                fields = {}
        except (OSError, http.client.HTTPException, ValueError, AttributeError):
            pass  # cut off, on this side or the other; http.client raises any of these then
        finally:
            with self._changed:
                self.is_over = True
                self._changed.notify_all()

    def _take(self, fields: dict[str, str]) -> None:
        if set(fields) == {"retry"}:
            self.retry_ms = int(fields["retry"])
            return
        assert set(fields) == {"id", "event", "data"}, fields
        event = Event(fields["event"], fields["id"], json.loads(fields["data"]), time.time())
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()


class CurlStream(Stream):
    """The same by the command `curl`."""

    def _open(self, url: str, headers: dict[str, str]) -> None:
        named = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
        command = ["curl", "--silent", "--no-buffer", "--include", "--max-time", "60", *named, url]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        head = self._readline()
        if not head:
            self._free()
            raise ConnectionError(f"curl ended with {self._process.returncode}")
        self.status = int(head.split()[1])
        while self._readline().strip():  # the headers
            pass

    def _readline(self) -> bytes:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def _cut(self) -> None:
        self._process.kill()

    def _free(self) -> None:
        self._process.communicate()


class Mirror:
    """What a client that keeps its place over many connections knows: the last it was told of each bucket."""

    def __init__(self) -> None:
        self.shown: dict[ShownKey, dict[str, Any]] = {}
        self.is_partial: dict[ShownKey, bool] = {}
        self.last_id: str | None = None
        self.reloads = 0

    def take(self, events: Iterable[Event]) -> None:
        """The events of one connection, in order; fails where one goes back or comes twice."""
        place, ms = (0, 0), 0
        updates = set()
        for event in events:
            assert event.place >= place, f"{event.id} after {place}"
            assert event.ms >= ms, f"{event.id} after {ms} ms"
            place, ms = event.place, event.ms
            self.last_id = event.id
            self.reloads += event.name == "resync"
            if event.name not in BUCKET_EVENTS:
                continue
            held = self.shown.get(event.key)
            if held is not None:
                assert event.data["revision"] >= held["revision"], f"{event.key} went back"
                if event.data["revision"] == held["revision"]:
                    assert event.bucket == held
            if event.name == "bucket_update":
                assert (event.key, event.data["revision"]) not in updates, f"{event.key} came twice"
                updates.add((event.key, event.data["revision"]))
            assert event.data["is_partial"] == (event.name == "partial_bucket")
            self.shown[event.key] = event.bucket
            self.is_partial[event.key] = event.data["is_partial"]


def expected(
    rows: Iterable[Mapping[str, Any]], resolutions: Iterable[str], scorer: str = "test@1"
) -> dict[ShownKey, Any]:
    """What a client should know of all buckets of these rows of scores, by the oracle."""
    found = oracle.buckets((row for row in rows if row["scorer"] == scorer), resolutions)
    return {
        (bucket["ticker"], bucket["resolution"], bucket["timestamp"]): {
            "ticker": bucket["ticker"],
            "resolution": bucket["resolution"],
            "timestamp": bucket["timestamp"],
            "open": bucket["open"][2] / 1e6,
            "high": bucket["high_e6"] / 1e6,
            "low": bucket["low_e6"] / 1e6,
            "close": bucket["close"][2] / 1e6,
            "count": bucket["count"],
            "sum": bucket["sum_e6"] / 1e6,
            "avg": bucket["avg"],
            "label_counts": bucket["label_counts"],
            "sources": list(bucket["sources"]),
            "revision": bucket["revision"],
        }
        for bucket in found.values()
    }
