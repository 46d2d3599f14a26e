"""The feed: all chosen live sources polled beside each other, their items stored as they come."""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from dashapp.config import Settings, environment_name
from dashapp.errors import BadSetting, FeedRunning, StoreNotWritable, UsageError
from dashapp.ingest.health import SourceHealth, read_health, resumed, write_health
from dashapp.ingest.poller import Kept, Poller
from dashapp.ingest.position import PositionFile
from dashapp.ingest.rejects import Rejection
from dashapp.ingest.scoring.scorer import load_scorer
from dashapp.ingest.service import Ingest, RejectedRows
from dashapp.ingest.sources.http import Http
from dashapp.ingest.sources.live import SOURCES, live_sources
from dashapp.model.item import Item
from dashapp.model.time import US_PER_DAY, EpochUs
from dashapp.store.store import Store

# A source shows a bad row at every poll until it is a page back; it is counted and kept once.
_REMEMBERED_REJECTIONS = 10_000
_LOCK_PAUSE_S = 1.0


class Feed:
    """The chosen sources over one store; `run` or `once`, one time."""

    def __init__(self, settings: Settings, now_us: Callable[[], EpochUs]) -> None:
        """Raises BadSetting for what cannot be polled, UsageError for a simulated store, StoreError."""
        self._settings = settings
        self._now_us = now_us
        self._http = Http(timeout_s=settings.feed_timeout_s, max_bytes=settings.feed_max_answer_bytes)
        self._sources = live_sources(settings, self._http, now_us)
        self._data_dir = settings.data_dir.absolute()
        # One thread stores for all sources: the store is of one thread, and a commit is quick.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="feed store")
        self._known_rejections: dict[tuple[str, str, str], None] = {}
        self._pollers: list[Poller] = []
        if self._sources:
            self._open()

    @property
    def names(self) -> list[str]:
        """The sources that are polled; none when the settings choose none."""
        return [source.name for source in self._sources]

    def require_sources(self) -> None:
        """Raises BadSetting, which says how to choose one, when there is no source."""
        if not self._sources:
            raise BadSetting(
                f"No live source is chosen. Put a key in the environment (TICKERTONE_TIINGO_KEY and others) or "
                f"addresses in {environment_name('feed_rss_urls')}; {environment_name('feed_sources')} chooses "
                f"among {', '.join(SOURCES)}. docs/sources.md says more."
            )

    def run(self, stop: threading.Event, *, wait: bool = False) -> list[SourceHealth]:
        """Poll until `stop` is set, and return how the sources were.

        Beside another feed of the store it raises FeedRunning, or waits for that one's end where it may `wait`.
        """
        return self._main(lambda: self._until(stop), stop if wait else None)

    def once(self) -> list[SourceHealth]:
        """Bring each source up to date, as far as its limits allow, and return how they were; raises FeedRunning."""
        return self._main(self._rounds, None)

    def _open(self) -> None:
        self._store = store = Store(self._settings, create=True)
        if store.is_simulated:
            raise UsageError(
                f"The store at {store.data_dir} holds simulated scores; live ones would be mixed in. "
                "Give the feed a folder of its own with --data-dir."
            )
        self._ingest = Ingest(
            store,
            load_scorer(self._settings.ingest_scorer),
            batch_rows=self._settings.ingest_batch_rows,
            now_us=self._now_us,
        )
        before = read_health(self._data_dir)
        self._pollers = [
            Poller(
                source,
                PositionFile(self._data_dir / "feed", source.name),
                self._keep,
                self._in_thread,
                every_s=self._settings.feed_every_s,
                now_us=self._now_us,
                chance=random.Random(),  # noqa: S311 - spreads pauses, guards nothing
                health=resumed(source.name, before),
            )
            for source in self._sources
        ]

    def _main(
        self, work: Callable[[], Coroutine[object, object, None]], wait_until: threading.Event | None
    ) -> list[SourceHealth]:
        with _lock(self._data_dir / "locks" / "feed.lock", wait_until) as is_held, self._pool:
            if is_held:
                asyncio.run(work())
        self._store.close()
        return [poller.health for poller in self._pollers]

    async def _until(self, stop: threading.Event) -> None:
        async with self._http:
            await self._tell()
            attended = [asyncio.create_task(self._attend(poller)) for poller in self._pollers]
            await asyncio.to_thread(stop.wait)
            for task in attended:
                task.cancel()
            await asyncio.wait(attended)
            await self._tell()

    async def _rounds(self) -> None:
        async with self._http:
            results = await asyncio.gather(*(poller.round() for poller in self._pollers), return_exceptions=True)
            for poller, result in zip(self._pollers, results, strict=True):
                if result is not None:
                    await poller.broken(result)
            await self._tell()

    async def _attend(self, poller: Poller) -> None:
        """Take one turn after the other; one that ends in an error nobody foresaw ends neither this nor the others."""
        while True:
            turn = asyncio.create_task(poller.turn())
            try:
                await asyncio.wait([turn])
            finally:
                turn.cancel()
            error = turn.exception()
            seconds = turn.result() if error is None else await poller.broken(error)
            await self._tell()
            await asyncio.sleep(seconds)

    async def _in_thread(self, work: Callable[[], Kept]) -> Kept:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def _tell(self) -> None:
        told = [poller.health for poller in self._pollers]
        await asyncio.get_running_loop().run_in_executor(self._pool, write_health, self._data_dir, told)

    def _keep(self, name: str, rows: Sequence[Item | Rejection]) -> Kept:
        """Store the items and keep the rejections of a page; all is durable, or a StoreError is raised."""
        items = [row for row in rows if isinstance(row, Item)]
        way = f"feed-{name}"
        summary = self._ingest.run(items, way, lambda rejection: self._is_new(name, rejection), way=way)
        rejected = summary.rejected + self._keep_rejected(name, [row for row in rows if isinstance(row, Rejection)])
        newest_us = max((item.published_us for item in items), default=None) if summary.accepted else None
        return Kept(summary.accepted, summary.duplicates, rejected, newest_us)

    def _keep_rejected(self, name: str, rejections: list[Rejection]) -> int:
        """Keep those that were not kept before, in one file a day for each source; returns how many."""
        now_us = self._now_us()
        way = f"feed-{name}"
        kept = RejectedRows(self._data_dir, way, EpochUs(now_us - now_us % US_PER_DAY), way=way)
        count = 0
        try:
            for rejection in rejections:
                if self._is_new(name, rejection):
                    kept.keep(rejection)
                    count += 1
        finally:
            kept.close()
        return count

    def _is_new(self, name: str, rejection: Rejection) -> bool:
        """Whether this is the first time that a source sends what is rejected."""
        known = (name, rejection.reason, rejection.raw)
        if known in self._known_rejections:
            return False
        self._known_rejections[known] = None
        while len(self._known_rejections) > _REMEMBERED_REJECTIONS:
            del self._known_rejections[next(iter(self._known_rejections))]
        return True


@contextmanager
def _lock(path: Path, wait_until: threading.Event | None) -> Iterator[bool]:
    """Hold the lock of the feed of a store: two feeds would call their sources twice as often as those allow.

    Raises FeedRunning when another process holds it; with `wait_until` it is waited for until that is set, and False is
    yielded when it was not to be had.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreNotWritable(f"{path} cannot be opened for writing: {error.strerror}.") from error
    try:
        while not (is_held := _try_lock(descriptor)):
            if wait_until is None:
                raise FeedRunning(f"Another process polls the live sources for the store at {path.parents[1]} already.")
            if wait_until.wait(_LOCK_PAUSE_S):
                break
        yield is_held
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
