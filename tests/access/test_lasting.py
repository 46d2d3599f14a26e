"""Who is not let in any more hears nothing any more, on a connection that was open before either."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dashapp.access import gate
from dashapp.access.gate import COOKIE, Gate
from dashapp.access.passwords import hash_password
from dashapp.access.sessions import LASTS_S, Sessions
from dashapp.config import Settings
from dashapp.model.time import EpochUs
from dashapp.store.apikeys import READ, ApiKeys
from dashapp.store.ended import EndedSessions
from dashapp.store.users import Users
from tests.api.client import Clock

NOW = EpochUs(1_700_000_000_000_000)


class World:
    """A gate with a key and a user behind it, and an application that tells until its client has left."""

    def __init__(self, folder: Path) -> None:
        self.keys, self.users, self.clock = ApiKeys(folder), Users(folder), Clock(NOW)
        self.key, _ = self.keys.add("reader", now_us=NOW, scopes=(READ,))
        password_hash = hash_password("correct horse battery")
        self.users.put("ann", password_hash, now_us=NOW)
        sessions = Sessions(b"s" * 32, EndedSessions(folder))
        self.cookie = f"{COOKIE}={sessions.begin('ann', password_hash, NOW)}"
        self.told = asyncio.Event()
        self.gate = Gate(
            self.application,
            settings=Settings(data_dir=folder, login="password"),
            keys=self.keys,
            users=self.users,
            sessions=sessions,
            now_us=self.clock,
        )

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "http.request"
        self.told.set()
        assert (await receive())["type"] == "http.disconnect"

    async def listen(self, header: tuple[bytes, bytes], change: Callable[[], object]) -> None:
        """Open a stream, change something, and wait for its end."""
        sent = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Any:
            return sent.pop() if sent else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            pytest.fail(f"the gate let nobody in: {message}")

        scope = {
            "type": "http", "method": "GET", "path": "/api/v2/stream", "raw_path": b"/api/v2/stream",
            "headers": [header], "query_string": b"",
            "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 5), "scheme": "http",
        }  # fmt: skip
        stream = asyncio.create_task(self.gate(scope, receive, send))
        await self.told.wait()
        await asyncio.sleep(0.05)
        assert not stream.done()
        change()
        await asyncio.wait_for(stream, 10)


CHANGES: dict[str, tuple[str, Callable[[World], object]]] = {
    "key revoked": ("key", lambda world: world.keys.revoke("reader", now_us=NOW)),
    "user removed": ("cookie", lambda world: world.users.remove("ann")),
    "another password": ("cookie", lambda world: world.users.put("ann", hash_password("horse " * 3), now_us=NOW)),
    "session over": ("cookie", lambda world: setattr(world.clock, "now_us", EpochUs(NOW + LASTS_S * 1_000_000))),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_stream_ends_with_the_right_to_hear_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    monkeypatch.setattr(gate, "RECHECK_EVERY_S", 0.02)
    by, do = CHANGES[change]

    async def run() -> None:
        world = World(tmp_path)
        header = (
            (b"authorization", f"Bearer {world.key}".encode()) if by == "key" else (b"cookie", world.cookie.encode())
        )
        await world.listen(header, lambda: do(world))

    asyncio.run(run())
