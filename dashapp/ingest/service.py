"""Ingest: items in, durable scores out, with an account of every row."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from dashapp.errors import StoreNotWritable
from dashapp.ingest.rejects import Rejection, sealed_rejection
from dashapp.ingest.scoring.scorer import Scorer, score_items
from dashapp.ingest.sources.columnar import Columns
from dashapp.model.item import Item
from dashapp.model.time import EpochUs, to_iso
from dashapp.store import tally
from dashapp.store.remedies import remedy
from dashapp.store.scores import join_scores, scores_from_arrow, scores_to_arrow, take_scores
from dashapp.store.store import Store

# So many rejected rows at most are kept and not yet counted when a process is killed.
_COUNTED_EVERY = 1_000


@dataclass(slots=True)
class IngestSummary:
    """An account of every row: accepted + duplicates + rejected = rows read.

    A row is accepted when at least one of its tickers is new, a duplicate when all are known. `scores` are the
    (item, ticker) pairs added. `revision` is the store's version that holds them all.
    """

    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    scores: int = 0
    rejected_by_reason: Counter[str] = field(default_factory=Counter)
    rejected_file: Path | None = None
    revision: int = 0


class RejectedRows:
    """Where rejected rows are kept with their reasons: a JSONL file, made when the first one comes."""

    def __init__(self, data_dir: Path, name: str, now_us: int, *, way: str) -> None:
        """`way` is what they are counted by beside their reasons: file, push, or the feed and its source."""
        stamp = re.sub(r"[^0-9TZ]", "", to_iso(now_us))
        safe_name = re.sub(r"[^A-Za-z0-9._-]", "_", name)[-80:]
        self.path = data_dir / "rejected" / f"{stamp}-{safe_name}.jsonl"
        self._file: TextIO | None = None
        self._data_dir = data_dir
        self._way = way
        self._uncounted: Counter[tuple[str, str]] = Counter()

    def keep(self, rejection: Rejection) -> None:
        """Append one rejection; raises StoreNotWritable."""
        line = {
            "place": rejection.place,
            "reason": rejection.reason,
            "message": rejection.message,
            "row": rejection.raw,
        }
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.path.open("a", encoding="utf-8")
            self._file.write(json.dumps(line) + "\n")
            self._uncounted[self._way, rejection.reason] += 1
            if self._uncounted.total() >= _COUNTED_EVERY:
                self._file.flush()
                self._count()
        except OSError as error:
            raise self._not_written(error) from error

    def close(self) -> Path | None:
        """End the file and return its path, None when nothing was rejected."""
        if self._file is None:
            return None
        try:
            self._file.close()
        except OSError as error:  # rows were in memory until now
            raise self._not_written(error) from error
        self._count()
        return self.path

    def _not_written(self, error: OSError) -> StoreNotWritable:
        return StoreNotWritable(f"{self.path} cannot be written: {error.strerror}.{remedy(error)}")

    def _count(self) -> None:
        if self._uncounted:
            tally.add(self._data_dir, tally.REJECTED, self._uncounted)
            self._uncounted.clear()


class _Batch:
    """Rows on their way into one commit, in order: single items, and parts of columns."""

    def __init__(self) -> None:
        self.rows = 0
        self.scores = 0
        self._items: list[Item] = []
        self._parts: list[tuple[Any, NDArray[np.int64]]] = []  # scores, and of each the row of the batch it is of

    def add_item(self, item: Item) -> None:
        """Add one row."""
        self._items.append(item)
        self.rows += 1
        self.scores += len(item.mentions)

    def add_scores(self, scores: Any, owners: NDArray[np.int64], rows: int, scorer: Scorer) -> None:
        """Add rows of which the scores are known; `owners` counts from 0."""
        self._score_items(scorer)
        self._parts.append((scores, owners + self.rows))
        self.rows += rows
        self.scores += len(owners)

    def joined(self, scorer: Scorer) -> tuple[Any, NDArray[np.int64]]:
        """All scores, and of each the row it is of."""
        self._score_items(scorer)
        return join_scores([scores for scores, _ in self._parts]), np.concatenate([each for _, each in self._parts])

    def _score_items(self, scorer: Scorer) -> None:
        if self._items:
            scores, owners = score_items(self._items, scorer)
            first = self.rows - len(self._items)
            self._parts.append((scores_to_arrow(scores), np.array(owners, dtype=np.int64) + first))
            self._items = []


class Ingest:
    """Scores items and stores them in batches; each batch is durable before the next is begun."""

    def __init__(
        self,
        store: Store,
        scorer: Scorer,
        *,
        batch_rows: int,
        now_us: Callable[[], EpochUs],
        reopen: bool = False,
    ) -> None:
        """`reopen` adds to sealed periods what is rejected otherwise."""
        self._store = store
        self._scorer = scorer
        self._batch_rows = batch_rows
        self._now_us = now_us
        self._reopen = reopen

    def run(
        self,
        rows: Iterable[Item | Rejection | Columns],
        name: str,
        is_new: Callable[[Rejection], bool] = lambda rejection: True,
        *,
        way: str,
    ) -> IngestSummary:
        """Store every good row and keep every bad one; `name` says whose rows they are, for the rejected file, and
        `way` how they came, for the count of those.

        A rejection of which `is_new` says that it is not is neither kept nor counted.

        Raises StoreError; what earlier batches stored stays stored, and running again counts nothing twice.
        """
        summary = IngestSummary(revision=self._store.scores.table.refresh())
        kept = RejectedRows(self._store.data_dir, name, self._now_us(), way=way)
        try:
            for batch in self._batches(rows, summary, kept):
                for rejection in self._store_batch(batch, summary, name):
                    if is_new(rejection):
                        _reject(rejection, summary, kept)
        finally:
            summary.rejected_file = kept.close()
        return summary

    def _batches(
        self, rows: Iterable[Item | Rejection | Columns], summary: IngestSummary, kept: RejectedRows
    ) -> Iterator[_Batch]:
        """The good rows in batches, each as many whole rows as a commit may hold, however the rows come."""
        batch = _Batch()
        for row in rows:
            if isinstance(row, Rejection):
                _reject(row, summary, kept)
            elif isinstance(row, Item):
                if batch.rows and batch.scores + len(row.mentions) > self._batch_rows:
                    yield batch
                    batch = _Batch()
                batch.add_item(row)
            else:
                for _, other in row.others:
                    if isinstance(other, Rejection):
                        _reject(other, summary, kept)
                batch = yield from self._spread(row, batch)
        if batch.rows:
            yield batch

    def _spread(self, columns: Columns, batch: _Batch) -> Generator[_Batch, None, _Batch]:
        """Add rows to a batch, hand out each batch that is full, and return the one that is not."""
        scores, owners = self._all_scores(columns)
        is_first = np.diff(owners, prepend=-1) > 0
        row_of_score = np.cumsum(is_first) - 1  # of the rows that have scores, from 0
        begins = np.append(np.flatnonzero(is_first), len(owners))
        done, rows = 0, len(begins) - 1
        while done < rows:
            begin = int(begins[done])
            fitting = int(np.searchsorted(begins, begin + self._batch_rows - batch.scores, side="right")) - 1
            if fitting <= done and batch.rows:
                yield batch
                batch = _Batch()
                continue
            upto = max(fitting, done + 1)  # a row larger than a batch is one by itself
            count = int(begins[upto]) - begin
            owners_here = row_of_score[begin : begin + count] - done
            batch.add_scores(scores.slice(begin, count), owners_here, upto - done, self._scorer)
            done = upto
        return batch

    def _all_scores(self, columns: Columns) -> tuple[Any, NDArray[np.int64]]:
        """The scores of all rows in order, those of the rows that are items among them."""
        items = [(row, other) for row, other in columns.others if isinstance(other, Item)]
        if not items:
            return columns.scores, columns.owners
        scores, owners = score_items([item for _, item in items], self._scorer)
        places = np.fromiter((row for row, _ in items), dtype=np.int64, count=len(items))
        all_owners = np.concatenate([columns.owners, places[owners]])
        order = np.argsort(all_owners, kind="stable")
        return take_scores(join_scores([columns.scores, scores_to_arrow(scores)]), order), all_owners[order]

    def _store_batch(self, batch: _Batch, summary: IngestSummary, name: str) -> list[Rejection]:
        """Store what is new of a batch and count it; returns what was refused."""
        scores, owners = batch.joined(self._scorer)
        appended = self._store.scores.append(scores, accepted_us=self._now_us(), reopen=self._reopen)
        is_accepted, is_refused = np.zeros((2, batch.rows), dtype=np.bool_)
        is_accepted[owners[appended.fresh]] = True
        is_refused[owners[appended.sealed]] = True
        is_refused &= ~is_accepted
        accepted = int(is_accepted.sum())
        summary.accepted += accepted
        summary.duplicates += batch.rows - accepted - int(is_refused.sum())
        summary.scores += appended.accepted
        summary.revision = appended.version or summary.revision
        if not is_refused.any():
            return []
        refused = np.flatnonzero(is_refused[owners])
        by_row = itertools.groupby(
            zip(owners[refused].tolist(), scores_from_arrow(take_scores(scores, refused)), strict=True),
            key=lambda pair: pair[0],
        )
        sealed_us = self._store.scores.sealed_us
        return [sealed_rejection(name, [score for _, score in pairs], sealed_us) for _, pairs in by_row]


def _reject(rejection: Rejection, summary: IngestSummary, kept: RejectedRows) -> None:
    summary.rejected += 1
    summary.rejected_by_reason[rejection.reason] += 1
    kept.keep(rejection)
