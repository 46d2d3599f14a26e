"""The server cache asked for several answers at once: each computed once, the missing ones together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dashapp.query.cache import ResponseCache


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ResponseCache]:
    made = ResponseCache(tmp_path / "cache", 4_000_000)
    yield made
    made.close()


def test_only_what_is_missing_is_computed_and_in_one_call(cache: ResponseCache) -> None:
    calls: list[list[str]] = []

    def compute(missing: list[str]) -> dict[str, bytes]:
        calls.append(missing)
        return {key: key.encode() for key in missing}

    assert cache.get_or_compute_many(["a", "b"], compute) == ([b"a", b"b"], 0)
    assert cache.get_or_compute_many(["c", "b", "a", "d"], compute) == ([b"c", b"b", b"a", b"d"], 2)
    assert cache.get_or_compute_many(["d", "a"], compute) == ([b"d", b"a"], 2)
    assert cache.get_or_compute_many([], compute) == ([], 0)
    assert calls == [["a", "b"], ["c", "d"]]
    assert cache.get_or_compute("a", lambda: b"other") == (b"a", True)
    stats = cache.stats()
    assert (stats.hits, stats.misses) == (5, 4)


def test_threads_that_want_the_same_ones_share_the_work(cache: ResponseCache) -> None:
    computed: list[str] = []
    begun = threading.Barrier(2)
    lock = threading.Lock()

    def compute(missing: list[str]) -> dict[str, bytes]:
        begun.wait(10)  # both threads compute something, at the same time
        with lock:
            computed.extend(missing)
        return {key: key.encode() for key in missing}

    def ask(keys: list[str]) -> list[bytes]:
        return cache.get_or_compute_many(keys, compute)[0]

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(ask, [["a", "b", "x"], ["b", "a", "y"]]))
    assert found == [[b"a", b"b", b"x"], [b"b", b"a", b"y"]]
    assert sorted(computed) == ["a", "b", "x", "y"]


def test_a_failure_is_raised_and_what_failed_can_be_asked_for_again(cache: ResponseCache) -> None:
    def fail(missing: list[str]) -> dict[str, bytes]:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.get_or_compute_many(["a", "b"], fail)
    assert cache.get_or_compute_many(["a", "b"], lambda missing: dict.fromkeys(missing, b"x")) == ([b"x", b"x"], 0)


def test_a_failure_reaches_those_who_wait_for_the_same(cache: ResponseCache) -> None:
    under_way = threading.Event()
    second_asks = threading.Event()

    def fail(missing: list[str]) -> dict[str, bytes]:
        under_way.set()
        assert second_asks.wait(10)
        raise ValueError("no")

    def also(missing: list[str]) -> dict[str, bytes]:
        second_asks.set()  # it has found "a" under way, and leads for "b"
        return dict.fromkeys(missing, b"x")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get_or_compute_many, ["a"], fail)
        assert under_way.wait(10)
        second = pool.submit(cache.get_or_compute_many, ["a", "b"], also)
        for each in (first, second):
            with pytest.raises(ValueError, match="no"):
                each.result(10)
    assert cache.get_or_compute("b", lambda: b"y") == (b"x", True)
