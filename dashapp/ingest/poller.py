"""One live source being polled: its turns, its limits, its pauses after failures, and how it is."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from dashapp.errors import SourceError, StoreError
from dashapp.ingest.health import SourceHealth
from dashapp.ingest.position import PositionFile, Stored
from dashapp.ingest.rejects import Rejection
from dashapp.ingest.sources.http import MAX_RETRY_AFTER_S
from dashapp.ingest.sources.poll import Page, Source
from dashapp.model.item import Item
from dashapp.model.time import US_PER_SECOND, EpochUs

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 900.0
_ROUND_FAILURES = 3


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of the rows of a page, all durable."""

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    newest_us: int | None = None


# Stores the rows of a source, durable on return; raises StoreError.
Keep = Callable[[str, Sequence[Item | Rejection]], Kept]
# Runs what blocks where it holds up no other source.
InThread = Callable[[Callable[[], Kept]], Awaitable[Kept]]


class Poller:
    """Polls one source; `turn` is one call at most, and says when the next may be made."""

    def __init__(
        self,
        source: Source,
        file: PositionFile,
        keep: Keep,
        in_thread: InThread,
        *,
        every_s: float,
        now_us: Callable[[], EpochUs],
        chance: random.Random,
        health: SourceHealth,
    ) -> None:
        """`health` is kept up to date."""
        self.source = source
        self.health = health
        self._file = file
        self._keep = keep
        self._in_thread = in_thread
        # As many rounds in a day as its limits allow, evenly: 25 calls in the first half hour would make a blind day.
        self._every_s = max(every_s, source.limits.spacing_s * source.calls_per_round)
        # A source that is down all day must not use up the calls of the day either.
        self._longest_pause_s = max(LONGEST_PAUSE_S, source.limits.spacing_s)
        self._now_us = now_us
        self._chance = chance
        self._stored: Stored | None = None
        self._has_more = False

    async def round(self) -> None:
        """Poll until the source is up to date, must be left alone, or fails again and again."""
        while True:
            seconds = await self.turn()
            is_over = not self._has_more or self.health.consecutive_failures >= _ROUND_FAILURES
            if is_over or self.health.waiting_for == "limit":
                return
            await asyncio.sleep(seconds)

    async def turn(self) -> float:
        """Poll once, unless the source must be left alone; returns the seconds until the next turn, 0 for at once.

        What fails is counted and logged, and tried again after a pause. Nothing is raised for it.
        """
        stored = self._position()
        now_s = self._now_us() / US_PER_SECOND
        waits_s = self.source.limits.wait_s(stored.calls_s, now_s)
        if stored.not_before_s <= now_s + MAX_RETRY_AFTER_S:  # more was never asked: the clock has been set back
            waits_s = max(waits_s, stored.not_before_s - now_s)
        if waits_s > 0:
            return self._next(waits_s, "limit")
        self.health.calls += 1
        self.health.last_poll_us = self._now_us()
        stored.calls_s = [*self.source.limits.kept(stored.calls_s, now_s), round(now_s, 3)]
        stored.not_before_s = 0.0
        try:
            page = await self.source.poll(stored.position)
            await self._take(page, stored)
        except (SourceError, StoreError) as error:
            return await self._failed(error, stored)
        self._has_more = page.next_poll_s == 0
        if page.error is not None:
            return await self._failed(page.error, stored)
        self.health.consecutive_failures = 0
        self.health.last_success_us = self._now_us()
        pause_s = 0.0 if self._has_more else max(self._every_s, page.next_poll_s or 0.0)
        return self._next(pause_s, "turn")

    async def broken(self, error: BaseException) -> float:
        """Note an error nobody foresaw; returns the seconds until the next turn, as after any failure."""
        log.error("%s: a fault in Tickertone stopped this poll", self.source.name, exc_info=error)
        return await self._failed(error, self._position())

    def _position(self) -> Stored:
        if self._stored is None:
            self._stored = self._file.read()
        return self._stored

    async def _take(self, page: Page, stored: Stored) -> None:
        """Make the page's rows durable, and its position after them."""
        moved = Stored(page.position, stored.calls_s, 0.0)

        def keep() -> Kept:
            kept = self._keep(self.source.name, page.rows)
            self._file.write(moved)
            return kept

        kept = await self._in_thread(keep)
        stored.position = page.position
        health = self.health
        health.accepted += kept.accepted
        health.duplicates += kept.duplicates
        health.rejected += kept.rejected
        health.ignored += page.ignored
        if kept.newest_us is not None:
            health.last_item_us = max(health.last_item_us or kept.newest_us, kept.newest_us)
            health.lag_s = max(0.0, (self._now_us() - kept.newest_us) / US_PER_SECOND)
        if kept.accepted or kept.rejected:
            log.info("%s: %d new, %d rejected", self.source.name, kept.accepted, kept.rejected)

    async def _failed(self, error: BaseException, stored: Stored) -> float:
        health = self.health
        level = logging.INFO if str(error) == health.last_error else logging.WARNING  # the news, not each repeat
        health.failures += 1
        health.consecutive_failures += 1
        health.last_error = str(error)
        health.last_error_us = self._now_us()
        doubled_s = FIRST_PAUSE_S * 2.0 ** min(health.consecutive_failures - 1, 20)
        # Half of the pause is chance, so that many of us do not come back to a server at the same moment.
        pause_s = min(doubled_s, self._longest_pause_s) * self._chance.uniform(0.5, 1.0)
        asked_s = error.retry_after_s if isinstance(error, SourceError) else 0.0
        if asked_s:
            stored.not_before_s = self._now_us() / US_PER_SECOND + asked_s
        log.log(level, "%s; next try in %.0f s", str(error).rstrip("."), max(pause_s, asked_s))

        def write() -> Kept:
            self._file.write(stored)
            return Kept()

        try:
            await self._in_thread(write)
        except StoreError as unwritten:  # the same disk most likely; the source is asked again all the same
            log.warning("%s", unwritten)
        return self._next(max(pause_s, asked_s), "failure")

    def _next(self, seconds: float, why: str) -> float:
        self.health.next_poll_us = self._now_us() + int(seconds * US_PER_SECOND)
        self.health.waiting_for = why
        return seconds
