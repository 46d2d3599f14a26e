"""A rush: many clients of every kind at once against one server, by raw sockets so that they are cheap."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import quote

_HEAD = "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: identity\r\nConnection: close\r\n"


@dataclass
class Reply:
    """An answer: its status, headers and body."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Rush:
    """What a rush did to a server on a port of this machine: answers by kind and status, and what was acknowledged."""

    port: int
    key: str
    statuses: dict[str, Counter[int]] = field(default_factory=dict)
    broken: Counter[str] = field(default_factory=Counter)
    acknowledged: set[str] = field(default_factory=set)
    unmannerly: list[str] = field(default_factory=list)
    live_s: list[float] = field(default_factory=list)
    state_s: list[float] = field(default_factory=list)
    streams_open: int = 0

    async def ask(self, kind: str, path: str, *, method: str = "GET", headers: str = "", body: bytes = b"") -> Reply:
        """One request on a connection of its own; counts its answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            length = f"Content-Length: {len(body)}\r\n" if body else ""
            writer.write((_HEAD.format(method=method, path=path) + headers + length + "\r\n").encode() + body)
            reply = await _reply(reader)
        finally:
            writer.close()
        self._count(kind, reply)
        return reply

    def _count(self, kind: str, reply: Reply) -> None:
        self.statuses.setdefault(kind, Counter())[reply.status] += 1
        if reply.status in (429, 503) and not reply.headers.get("retry-after", "").isdecimal():
            self.unmannerly.append(f"{kind}: {reply.status} {reply.headers}")

    async def push(self, kind: str, ids: list[str], ticker: str) -> bool:
        """Push items of now; remembers those that were acknowledged."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        items = [
            {"id": each, "ts": at, "tickers": [ticker], "text": f"${ticker} beats and rises {each}"} for each in ids
        ]
        body = "\n".join(map(json.dumps, items)).encode()
        reply = await self.ask(
            kind, "/api/v2/items", method="POST", headers=f"Authorization: Bearer {self.key}\r\n", body=body
        )
        if reply.status == 200:
            self.acknowledged |= {
                each["id"] for each in json.loads(reply.body)["items"] if each["status"] != "rejected"
            }
        return reply.status == 200

    async def again_and_again(self, until_s: float, kind: str, work: Callable[[int], Awaitable[object]]) -> None:
        """Do it until a time; a connection that breaks is counted."""
        for number in itertools.count():
            if time.monotonic() >= until_s:
                return
            try:
                await work(number)
            except (OSError, EOFError) as error:
                self.broken[f"{kind}: {error!r}"] += 1

    async def listen(self, until_s: float) -> None:
        """A stream of everything, which is read until a time, if there is room for it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write((_HEAD.format(method="GET", path="/api/v2/stream?resolutions=1m,1h") + "\r\n").encode())
            status, headers = await _head(reader)
            self._count("stream", Reply(status, headers, b""))
            if status == 200:
                self.streams_open += 1
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, until_s - time.monotonic())):
                        while await reader.read(1 << 16):
                            pass
        finally:
            writer.close()

    async def probe(self, until_s: float, tag: str) -> None:
        """Pushes an item now and then, and measures until a stream that was open before tells of it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write((_HEAD.format(method="GET", path=f"/api/v2/stream?tickers={tag}") + "\r\n").encode())
        status, _ = await _head(reader)
        assert status == 200
        told: dict[int, float] = {}
        heard = asyncio.create_task(_hear(reader, told, tag))
        try:
            for number in itertools.count(1):
                if time.monotonic() >= until_s:
                    break
                began_s = time.monotonic()
                if not await self.push("probe", [f"{tag}-{number}"], tag):
                    continue
                so_far = len([each for each in self.acknowledged if each.startswith(f"{tag}-")])
                while max(told, default=0) < so_far:
                    assert time.monotonic() - began_s < 20, f"item {number} is not on the stream after 20 s"
                    await asyncio.sleep(0.005)
                self.live_s.append(min(at_s for count, at_s in told.items() if count >= so_far) - began_s)
                await asyncio.sleep(0.1)
        finally:
            heard.cancel()
            writer.close()

    async def watch(self, until_s: float) -> None:
        """Asks whether the server is alive and how it is, as a machine would."""
        while time.monotonic() < until_s:
            for path in ("/healthz", "/readyz", "/metrics"):
                began_s = time.monotonic()
                await self.ask("state", path)
                self.state_s.append(time.monotonic() - began_s)
            await asyncio.sleep(0.2)

    async def run(self, seconds: float, *, pushers: int, streams: int, readers: int, exporters: int, tag: str) -> None:
        """Everything at once for so long."""
        until_s = time.monotonic() + seconds

        async def push(who: int, number: int) -> None:
            ids = [f"{tag}-{who}-{number}-{each}" for each in range(40)]
            if not await self.push("push", ids, f"T{who % 8}"):
                await asyncio.sleep(0.05)

        async def read(who: int, number: int) -> None:
            # Another start each time, so that no answer is kept.
            start = quote(f"2024-01-01T{who % 24:02d}:{number % 60:02d}:{number // 60 % 60:02d}Z")
            query = f"resolution=1m&start={start}&end=2024-03-01&limit=20000&format=json"
            await self.ask("query", f"/api/v2/timeseries/T{who % 8}?{query}")

        async def export(_: int, __: int) -> None:
            await self.ask("export", "/api/v2/export?what=buckets&resolution=1m&format=csv")
            await asyncio.sleep(0.05)

        crowd = [self.probe(until_s, f"PROBE{tag}"), self.watch(until_s)]
        await asyncio.sleep(0)
        crowd += [self.again_and_again(until_s, "push", lambda n, who=who: push(who, n)) for who in range(pushers)]
        crowd += [self.listen(until_s) for _ in range(streams)]
        crowd += [self.again_and_again(until_s, "query", lambda n, who=who: read(who, n)) for who in range(readers)]
        crowd += [
            self.again_and_again(until_s, "export", lambda n, who=who: export(who, n)) for who in range(exporters)
        ]
        await asyncio.gather(*crowd)


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    line = await reader.readline()
    if not line:
        raise EOFError("the connection was closed without an answer")
    headers = {}
    while (header := (await reader.readline()).strip()) != b"":
        name, _, value = header.decode().partition(":")
        headers[name.lower()] = value.strip()
    return int(line.split()[1]), headers


async def _reply(reader: asyncio.StreamReader) -> Reply:
    status, headers = await _head(reader)
    size = headers.get("content-length")
    body = await (reader.readexactly(int(size)) if size is not None else reader.read())
    return Reply(status, headers, body)


async def _hear(reader: asyncio.StreamReader, told: dict[int, float], ticker: str) -> None:
    """How many scores the bucket of a stream counts, and when each number was told first; minutes add up."""
    by_minute: dict[str, int] = {}
    async for line in reader:
        if line.startswith(b"data: ") and f'"ticker":"{ticker}"'.encode() in line:
            row = json.loads(line[6:])
            by_minute[row["timestamp"]] = row["count"]
            told.setdefault(sum(by_minute.values()), time.monotonic())
