"""What runs beside the web server in the embedded default: feed and jobs, each a thread over a store of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial

from dashapp.config import Settings
from dashapp.errors import StoreError, UsageError
from dashapp.ingest.scoring.scorer import load_scorer
from dashapp.ingest.service import Ingest
from dashapp.ingest.sources.simulated import SimulatedFeed
from dashapp.model.time import US_PER_DAY, EpochUs
from dashapp.rollup.job import rollup
from dashapp.rollup.jobs import TOGETHER, keep_up
from dashapp.store.store import Store

log = logging.getLogger(__name__)

_FEED_PAUSE_S = 1.0


class Background:
    """Threads that repeat a step until stopped; a step that fails is logged and tried again at its next turn."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def every(self, seconds: float, name: str, step: Callable[[], object]) -> None:
        """Begin a thread that calls `step`, then waits."""

        def repeat() -> None:
            while not self._stop.is_set():
                try:
                    step()
                except StoreError:
                    log.exception("%s failed; it is tried again in %g s", name, seconds)
                self._stop.wait(seconds)

        thread = threading.Thread(target=repeat, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def begin(self, name: str, work: Callable[[threading.Event], object]) -> None:
        """Begin a thread that works until the event it is given is set."""
        thread = threading.Thread(target=work, args=(self._stop,), name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def stop(self) -> None:
        """End all threads after the step they are in."""
        self._stop.set()
        for thread in self._threads:
            thread.join()


def start_jobs(background: Background, settings: Settings, now_us: Callable[[], EpochUs]) -> None:
    """Do the jobs of the settings' store whenever they are due: rollup, compaction, retention and the others."""
    for names in TOGETHER:
        background.begin(names[0], partial(_keep_up, settings, names, now_us))


def _keep_up(settings: Settings, names: Sequence[str], now_us: Callable[[], EpochUs], stop: threading.Event) -> None:
    keep_up(settings, names, stop, now_us)


def start_feed(background: Background, settings: Settings, now_us: Callable[[], EpochUs]) -> list[str]:
    """Poll the chosen live sources into the settings' store, and return their names.

    Raises BadSetting for what cannot be polled. Where another process polls for the store, its end is waited for.
    """
    # Here, since its client for HTTP takes a quarter of a second to import.
    from dashapp.ingest.feed import Feed

    feed = Feed(settings, now_us)
    if feed.names:
        background.begin("feed", lambda stop: feed.run(stop, wait=True))
    return feed.names


class Demo:
    """The simulated feed into a store: history up to now, then what comes."""

    def __init__(self, settings: Settings, feed: SimulatedFeed, now_us: Callable[[], EpochUs]) -> None:
        """Open or make the store; raises UsageError when it holds scores that are not simulated."""
        self._settings = settings
        self._feed = feed
        self._now_us = now_us
        self._store = Store(settings, create=True)
        if not self._store.is_simulated and not self._store.is_empty:
            raise UsageError(
                f"The store at {self._store.data_dir} holds scores that are not simulated; "
                "the demo would mix its own in. "
                "Give the demo a folder of its own with --data-dir."
            )
        self._store.mark_simulated()
        self._ingest = Ingest(
            self._store, load_scorer(settings.ingest_scorer), batch_rows=settings.ingest_batch_rows, now_us=now_us
        )
        self._fed_up_to_us = 0

    def catch_up(self) -> int:
        """Ingest what was published since the last call, at first since `demo_days` ago; returns the scores added."""
        now_us = self._now_us()
        since_us = self._fed_up_to_us or now_us - int(self._settings.demo_days * US_PER_DAY)
        summary = self._ingest.run(self._feed.items(since_us, now_us), "simulated", way="simulated")
        self._fed_up_to_us = now_us
        return summary.scores

    def prepare(self) -> int:
        """Make the history and roll it up, so the first page is complete; returns the scores added."""
        added = self.catch_up()
        rollup(self._store)
        return added

    def start(self, background: Background) -> None:
        """Go on feeding until stopped."""
        background.every(_FEED_PAUSE_S, "simulated feed", self.catch_up)
