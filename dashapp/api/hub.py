"""The hub of the live stream: between the one that follows the store and the many that listen."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Executor
from typing import NamedTuple

from dashapp.api.events import RETRY, EventId, bucket_event, event, id_line
from dashapp.api.journal import EVENTS_AT_ONCE, Journal
from dashapp.api.metrics import Metrics
from dashapp.errors import Overloaded, StoreError, TooManyStreams, UnknownScorer
from dashapp.model.change import Place
from dashapp.model.time import US_PER_SECOND, EpochUs, to_iso
from dashapp.rollup.live import Live, Step
from dashapp.store.faults import recovered
from dashapp.store.follow import Watch

log = logging.getLogger(__name__)

# What changes within this time reaches a listener together.
MERGE_S = 0.1
# A listener that finds no room may ask again after this time; nobody can know.
_RETRY_AFTER_S = 5
# Those who were cut off together come back together, and ask for the same.
_REPLAY_KEPT_S = 5.0
# How long to leave a store alone that could not be read.
_ASK_AGAIN_S = 2.0
# A timer may be a little early.
_TIMER_S = 0.001

Send = Callable[[bytes], Awaitable[None]]

_KINDS = {kind: f"event: {kind}\n".encode() for kind in ("bucket_update", "partial_bucket", "heartbeat", "resync")}


class Listener:
    """One connection: what it watches, and up to which change, time, second and heartbeat it has been told."""

    def __init__(self, watch: Watch, *, follows_default: bool) -> None:
        self.watch = watch
        self.follows_default = follows_default
        self.place = Place(0, 0)
        self.ms = 0
        self.second = 0
        self.heartbeat = 0
        self.must_reload = ""  # the reason, while there is one
        self.is_gone = False
        self._is_awake = False
        self._sleep: asyncio.Future[None] | None = None

    def leave(self) -> None:
        """The connection is no more."""
        self.is_gone = True
        self.wake()

    def wake(self) -> None:
        """End the sleep, or the next one before it begins."""
        self._is_awake = True
        if self._sleep is not None and not self._sleep.done():
            self._sleep.set_result(None)

    async def sleep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait to be woken. As an asyncio.Event, but for one: with 1,000 listeners those cost a fifth of a worker."""
        if not self._is_awake:
            self._sleep = loop.create_future()
            await self._sleep
            self._sleep = None
        self._is_awake = False


class _News(NamedTuple):
    """What a listener is sent, and what it has been told with that."""

    payload: bytes
    place: Place
    ms: int
    second: int
    heartbeat: int
    is_all: bool


class _Missed(NamedTuple):
    """What a listener missed, in pieces to be sent, and up to where it then has been told."""

    pieces: list[bytes]
    place: Place
    ms: int


class Hub:
    """All listeners of one process; every method is for the event loop."""

    def __init__(
        self,
        live: Live,
        now_us: Callable[[], EpochUs],
        default_scorer: Callable[[], str],
        pool: Executor,
        metrics: Metrics,
        *,
        max_connections: int,
        heartbeat_s: float,
    ) -> None:
        """`default_scorer`, of those who name none, and what the store must tell are asked for in `pool`."""
        self._live = live
        self._now_us = now_us
        self._ask_default_scorer = default_scorer
        self._pool = pool
        self._max_connections = max_connections
        self._heartbeat_s = heartbeat_s
        self._metrics = metrics
        self._events_sent = {kind: metrics.stream_events.labels(kind) for kind in _KINDS}
        metrics.stream_clients.set_function(lambda: len(self._listeners))
        self._journal = Journal()
        self._listeners: set[Listener] = set()
        self._default_scorer = ""
        self._started_us = EpochUs(0)
        self._heartbeat = 0
        self._heartbeat_at = 0.0
        self._flushed_at = 0.0
        self._accepted_us: list[int] = []
        self._news: dict[tuple[object, ...], _News] = {}
        self._missed: dict[tuple[object, ...], asyncio.Future[_Missed | None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._has_begun = asyncio.Event()
        self._has_changed = asyncio.Event()
        self._has_ended = False

    def start(self) -> None:
        """Begin to follow the store and to tell."""
        self._loop = loop = asyncio.get_running_loop()
        self._started_us = self._now_us()
        self._journal.advance(self._started_us)
        self._do(self._run())

        def publish(step: Step) -> None:
            loop.call_soon_threadsafe(self._learn, step)

        self._live.start(publish)

    def end_soon(self) -> None:
        """Let every stream end by itself; may be called from anywhere, a signal included."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self._has_ended = True
        self._has_begun.set()
        self._has_changed.set()
        for listener in self._listeners:
            listener.wake()

    async def stop(self) -> None:
        """End, and wait for what follows the store."""
        self._end()
        await asyncio.get_running_loop().run_in_executor(None, self._live.stop)
        for task in self._tasks:
            task.cancel()

    def check_room(self) -> None:
        """Raises TooManyStreams when there is no room for one more listener."""
        if len(self._listeners) >= self._max_connections:
            self._metrics.stream_refused.inc()
            raise TooManyStreams(
                f"This server has {self._max_connections} live streams already, and takes no more.",
                retry_after_s=_RETRY_AFTER_S,
                limit=self._max_connections,
            )

    @contextlib.contextmanager
    def admitted(self, listener: Listener) -> Iterator[None]:
        """Hold a place for a listener; raises TooManyStreams. Many may come at once, so it is taken as it is found."""
        self.check_room()
        self._listeners.add(listener)
        try:
            yield
        finally:
            self._listeners.discard(listener)

    async def serve(self, listener: Listener, last: EventId | None, send: Send) -> None:
        """Tell an admitted listener what happens, from the event on that it was told last, until it leaves or the
        server ends."""
        loop = asyncio.get_running_loop()
        try:
            await send(RETRY)
            await self._has_begun.wait()
            if self._has_ended:
                return
            if listener.follows_default:
                listener.watch = dataclasses.replace(listener.watch, scorer=self._default_scorer)
            listener.place, listener.ms = (self._journal.head, self._journal.ms) if last is None else last
            listener.ms = min(listener.ms, self._journal.ms)  # the clock of another worker may be ahead
            self._spare_progress(listener)
            await self._tell(listener, send)
            await self._greet(listener, send)
            while not (listener.is_gone or self._has_ended):
                await listener.sleep(loop)
                await self._tell(listener, send)
        except Overloaded:
            return  # its reader comes back a second later, when less waits
        except StoreError as error:
            log.warning("a live stream ends, what it missed cannot be read: %s", error)
            recovered("stream_ended")

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._has_ended:
            # Intervals end, and progress moves, at whole seconds of the clock.
            until_second_s = 1 - self._now_us() % US_PER_SECOND / US_PER_SECOND + _TIMER_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(until_second_s):
                    await self._has_changed.wait()
            await asyncio.sleep(self._flushed_at + MERGE_S - loop.time())
            self._flush()

    def _flush(self) -> None:
        """Let every listener be told what is new."""
        now = asyncio.get_running_loop().time()
        self._has_changed.clear()
        self._flushed_at = now
        self._journal.advance(self._now_us())
        self._news.clear()
        if now >= self._heartbeat_at - MERGE_S:  # as near as flushes are
            self._heartbeat += 1
            self._heartbeat_at = now + self._heartbeat_s
        for listener in self._listeners:
            listener.wake()
        for accepted_us in self._accepted_us:
            latency_us = self._journal.moment_us - accepted_us
            self._metrics.stream_latency_seconds.observe(latency_us / US_PER_SECOND)
        self._accepted_us.clear()

    def _learn(self, step: Step) -> None:
        self._journal.learn(step, self._now_us())
        self._news.clear()
        self._accepted_us += step.accepted_us
        self._has_changed.set()
        if step.scorers or not self._has_begun.is_set():
            self._do(self._choose_default_scorer())

    async def _choose_default_scorer(self) -> None:
        """Ask for the scorer of those who name none; when it is another one than before, they have to begin anew."""
        while True:
            try:
                chosen = await asyncio.get_running_loop().run_in_executor(self._pool, self._ask_default_scorer)
            except UnknownScorer as error:  # the one that is set, which has no scores here yet
                chosen = str(error.details["scorer"])
            except (Overloaded, StoreError) as error:
                log.warning("the scorer of the live stream is not known yet: %s", error)
                await asyncio.sleep(_ASK_AGAIN_S)
                continue
            break
        self._default_scorer = chosen
        self._has_begun.set()
        for listener in self._listeners:
            if listener.follows_default and listener.watch.scorer not in ("", chosen):
                listener.watch = dataclasses.replace(listener.watch, scorer=chosen)
                listener.must_reload = f"The charts now show the scores of {chosen}."
                listener.wake()

    async def _tell(self, listener: Listener, send: Send) -> None:
        """Send all that a listener has not been told."""
        while not (listener.is_gone or self._has_ended):
            if listener.must_reload:
                await self._send_away(listener, listener.must_reload, send)
            elif not self._journal.covers(listener.place, listener.ms):
                await self._replay(listener, send)
            else:
                news = self._news_of(listener)
                listener.place, listener.ms = news.place, news.ms
                listener.second, listener.heartbeat = news.second, news.heartbeat
                if news.payload:
                    await self._send(news.payload, send)
                if news.is_all:
                    return
                await asyncio.sleep(0)  # a long way to catch up must not keep all others waiting

    def _news_of(self, listener: Listener) -> _News:
        key = (listener.watch, listener.place, listener.ms, listener.second, listener.heartbeat)
        news = self._news.get(key)
        if news is None:
            told = self._journal.tell(listener.watch, listener.place, listener.ms, listener.second)
            payload, second, heartbeat = told.payload, listener.second, listener.heartbeat
            if told.is_all:
                second = max(second, self._journal.second)
                if heartbeat < self._heartbeat:
                    heartbeat = self._heartbeat
                    payload += self._heartbeat_event(told.place)
            news = self._news[key] = _News(payload, told.place, told.ms, second, heartbeat, told.is_all)
        return news

    async def _greet(self, listener: Listener, send: Send) -> None:
        """Send what is open now, and a heartbeat, so that every listener has the id of an event."""
        self._spare_progress(listener)
        present = self._journal.present(listener.watch, listener.place)
        await self._send(present + self._heartbeat_event(listener.place), send)

    def _spare_progress(self, listener: Listener) -> None:
        """What is open is told anyway; the next second may be a moment away, so it is left out too."""
        listener.second = self._journal.second + 1
        listener.heartbeat = self._heartbeat

    async def _send_away(self, listener: Listener, reason: str, send: Send) -> None:
        """Tell a listener to load everything anew, and go on from the present."""
        listener.must_reload = ""
        listener.place, listener.ms = self._journal.head, self._journal.ms
        told = event("resync", {"reason": reason, "revision": listener.place.version})
        await self._send(id_line(listener.place, listener.ms) + told, send)
        await self._greet(listener, send)

    async def _replay(self, listener: Listener, send: Send) -> None:
        """Send what a listener missed that only the store knows."""
        key = (listener.watch, listener.place, listener.ms)
        asked = self._missed.get(key)
        if asked is None:
            loop = asyncio.get_running_loop()
            asked = self._missed[key] = loop.run_in_executor(
                self._pool, self._read_missed, *key, self._journal.moment_us
            )
            loop.call_later(_REPLAY_KEPT_S, self._missed.pop, key, None)
        missed = await asyncio.shield(asked)  # others wait for it too
        if missed is None:
            await self._send_away(listener, "What you missed is too long ago to be told.", send)
            return
        for piece in missed.pieces:
            await self._send(piece, send)
        listener.place, listener.ms = missed.place, missed.ms

    def _read_missed(self, watch: Watch, place: Place, ms: int, now_us: int) -> _Missed | None:
        """What came after a place and a time, from the store; None when that is too long ago. For a thread."""
        replay = self._live.replay(place, ms * 1_000, now_us, watch)
        if replay is None:
            return None
        now_ms = now_us // 1_000
        # Only the last of the endings carries the new time, as in the journal.
        told = [id_line(place, ms) + bucket_event(bucket, now_us) for bucket in replay.closed[:-1]]
        told += [id_line(place, now_ms) + bucket_event(bucket, now_us) for bucket in replay.closed[-1:]]
        told += [id_line(change.place, now_ms) + bucket_event(change.bucket, now_us) for change in replay.changes]
        pieces = [b"".join(told[first : first + EVENTS_AT_ONCE]) for first in range(0, len(told), EVENTS_AT_ONCE)]
        return _Missed(pieces, replay.head, now_ms)

    async def _send(self, payload: bytes, send: Send) -> None:
        await send(payload)
        for kind, line in _KINDS.items():
            if number := payload.count(line):
                self._events_sent[kind].inc(number)

    def _heartbeat_event(self, place: Place) -> bytes:
        now_us = self._journal.moment_us
        beat = {
            "timestamp": to_iso(now_us),
            "connections": len(self._listeners),
            "uptime_seconds": (now_us - self._started_us) / US_PER_SECOND,
            "revision": self._journal.head.version,
        }
        return id_line(place, self._journal.ms) + event("heartbeat", beat)

    def _do(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._look_after)

    def _look_after(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            # A fault of this program. Streams that end send their readers to ask again; silent ones would deceive them.
            log.critical("the live stream has failed and ends", exc_info=error)
            self._end()
