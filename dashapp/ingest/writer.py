"""The writer of items that arrive a few at a time: those that wait together share one commit.

A commit costs about 10 ms and two flushes of the disk whether it holds one score or a thousand, so while one is being
made whatever arrives gathers for the next. A sender is answered when the commit that holds its items is durable.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from dashapp.config import Settings
from dashapp.errors import Overloaded, StoreError, TooLarge
from dashapp.ingest.rejects import Rejection, sealed_rejection
from dashapp.ingest.scoring.scorer import Scorer, score_items
from dashapp.ingest.service import RejectedRows
from dashapp.model.item import Item, Outcome
from dashapp.model.score import Score
from dashapp.model.time import US_PER_DAY, EpochUs
from dashapp.store.scores import scores_to_arrow
from dashapp.store.store import Store

log = logging.getLogger(__name__)

_RETRY_AFTER_S = 1  # a full queue is written in less


@dataclass(slots=True)
class WriterCounts:
    """What a writer has done since it was started; `waiting_scores` are not committed yet."""

    submissions: int = 0
    commits: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    scores: int = 0
    waiting_scores: int = 0
    commit_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Submission:
    """Rows that were sent together, their scores, for each score the row it is of, and the future of all outcomes."""

    rows: Sequence[Item | Rejection]
    scores: list[Score]
    owners: list[int]
    outcomes: Future[list[Outcome]] = field(default_factory=Future)


class ItemWriter:
    """Stores items for many senders at once, in one thread with a store of its own.

    `on_commit` is called in that thread with each new version of the scores table, before its senders are answered; it
    must be quick.
    """

    def __init__(
        self,
        settings: Settings,
        scorer: Scorer,
        *,
        now_us: Callable[[], EpochUs],
        on_commit: Callable[[int], None] | None = None,
    ) -> None:
        self._settings = settings
        self._scorer = scorer
        self._now_us = now_us
        self._on_commit = on_commit
        self._counts = WriterCounts()
        self._waiting: deque[_Submission] = deque()
        self._changed = threading.Condition()
        self._is_open = False
        self._thread: threading.Thread | None = None
        self._last_start_s = 0.0

    def start(self) -> None:
        """Open the store, which is made when it is missing, and begin to write; raises StoreError."""
        store = Store(self._settings, create=True)
        self._is_open = True
        self._thread = threading.Thread(target=self._run, args=(store,), name="item writer", daemon=True)
        self._thread.start()

    def submit(self, rows: Sequence[Item | Rejection]) -> Future[list[Outcome]]:
        """Score the rows in the calling thread and queue them; the future holds one outcome for each, once durable.

        The future raises StoreError when they could not be stored; nothing of them is then acknowledged. Raises
        Overloaded when too much is waiting, TooLarge for more scores than may ever wait, StoreError when the writer is
        not running.
        """
        items = [(index, row) for index, row in enumerate(rows) if isinstance(row, Item)]
        mentions = sum(len(item.mentions) for _, item in items)
        limit = self._settings.push_queue_scores
        if mentions > limit:
            raise TooLarge(f"{mentions} scores at once; at most {limit} are taken. Send them in several parts.")
        self._check_room(mentions)  # before the work of scoring
        scores, owners = score_items([item for _, item in items], self._scorer)
        submission = _Submission(rows, scores, [items[owner][0] for owner in owners])
        # From now on it cannot be cancelled: the items will be stored whether anybody still waits or not.
        submission.outcomes.set_running_or_notify_cancel()
        with self._changed:
            self._check_room(mentions)
            self._waiting.append(submission)
            self._counts.waiting_scores += mentions
            self._changed.notify()
        return submission.outcomes

    def counts(self) -> WriterCounts:
        """What was done so far."""
        with self._changed:
            return WriterCounts(*(getattr(self._counts, name) for name in WriterCounts.__slots__))

    @property
    def is_open(self) -> bool:
        """Whether items are written: not before `start`, after `close`, or after a fault of this program."""
        return self._is_open

    @property
    def waiting_scores(self) -> int:
        """Scores that are not committed yet."""
        return self._counts.waiting_scores

    def close(self) -> None:
        """Store what waits, take nothing more, and end the thread."""
        with self._changed:
            self._is_open = False
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _check_room(self, mentions: int) -> None:
        if not self._is_open:
            raise StoreError("Items are not written now: the server is ending, or its log says why. Send them again.")
        if self._counts.waiting_scores + mentions > self._settings.push_queue_scores:
            raise Overloaded(
                f"{self._counts.waiting_scores} scores are waiting to be written. Send these again in a moment.",
                retry_after_s=_RETRY_AFTER_S,
            )

    def _run(self, store: Store) -> None:
        group: list[_Submission] = []
        try:
            while group := self._next_group():
                self._store(store, group)
        except BaseException as error:
            # Whoever waits must not wait for ever. The thread ends with the error, which is a fault of this program.
            with self._changed:
                self._is_open = False
                group += self._waiting
                self._waiting.clear()
            failure = StoreError(f"The writer of items has failed: {error!r}. Nothing was acknowledged.")
            for submission in group:
                if not submission.outcomes.done():
                    submission.outcomes.set_exception(failure)
            raise
        finally:
            store.close()

    def _next_group(self) -> list[_Submission]:
        """The submissions of the next commit: all that wait, up to the size of a commit; empty at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or not self._is_open)
            # Commits that follow each other at once would be many and small, each a file to be read later.
            due_s = self._last_start_s + self._settings.push_commit_every_ms / 1_000
            self._changed.wait_for(
                lambda: self._counts.waiting_scores >= self._settings.ingest_batch_rows or not self._is_open,
                timeout=max(0.0, due_s - time.monotonic()),
            )
            self._last_start_s = time.monotonic()
            group: list[_Submission] = []
            scores = 0
            while self._waiting:
                scores += len(self._waiting[0].owners)
                if group and scores > self._settings.ingest_batch_rows:
                    break
                group.append(self._waiting.popleft())
            return group

    def _store(self, store: Store, group: list[_Submission]) -> None:
        began_s = time.monotonic()
        try:
            self._keep_rejected(store, [row for each in group for row in each.rows if isinstance(row, Rejection)])
            scores = scores_to_arrow([score for each in group for score in each.scores])
            appended = store.scores.append(scores, accepted_us=self._now_us())
            sealed = iter(appended.sealed.tolist())
            refused = [_refused(each, sealed, store.scores.sealed_us) for each in group]
            self._keep_rejected(store, [rejection for each in refused for rejection in each.values()])
        except StoreError as error:
            log.error("%d submissions could not be stored: %s", len(group), error)
            with self._changed:
                self._counts.waiting_scores -= sum(len(each.owners) for each in group)
            for submission in group:
                submission.outcomes.set_exception(error)
            return
        revision = store.scores.version
        duplicate = iter(appended.duplicate.tolist())
        outcomes = [
            _outcomes(each, rejected, duplicate, revision) for each, rejected in zip(group, refused, strict=True)
        ]
        if appended.version is not None and self._on_commit is not None:
            self._on_commit(appended.version)
        self._count(group, outcomes, appended.accepted, time.monotonic() - began_s, appended.version is not None)
        for submission, told in zip(group, outcomes, strict=True):
            submission.outcomes.set_result(told)

    def _keep_rejected(self, store: Store, rejections: Sequence[Rejection]) -> None:
        if not rejections:
            return
        # One file a day and process, opened for each group so that it is complete whenever somebody looks.
        now_us = self._now_us()
        day_us = EpochUs(now_us - now_us % US_PER_DAY)
        kept = RejectedRows(store.data_dir, f"push-{os.getpid()}", day_us, way="push")
        try:
            for rejection in rejections:
                kept.keep(rejection)
        finally:
            kept.close()

    def _count(
        self, group: list[_Submission], outcomes: list[list[Outcome]], scores: int, seconds: float, committed: bool
    ) -> None:
        told = [outcome.status for each in outcomes for outcome in each]
        with self._changed:
            counts = self._counts
            counts.submissions += len(group)
            counts.commits += committed
            counts.commit_seconds += seconds if committed else 0.0
            counts.accepted += told.count("accepted")
            counts.duplicates += told.count("duplicate")
            counts.rejected += told.count("rejected")
            counts.scores += scores
            counts.waiting_scores -= sum(len(each.owners) for each in group)


def _refused(submission: _Submission, sealed: Iterator[bool], sealed_us: int) -> dict[int, Rejection]:
    """The items, by their place, that are refused since they are of a sealed period: whole, since an item has one time.

    `sealed` tells of the scores of this submission, and then of the next one's.
    """
    scores: dict[int, list[Score]] = {}
    for owner, score, is_sealed in zip(submission.owners, submission.scores, sealed, strict=False):
        if is_sealed:
            scores.setdefault(owner, []).append(score)
    return {owner: sealed_rejection("push", of_item, sealed_us) for owner, of_item in scores.items()}


def _outcomes(
    submission: _Submission, refused: Mapping[int, Rejection], duplicate: Iterator[bool], revision: int
) -> list[Outcome]:
    """One outcome for each row: accepted when at least one of its tickers is new, as file ingest counts.

    `duplicate` tells of the scores of this submission, and then of the next one's.
    """
    accepted = {owner for owner, known in zip(submission.owners, duplicate, strict=False) if not known}
    rows = [refused.get(index, row) for index, row in enumerate(submission.rows)]
    return [
        Outcome("rejected", None, row.reason, row.message, revision)
        if isinstance(row, Rejection)
        else Outcome("accepted" if index in accepted else "duplicate", row.id, revision=revision)
        for index, row in enumerate(rows)
    ]
