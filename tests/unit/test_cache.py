"""The server cache: bytes only, once per key, bounded, private, and never in the way."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dashapp.errors import StoreNotWritable
from dashapp.query.cache import ResponseCache

SIZE_BYTES = 4_000_000


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "store" / "cache"


@pytest.fixture
def cache(directory: Path) -> ResponseCache:
    return ResponseCache(directory, SIZE_BYTES)


def test_an_answer_is_computed_once_and_then_kept(cache: ResponseCache) -> None:
    assert cache.get_or_compute("AAPL/1h/7", lambda: b"first") == (b"first", False)
    assert cache.get_or_compute("AAPL/1h/7", lambda: b"second") == (b"first", True)
    assert cache.get_or_compute("AAPL/1h/8", lambda: b"third") == (b"third", False)
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.entries) == (1, 2, 2)


def test_answers_outlive_the_process_that_made_them(cache: ResponseCache, directory: Path) -> None:
    cache.get_or_compute("key", lambda: b"x" * 100_000)
    cache.close()
    assert ResponseCache(directory, SIZE_BYTES).get_or_compute("key", lambda: b"other") == (b"x" * 100_000, True)


def test_an_empty_answer_is_an_answer(cache: ResponseCache) -> None:
    cache.get_or_compute("key", lambda: b"")
    assert cache.get_or_compute("key", lambda: b"other") == (b"", True)


@pytest.mark.parametrize("value", ["text", 7, {"a": 1}, bytearray(b"x")], ids=repr)
def test_what_is_not_bytes_is_answered_but_never_kept(cache: ResponseCache, value: object) -> None:
    assert cache.get_or_compute("key", lambda: value) == (value, False)  # type: ignore[arg-type, return-value]
    assert cache.stats().entries == 0


def test_a_key_that_would_need_pickle_is_refused(cache: ResponseCache) -> None:
    with pytest.raises(TypeError, match="only text is stored"):
        cache._backend.disk.set(("a", 1), b"value")


class Bomb:
    """Unpickling it makes a file: the proof that something was unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("place", ["row", "file"])
def test_a_planted_pickle_is_never_loaded(cache: ResponseCache, directory: Path, tmp_path: Path, place: str) -> None:
    cache.get_or_compute("key", lambda: b"honest")
    trace = tmp_path / "unpickled"
    planted = pickle.dumps(Bomb(trace))
    (directory / "planted.val").write_bytes(planted)
    with sqlite3.connect(directory / "cache.db") as connection:
        connection.execute(
            "UPDATE Cache SET mode = 4, value = ?, filename = ?",
            (planted, None) if place == "row" else (None, "planted.val"),
        )
    connection.close()
    assert cache.get_or_compute("key", lambda: b"computed again") == (b"computed again", False)
    assert not trace.exists()


def test_threads_that_ask_at_once_share_one_computation(cache: ResponseCache) -> None:
    calls = []
    together = threading.Barrier(8)

    def compute() -> bytes:
        calls.append(threading.get_ident())
        time.sleep(0.2)
        return b"answer"

    def ask(_: int) -> tuple[bytes, bool]:
        together.wait()
        return cache.get_or_compute("key", compute)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert len(calls) == 1
    assert {body for body, _ in answers} == {b"answer"}
    assert sorted(hit for _, hit in answers) == [False] + [True] * 7


def test_an_error_of_the_computation_reaches_all_who_wait_and_is_not_kept(cache: ResponseCache) -> None:
    together = threading.Barrier(3)

    def fail() -> bytes:
        time.sleep(0.2)
        raise ValueError("no such ticker")

    def ask(_: int) -> str:
        together.wait()
        try:
            cache.get_or_compute("key", fail)
        except ValueError as error:
            return str(error)
        return "no error"

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(ask, range(3))) == ["no such ticker"] * 3
    assert cache.get_or_compute("key", lambda: b"now") == (b"now", False)


def _ask_in_a_process(directory: Path, calls: Path, start: float) -> None:
    cache = ResponseCache(directory, SIZE_BYTES)

    def compute() -> bytes:
        (calls / str(os.getpid())).touch()
        time.sleep(0.3)
        return b"answer"

    time.sleep(max(0.0, start - time.time()))
    body, _ = cache.get_or_compute("key", compute)
    assert body == b"answer"


def test_processes_that_ask_at_once_share_one_computation(directory: Path, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    calls.mkdir()
    spawn = multiprocessing.get_context("spawn")
    start = time.time() + 3.0
    askers = [spawn.Process(target=_ask_in_a_process, args=(directory, calls, start)) for _ in range(3)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(60)
        assert asker.exitcode == 0
    assert len(list(calls.iterdir())) == 1


def test_the_size_stays_bounded(directory: Path) -> None:
    cache = ResponseCache(directory, 1_000_000)
    for number in range(200):
        cache.get_or_compute(f"key {number}", lambda: os.urandom(50_000))
    kept_bytes = sum(path.stat().st_size for path in directory.rglob("*.val"))
    assert kept_bytes < 1_200_000
    log_bytes = (directory / "cache.db-wal").stat().st_size
    assert log_bytes < 5_000_000  # SQLite folds it in at 4 MB, however small the cache
    assert cache.get_or_compute("key 199", lambda: b"again")[1], "the newest entry survives"


def test_only_the_owner_may_enter_the_directory(directory: Path) -> None:
    directory.mkdir(parents=True, mode=0o755)
    directory.chmod(0o777)
    ResponseCache(directory, SIZE_BYTES)
    assert directory.stat().st_mode & 0o777 == 0o700


def test_a_directory_of_another_user_is_refused(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.mkdir(parents=True)
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    with pytest.raises(StoreNotWritable, match="belongs to user"):
        ResponseCache(directory, SIZE_BYTES)


def test_a_file_in_the_place_of_the_directory_is_told(directory: Path) -> None:
    directory.parent.mkdir(parents=True)
    directory.write_text("not a directory")
    with pytest.raises(StoreNotWritable, match="cannot be used"):
        ResponseCache(directory, SIZE_BYTES)


def test_a_cache_that_is_damaged_at_start_begins_again(directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / "cache.db").write_bytes(b"no database " * 1_000)
    cache = ResponseCache(directory, SIZE_BYTES)
    assert cache.get_or_compute("key", lambda: b"answer") == (b"answer", False)
    assert cache.get_or_compute("key", lambda: b"other") == (b"answer", True)


def test_a_cache_damaged_while_open_still_answers_and_begins_again(cache: ResponseCache, directory: Path) -> None:
    cache.get_or_compute("key", lambda: b"answer")
    cache.close()
    for path in directory.glob("cache.db*"):
        path.write_bytes(os.urandom(40_000))
    assert cache.get_or_compute("key", lambda: b"recomputed") == (b"recomputed", False)
    assert cache.get_or_compute("other", lambda: b"kept") == (b"kept", False)
    assert cache.get_or_compute("other", lambda: b"again") == (b"kept", True)


def test_a_value_file_that_vanished_is_computed_again(cache: ResponseCache, directory: Path) -> None:
    cache.get_or_compute("key", lambda: b"x" * 100_000)
    for path in directory.rglob("*.val"):
        path.unlink()
    assert cache.get_or_compute("key", lambda: b"again") == (b"again", False)
    assert cache.get_or_compute("key", lambda: b"third") == (b"again", True)
