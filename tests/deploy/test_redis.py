"""The server cache in a real Redis: shared by processes, bytes only, and never in the way when Redis is not there."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import redis

from dashapp.config import load
from dashapp.errors import BadSetting
from dashapp.query import redis as redis_cache
from dashapp.query.cache import open_cache
from dashapp.query.redis import RedisResponseCache
from tests.conftest import Server, ServerFactory, Tickertone
from tests.deploy.conftest import RedisServer

SIZE_BYTES = 4_000_000


def open_shared(directory: Path, server: RedisServer, store: str = "a-store") -> RedisResponseCache:
    return RedisResponseCache(directory, SIZE_BYTES, url=server.url, store=store)


def test_one_who_did_not_compute_it_gets_the_answer_and_another_store_does_not(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    first, second = (open_shared(tmp_path / name, redis_server) for name in "ab")
    other = open_shared(tmp_path / "c", redis_server, store="another")
    assert first.get_or_compute("key", lambda: b"answer") == (b"answer", False)
    assert second.get_or_compute("key", lambda: b"not asked") == (b"answer", True)
    assert second.get_or_compute_many(["key", "new"], lambda keys: dict.fromkeys(keys, b"made")) == (
        [b"answer", b"made"],
        1,
    )
    assert other.get_or_compute("key", lambda: b"its own") == (b"its own", False)
    assert first.stats().entries == 3
    first.clear()
    assert second.get_or_compute("key", lambda: b"anew") == (b"anew", False)
    assert other.get_or_compute("key", lambda: b"not asked") == (b"its own", True)
    for each in (first, second, other):
        each.close()


class Bomb:
    """Unpickling it makes a file: the proof that something was unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.trace),)


def test_values_are_bytes_as_they_are_with_an_end_and_nothing_is_unpickled(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    cache = open_shared(tmp_path / "a", redis_server)
    with redis.Redis.from_url(redis_server.url) as client:
        cache.get_or_compute("key", lambda: b"answer")
        assert client.get("tickertone:a-store:key") == b"answer"
        assert 0 < client.ttl("tickertone:a-store:key") <= redis_cache.KEEP_S
        planted = b"!" + pickle.dumps(Bomb(tmp_path / "trace"))
        client.set("tickertone:a-store:planted", planted)
        assert cache.get_or_compute("planted", lambda: b"") == (planted, True)
        assert not (tmp_path / "trace").exists()
        assert cache.get_or_compute("text", lambda: "text") == ("text", False)  # type: ignore[arg-type, return-value]
        assert not client.exists("tickertone:a-store:text")
        client.lpush("tickertone:a-store:list", "a list, where an answer should be")
        assert cache.get_or_compute("list", lambda: b"computed") == (b"computed", False)
    cache.close()


def _ask_in_a_process(directory: Path, url: str, calls: Path, start: float) -> None:
    cache = RedisResponseCache(directory / str(os.getpid()), SIZE_BYTES, url=url, store="a-store")

    def compute() -> bytes:
        (calls / str(os.getpid())).touch()
        time.sleep(0.4)
        return b"answer"

    time.sleep(max(0.0, start - time.time()))
    assert cache.get_or_compute("key", compute)[0] == b"answer"


def test_processes_with_folders_of_their_own_share_one_computation(tmp_path: Path, redis_server: RedisServer) -> None:
    calls = tmp_path / "calls"
    calls.mkdir()
    spawn = multiprocessing.get_context("spawn")
    start = time.time() + 3.0
    askers = [
        spawn.Process(target=_ask_in_a_process, args=(tmp_path, redis_server.url, calls, start)) for _ in range(2)
    ]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(60)
        assert asker.exitcode == 0
    assert len(list(calls.iterdir())) == 1


def test_while_redis_hangs_one_request_waits_a_moment_and_the_disk_serves(
    tmp_path: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_cache, "AWAY_S", 0.6)
    cache = open_shared(tmp_path / "a", redis_server)
    cache.get_or_compute("before", lambda: b"in Redis")
    redis_server.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    assert cache.get_or_compute("key", lambda: b"answer") == (b"answer", False)
    assert cache.get_or_compute("key", lambda: b"other") == (b"answer", True)
    assert time.monotonic() - began < 3 * redis_cache.TIMEOUT_S + 1
    redis_server.process.send_signal(signal.SIGCONT)
    time.sleep(0.7)
    assert cache.get_or_compute("before", lambda: b"other") == (b"in Redis", True)
    cache.close()


def test_a_cache_opens_and_serves_where_no_redis_listens(tmp_path: Path, free_port: int) -> None:
    cache = open_cache(tmp_path / "a", SIZE_BYTES, url=f"redis://:s3cret@127.0.0.1:{free_port}/0", store="a-store")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: cache.get_or_compute(f"key {n % 4}", lambda: b"answer"), range(16)))
    assert {body for body, _ in answers} == {b"answer"}
    assert cache.stats().entries == 4
    cache.close()


@pytest.mark.parametrize("url", ["http://cache:6379", "cache:6379", "redis://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(BadSetting, match="empty or an address that begins with redis://"):
        load({"cache_url": url}, environ={})


def test_a_port_that_is_none_is_refused_without_repeating_the_password(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="cache_url is not the address of a Redis") as refused:
        open_cache(tmp_path / "a", SIZE_BYTES, url="redis://:s3cret@host:many/0", store="a-store")
    assert "s3cret" not in str(refused.value)


def ask(server: Server, query: str) -> tuple[dict[str, object], bool, float]:
    """The answer without what differs each time, whether it was cached, and the seconds it took."""
    began = time.monotonic()
    answer = httpx.get(f"{server.url}/api/v2/timeseries?{query}", timeout=10)
    took_s = time.monotonic() - began
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return {name: body[name] for name in body if name not in ("cache_hit", "query_time_ms")}, body["cache_hit"], took_s


def test_two_servers_share_it_and_answer_the_same_while_redis_is_killed(
    server: ServerFactory, tickertone: Tickertone, redis_server: RedisServer, tmp_path: Path
) -> None:
    rows = [
        f'{{"id": "{n}", "ts": "2026-01-0{1 + n % 5}T10:{n % 60:02}:00Z", "ticker": "T{n % 4}", "text": "", '
        f'"score": {(n % 19 - 9) / 10}}}'
        for n in range(600)
    ]
    tickertone("ingest", "-", "--format", "jsonl", stdin="\n".join(rows))
    tickertone("rollup")
    one, two = (
        server("serve", data_dir=tickertone.data_dir, env={"TICKERTONE_CACHE_URL": redis_server.url}) for _ in range(2)
    )
    queries = [
        f"tickers=T{n % 4}&resolution={resolution}&start=2026-01-01T00:00:00Z&end=2026-01-0{2 + n // 4}T00:00:00Z"
        for n in range(16)
        for resolution in ("1m", "1h")
    ]
    first = [ask(one, query) for query in queries]
    second = [ask(two, query) for query in queries]
    assert [body for body, _, _ in second] == [body for body, _, _ in first]
    assert sum(hit for _, hit, _ in second) / len(queries) > 0.8

    stop, slowest_s, wrong = threading.Event(), [0.0], []

    def go_on(asked: Server) -> None:
        while not stop.is_set():
            for query, (right, _, _) in zip(queries, first, strict=True):
                body, _, took_s = ask(asked, query)
                slowest_s[0] = max(slowest_s[0], took_s)
                if body != right:
                    wrong.append(query)

    readers = [threading.Thread(target=go_on, args=(each,)) for each in (one, two)]
    for reader in readers:
        reader.start()
    time.sleep(0.5)
    redis_server.process.kill()
    time.sleep(1.5)
    stop.set()
    for reader in readers:
        reader.join(30)
    assert wrong == []
    assert slowest_s[0] < 10  # nobody waits for a Redis that is gone
    assert "Redis failed" in one.log + two.log
    # What is asked again now comes from each server's own disk.
    for query in queries[:4]:
        ask(one, query)
    assert [ask(one, query)[1] for query in queries[:4]] == [True] * 4
