"""The server cache of several machines: answers in Redis, and on the local disk while Redis is away or slow.

It is flask-caching over Redis, with its serialiser replaced: the one it comes with unpickles what it reads, so that
whoever can write to the Redis could run code in every server. Here values are bytes as they are. Wrong answers could
still be put there: give it a password, and no address that others reach.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import redis
from flask import Flask
from flask_caching import Cache
from flask_caching.backends.rediscache import RedisCache
from redis.backoff import NoBackoff
from redis.lock import Lock
from redis.retry import Retry

from dashapp.errors import BadSetting
from dashapp.query.cache import LOCK_EXPIRE_S, CacheStats, ResponseCache
from dashapp.store.faults import recovered

log = logging.getLogger(__name__)

# An answer that takes longer to come is computed sooner.
TIMEOUT_S = 0.25
# After a failure Redis is left alone for so long: a request waits for it once, not each of them.
AWAY_S = 5.0
# Keys hold the revision, so what is not asked for any more never will be. Redis evicts earlier where its memory ends.
KEEP_S = 3_600
# How often one who waits for another's answer looks for it.
LOCK_POLL_S = 0.01

# Connection refused, cut, timed out; out of memory; a key that holds something else. None may cost the user an answer.
_FAILURES = (redis.RedisError, OSError, TypeError)


class _Bytes:
    """In place of flask-caching's serialiser, which pickles: bytes as they are, and nothing else."""

    def dumps(self, value: object) -> bytes:
        """A value as it is stored."""
        if type(value) is not bytes:
            raise TypeError(f"cache value is a {type(value).__name__}; only bytes are stored")
        return value

    def loads(self, value: bytes | None) -> bytes | None:
        """A stored value as it is."""
        return value


class RedisBackend(RedisCache):
    """Redis as a backend of flask-caching, for bytes."""

    serializer = _Bytes()  # type: ignore[assignment]  # what it needs of one, without its pickling

    @property
    def client(self) -> redis.Redis:
        """The connections, safe to use from many threads."""
        return cast("redis.Redis", self._write_client)


class RedisResponseCache(ResponseCache):
    """Finished answers by key, shared by all processes and machines that name the same Redis and store.

    While it cannot be reached, `directory` serves as it would without one. `store` is the identity of the store, which
    keeps those of several apart. Nothing is asked of Redis before the first answer is.

    :raises BadSetting: `url` is not the address of a Redis.
    :raises StoreNotWritable: the directory belongs to another user or cannot be made.
    """

    def __init__(self, directory: Path, size_bytes: int, *, url: str, store: str) -> None:
        super().__init__(directory, size_bytes)
        self._away_until_s = 0.0
        self._away_guard = threading.Lock()
        options = {
            "socket_timeout": TIMEOUT_S,
            "socket_connect_timeout": TIMEOUT_S,
            "retry": Retry(NoBackoff(), 0),
        }
        config = {
            "CACHE_TYPE": f"{RedisBackend.__module__}.{RedisBackend.__name__}",
            "CACHE_REDIS_URL": url,
            "CACHE_KEY_PREFIX": f"tickertone:{store}:",
            "CACHE_DEFAULT_TIMEOUT": KEEP_S,
            "CACHE_OPTIONS": options,
        }
        try:
            self._shared = Cache(Flask("cache_host"), with_jinja2_ext=False, config=config)
        except ValueError as error:
            # The address may hold a password, so it is not repeated.
            raise BadSetting(f"setting cache_url is not the address of a Redis: {error}.") from None

    def stats(self) -> CacheStats:
        """How well the cache does; entries and bytes are of the whole Redis, of the disk while it is away."""
        own = super().stats()
        try:
            if self._is_away():
                return own
            client = self._redis.client
            return CacheStats(own.hits, own.misses, int(client.dbsize()), int(client.info("memory")["used_memory"]))
        except _FAILURES as error:
            self._leave_alone(error)
            return own

    def clear(self) -> None:
        """Forgets every answer of this store."""
        super().clear()
        try:
            client = self._redis.client
            for key in client.scan_iter(match=f"{self._redis.key_prefix}*"):
                client.unlink(key)
        except _FAILURES as error:
            self._leave_alone(error)

    def close(self) -> None:
        """Closes all connections."""
        super().close()
        self._redis.client.close()

    @property
    def _redis(self) -> RedisBackend:
        return cast("RedisBackend", self._shared.cache)

    def _is_away(self) -> bool:
        return time.monotonic() < self._away_until_s

    def _leave_alone(self, error: BaseException) -> None:
        if isinstance(error, TypeError):
            log.warning("an answer is not kept: %s", error)
            return
        with self._away_guard:
            if not self._is_away():
                log.warning("Redis failed (%s); for %g s the cache on the disk serves", error, AWAY_S)
                recovered("redis_away")
            self._away_until_s = time.monotonic() + AWAY_S

    def _read(self, key: str) -> bytes | None:
        if not self._is_away():
            try:
                held: bytes | None = self._redis.get(key)
                return held
            except _FAILURES as error:
                self._leave_alone(error)
        return super()._read(key)

    def _read_many(self, keys: list[str]) -> dict[str, bytes | None]:
        if keys and not self._is_away():
            try:
                return dict(zip(keys, self._redis.get_many(*keys), strict=True))
            except _FAILURES as error:
                self._leave_alone(error)
        return super()._read_many(keys)

    def _write(self, key: str, body: bytes) -> None:
        if not self._is_away():
            try:
                self._redis.set(key, body)
                return
            except _FAILURES as error:
                self._leave_alone(error)
        super()._write(key, body)

    @contextmanager
    def _process_lock(self, key: str) -> Iterator[None]:
        lock = None if self._is_away() else self._acquired(key)
        if lock is None:
            with super()._process_lock(key):
                yield
            return
        try:
            yield
        finally:
            try:
                lock.release()
            except _FAILURES as error:  # it ran out, or Redis went: either way nobody waits for it
                self._leave_alone(error)

    def _acquired(self, key: str) -> Lock | None:
        name = f"{self._redis.key_prefix}lock {key}"
        # A token of its own for each holder, not of each thread: what acquires and what releases is one call.
        lock = self._redis.client.lock(name, timeout=LOCK_EXPIRE_S, sleep=LOCK_POLL_S, thread_local=False)
        try:
            return lock if lock.acquire(blocking_timeout=LOCK_EXPIRE_S) else None
        except _FAILURES as error:
            self._leave_alone(error)
            return None
