"""The server cache: answers as bytes, shared by all threads and processes that serve one store.

Keys hold the revision of the store, so an entry never becomes wrong, only unused; the oldest go when the size limit is
reached. What is in it is derived: a damaged cache is thrown away and begun again, and a failure costs time, no answer.

It is flask-caching over diskcache (SQLite and files). diskcache through 5.6.3 unpickles what it reads (CVE-2025-69872):
whoever can write the cache folder can run code in the server. Two things answer that here. Nothing is pickled or
unpickled: keys are text, values are bytes, and a row that claims to hold a pickle is refused, never loaded. And the
folder belongs to the service alone (mode 0700, and another owner is refused), so nobody else can write it.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import diskcache
from diskcache.core import MODE_BINARY, MODE_RAW
from flask import Flask
from flask_caching import Cache
from flask_caching.backends.base import BaseCache

from dashapp.errors import StoreNotWritable
from dashapp.store.faults import recovered

log = logging.getLogger(__name__)

# Longer than any query may take (settings.query_timeout_ms), so that only a process that died lets its lock run out.
LOCK_EXPIRE_S = 30.0

# What SQLite, the file system and a refused row raise. None of it may cost the user an answer.
_FAILURES = (sqlite3.Error, OSError, diskcache.Timeout, TypeError)


class BytesDisk(diskcache.Disk):  # type: ignore[misc]
    """Keeps text keys and bytes values as they are; raises TypeError for anything that would need pickle."""

    def put(self, key: object) -> tuple[str, bool]:
        """The key as it is stored."""
        if type(key) is not str:
            raise TypeError(f"cache key {key!r} is a {type(key).__name__}; only text is stored")
        return key, True

    def get(self, key: object, raw: bool) -> str:
        """The key of a stored row."""
        if not raw or type(key) is not str:
            raise TypeError("a row of the cache has a pickled key, which is never loaded")
        return key

    def store(self, value: object, read: bool, key: object = None) -> Any:
        """How a value is stored: size, mode, file and value columns."""
        if value is None:  # the value of diskcache.Lock
            return 0, MODE_RAW, None, None
        if type(value) is not bytes:
            raise TypeError(f"cache value is a {type(value).__name__}; only bytes are stored")
        return super().store(value, False, key)

    def fetch(self, mode: int, filename: str | None, value: object, read: bool) -> Any:
        """The value of a stored row."""
        if mode not in (MODE_RAW, MODE_BINARY):
            raise TypeError("a row of the cache holds something else than bytes, which is never loaded")
        return super().fetch(mode, filename, value, False)


class DiskBackend(BaseCache):
    """diskcache as a backend of flask-caching; `timeout` 0 or None means for ever."""

    def __init__(self, directory: str, size_bytes: int) -> None:
        super().__init__(default_timeout=0)
        self.disk = diskcache.Cache(
            directory,
            disk=BytesDisk,
            size_limit=size_bytes,
            eviction_policy="least-recently-stored",
            sqlite_synchronous=0,  # after a crash of the machine an empty cache is as good
        )

    @classmethod
    def factory(cls, app: Flask, config: dict[str, Any], args: list[Any], kwargs: dict[str, Any]) -> DiskBackend:
        """What flask-caching calls for CACHE_TYPE."""
        return cls(config["CACHE_DIR"], config["CACHE_SIZE_BYTES"])

    def get(self, key: str) -> Any:
        """The value, or None."""
        return self.disk.get(key)

    def set(self, key: str, value: Any, timeout: int | timedelta | None = None) -> bool:
        """Keeps a value."""
        return bool(self.disk.set(key, value, expire=_seconds(timeout), retry=True))

    def add(self, key: str, value: Any, timeout: int | timedelta | None = None) -> bool:
        """Keeps a value where there is none yet."""
        return bool(self.disk.add(key, value, expire=_seconds(timeout), retry=True))

    def delete(self, key: str) -> bool:
        """Forgets a value; whether there was one."""
        return bool(self.disk.delete(key, retry=True))

    def has(self, key: str) -> bool:
        """Whether there is a value."""
        return key in self.disk

    def clear(self) -> bool:
        """Forgets everything."""
        self.disk.clear(retry=True)
        return True


def _seconds(timeout: int | timedelta | None) -> float | None:
    return (timeout.total_seconds() if isinstance(timeout, timedelta) else timeout) or None


@dataclass(frozen=True, slots=True)
class CacheStats:
    """Hits and misses are of this process; entries and size_bytes are of the shared cache."""

    hits: int
    misses: int
    entries: int
    size_bytes: int


class ResponseCache:
    """Finished answers by key, computed once however many threads and processes ask at the same time.

    `directory` is made when missing, readable by its owner alone, and kept below `size_bytes`, give or take the few
    entries that are removed per write. Safe to use from many threads; open one per process.

    :raises StoreNotWritable: the directory belongs to another user or cannot be made.
    """

    def __init__(self, directory: Path, size_bytes: int) -> None:
        self._directory = directory.absolute()
        self._size_bytes = size_bytes
        self._guard = threading.Lock()
        self._under_way: dict[str, Future[bytes]] = {}
        self._hits = 0
        self._misses = 0
        self._cache = self._open()

    def get_or_compute(self, key: str, compute: Callable[[], bytes]) -> tuple[bytes, bool]:
        """The answer kept under `key`, or that of `compute`, which is then kept; and whether it was there already.

        While one caller computes, others that ask for the same key wait for its answer. What `compute` raises reaches
        them all.
        """
        held = self._read(key)
        if held is not None:
            return self._counted(held, hit=True)
        with self._guard:
            answer = self._under_way.get(key)
            leads = answer is None
            if answer is None:
                answer = self._under_way[key] = Future()
        if not leads:
            return self._counted(answer.result(), hit=True)
        try:
            with self._process_lock(key):
                held = self._read(key)  # another process may have computed it meanwhile
                body = compute() if held is None else held
                if held is None:
                    self._write(key, body)
        except BaseException as error:
            answer.set_exception(error)
            raise
        else:
            answer.set_result(body)
        finally:
            with self._guard:
                del self._under_way[key]
        return self._counted(body, hit=held is not None)

    def get_or_compute_many(
        self, keys: Sequence[str], compute: Callable[[list[str]], Mapping[str, bytes]]
    ) -> tuple[list[bytes], int]:
        """The answers kept under these keys, in their order, and how many were there already.

        All that are missing are asked of `compute` in one call. Threads that want the same ones share it; another
        process may compute them at the same time.
        """
        found = self._read_many(list(keys))
        missing = [key for key, body in found.items() if body is None]
        if missing:
            with self._guard:
                waits = {key: self._under_way[key] for key in missing if key in self._under_way}
                leads: dict[str, Future[bytes]] = {key: Future() for key in missing if key not in waits}
                self._under_way |= leads
            if leads:
                found |= self._lead(leads, compute)
            found |= {key: answer.result() for key, answer in waits.items()}
            missing = list(leads)
        with self._guard:
            self._misses += len(missing)
            self._hits += len(found) - len(missing)
        bodies = {key: body for key, body in found.items() if body is not None}
        return [bodies[key] for key in keys], len(found) - len(missing)

    def _lead(
        self, leads: Mapping[str, Future[bytes]], compute: Callable[[list[str]], Mapping[str, bytes]]
    ) -> Mapping[str, bytes]:
        try:
            bodies = compute(list(leads))
            for key, answer in leads.items():
                self._write(key, bodies[key])
                answer.set_result(bodies[key])
        except BaseException as error:
            for answer in leads.values():
                if not answer.done():
                    answer.set_exception(error)
            raise
        finally:
            with self._guard:
                for key in leads:
                    del self._under_way[key]
        return bodies

    def stats(self) -> CacheStats:
        """How well the cache does, and how full it is."""
        try:
            entries, size_bytes = len(self._backend.disk), int(self._backend.disk.volume())
        except _FAILURES as error:
            self._recover(error)
            entries = size_bytes = 0
        return CacheStats(self._hits, self._misses, entries, size_bytes)

    def clear(self) -> None:
        """Forgets every answer."""
        self._backend.clear()

    def close(self) -> None:
        """Closes this thread's connection; other threads' close when those end."""
        self._backend.disk.close()

    @property
    def _backend(self) -> DiskBackend:
        return cast("DiskBackend", self._cache.cache)

    def _counted(self, body: bytes, *, hit: bool) -> tuple[bytes, bool]:
        with self._guard:
            if hit:
                self._hits += 1
            else:
                self._misses += 1
        return body, hit

    def _read(self, key: str) -> bytes | None:
        try:
            held: bytes | None = self._cache.get(key)
        except _FAILURES as error:
            self._recover(error)
            return None
        return held

    def _read_many(self, keys: list[str]) -> dict[str, bytes | None]:
        return {key: self._read(key) for key in keys}

    def _write(self, key: str, body: bytes) -> None:
        try:
            self._cache.set(key, body)
        except _FAILURES as error:
            self._recover(error)

    @contextmanager
    def _process_lock(self, key: str) -> Iterator[None]:
        lock = diskcache.Lock(self._backend.disk, f"lock {key}", expire=LOCK_EXPIRE_S)
        try:
            lock.acquire()
        except _FAILURES as error:
            self._recover(error)  # and compute without it: twice is better than never
            yield
            return
        try:
            yield
        finally:
            try:
                lock.release()
            except _FAILURES as error:
                log.warning("a lock of the cache in %s was not given back: %s", self._directory, error)

    def _open(self) -> Cache:
        try:
            self._claim()
            return self._connect()
        except (sqlite3.DatabaseError, TypeError) as error:
            log.warning("the cache in %s is damaged (%s) and begins again", self._directory, error)
            recovered("cache_damaged")
            shutil.rmtree(self._directory, ignore_errors=True)
            self._claim()
            return self._connect()

    def _claim(self) -> None:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            owner = self._directory.stat().st_uid
            if owner != os.geteuid():
                raise StoreNotWritable(
                    f"cache directory {self._directory} belongs to user {owner}, not to {os.geteuid()}, and could be "
                    "filled with anything. Delete it, or let data_dir name a folder of your own."
                )
            self._directory.chmod(0o700)
        except OSError as error:
            raise StoreNotWritable(f"cache directory {self._directory} cannot be used: {error}.") from error

    def _connect(self) -> Cache:
        return Cache(
            Flask("cache_host"),  # flask-caching wants an app to hang its state on; it serves nothing
            with_jinja2_ext=False,
            config={
                "CACHE_TYPE": f"{DiskBackend.__module__}.{DiskBackend.__name__}",
                "CACHE_DIR": str(self._directory),
                "CACHE_SIZE_BYTES": self._size_bytes,
                "CACHE_DEFAULT_TIMEOUT": 0,
            },
        )

    def _recover(self, error: BaseException) -> None:
        """Begins again after damage; anything else (disk full, a lock held too long) is only told."""
        log.warning("the cache in %s failed: %s", self._directory, error)
        if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, sqlite3.OperationalError):
            return
        with self._guard:
            if self._is_sound():
                return  # another thread was here first
            shutil.rmtree(self._directory, ignore_errors=True)
            try:
                self._cache = self._open()
                recovered("cache_damaged")
            except (StoreNotWritable, *_FAILURES) as still:
                log.warning("the cache in %s cannot begin again: %s", self._directory, still)

    def _is_sound(self) -> bool:
        try:
            len(self._backend.disk)
        except _FAILURES:
            return False
        return True


def open_cache(directory: Path, size_bytes: int, *, url: str, store: str) -> ResponseCache:
    """The server cache that the settings ask for: of the disk, or of Redis where `url` names one."""
    if not url:
        return ResponseCache(directory, size_bytes)
    # Here, since the client of Redis takes a fifth of a second to import, which a start without it need not wait for.
    from dashapp.query.redis import RedisResponseCache

    return RedisResponseCache(directory, size_bytes, url=url, store=store)
