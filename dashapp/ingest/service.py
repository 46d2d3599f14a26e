"""Ingest: items in, durable scores out, with an account of every row."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from dashapp.errors import StoreNotWritable
from dashapp.ingest.rejects import Rejection
from dashapp.ingest.scoring.scorer import GIVEN_SCORER, Scorer, identity
from dashapp.model.item import Item
from dashapp.model.score import Score, quantise
from dashapp.model.time import EpochUs, to_iso
from dashapp.store.scores import scores_to_arrow
from dashapp.store.store import Store


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

    def __init__(self, folder: Path, name: str, now_us: int) -> None:
        stamp = re.sub(r"[^0-9TZ]", "", to_iso(now_us))
        safe_name = re.sub(r"[^A-Za-z0-9._-]", "_", name)[-80:]
        self.path = folder / f"{stamp}-{safe_name}.jsonl"
        self._file: TextIO | None = None

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
        except OSError as error:
            raise StoreNotWritable(f"{self.path} cannot be written: {error.strerror}.") from error

    def close(self) -> Path | None:
        """End the file and return its path, None when nothing was rejected."""
        if self._file is None:
            return None
        self._file.close()
        return self.path


class Ingest:
    """Scores items and stores them in batches; each batch is durable before the next is begun."""

    def __init__(
        self,
        store: Store,
        scorer: Scorer,
        *,
        batch_rows: int,
        now_us: Callable[[], EpochUs],
    ) -> None:
        self._store = store
        self._scorer = scorer
        self._scorer_identity = identity(scorer)
        self._batch_rows = batch_rows
        self._now_us = now_us

    def run(self, rows: Iterable[Item | Rejection], name: str) -> IngestSummary:
        """Store every good row and keep every bad one; `name` says whose rows they are, for the rejected file.

        Raises StoreError; what earlier batches stored stays stored, and running again counts nothing twice.
        """
        summary = IngestSummary(revision=self._store.scores.table.refresh())
        kept = RejectedRows(self._store.data_dir / "rejected", name, self._now_us())
        try:
            for batch in self._batches(rows, summary, kept):
                self._store_batch(batch, summary)
        finally:
            summary.rejected_file = kept.close()
        return summary

    def _batches(
        self, rows: Iterable[Item | Rejection], summary: IngestSummary, kept: RejectedRows
    ) -> Iterator[list[Item]]:
        batch: list[Item] = []
        mentions = 0
        for row in rows:
            if isinstance(row, Rejection):
                summary.rejected += 1
                summary.rejected_by_reason[row.reason] += 1
                kept.keep(row)
                continue
            if batch and mentions + len(row.mentions) > self._batch_rows:
                yield batch
                batch, mentions = [], 0
            batch.append(row)
            mentions += len(row.mentions)
        if batch:
            yield batch

    def _store_batch(self, batch: list[Item], summary: IngestSummary) -> None:
        scores, owners = self._scored(batch)
        appended = self._store.scores.append(scores_to_arrow(scores), accepted_us=self._now_us())
        accepted_rows = {owner for owner, duplicate in zip(owners, appended.duplicate, strict=True) if not duplicate}
        summary.accepted += len(accepted_rows)
        summary.duplicates += len(batch) - len(accepted_rows)
        summary.scores += appended.accepted
        summary.revision = appended.version or summary.revision

    def _scored(self, batch: list[Item]) -> tuple[list[Score], list[int]]:
        """The scores of a batch, and for each the index of the item it is of."""
        unscored = [item for item in batch if any(mention.score is None for mention in item.mentions)]
        sentiments = dict(zip(map(id, unscored), self._scorer.score([item.text for item in unscored]), strict=True))
        scores, owners = [], []
        for owner, item in enumerate(batch):
            for mention in item.mentions:
                if mention.score is None:
                    sentiment = sentiments[id(item)]
                    scorer, value, confidence = self._scorer_identity, sentiment.score, sentiment.confidence
                else:
                    scorer, value, confidence = item.scorer or GIVEN_SCORER, mention.score, mention.confidence
                scores.append(
                    Score(
                        item_id=item.id,
                        ticker=mention.ticker,
                        scorer=scorer,
                        published_us=item.published_us,
                        score_e6=quantise(value),
                        source=item.source,
                        text=item.text,
                        url=item.url,
                        confidence=confidence,
                        relevance=mention.relevance,
                    )
                )
                owners.append(owner)
        return scores, owners
