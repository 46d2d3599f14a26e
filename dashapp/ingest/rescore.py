"""Rescoring: the scores of another scorer beside those that are stored, from the stored texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dashapp.ingest.scoring.scorer import Scorer, identity
from dashapp.model.score import quantise
from dashapp.model.time import EpochUs
from dashapp.store.extracts import score_stretches
from dashapp.store.reader import PATIENT_MS, Reader
from dashapp.store.store import Store
from dashapp.store.texts import unscored


@dataclass(slots=True)
class RescoreSummary:
    """What became of the stored (item, ticker) pairs: scored anew, scored by this scorer before, or without a text."""

    scorer: str
    scored: int = 0
    known: int = 0
    without_text: int = 0
    revision: int = 0


def rescore(
    store: Store,
    scorer: Scorer,
    start_us: int,
    end_us: int,
    *,
    batch_rows: int,
    now_us: Callable[[], EpochUs],
) -> RescoreSummary:
    """Score what was published in [start_us, end_us) and add the scores; those of other scorers stay as they are.

    Each batch is durable before the next is begun, and running again adds nothing twice. Raises StoreError.
    """
    reader = Reader(store, timeout_ms=PATIENT_MS)
    view = reader.view()
    summary = RescoreSummary(identity(scorer), revision=view.revision)
    for begin, stop in score_stretches(view, start_us, end_us):
        found = unscored(reader, view, summary.scorer, begin, stop)
        summary.known += found.known
        summary.without_text += found.without_text
        sentiments = scorer.score(found.texts)
        scores_e6 = np.fromiter((quantise(each.score) for each in sentiments), dtype=np.int32, count=len(sentiments))
        rows = found.scored(summary.scorer, scores_e6, [each.confidence for each in sentiments])
        for first in range(0, rows.num_rows, batch_rows):
            appended = store.scores.append(rows.slice(first, batch_rows), accepted_us=now_us())
            summary.scored += appended.accepted
            summary.known += int(appended.duplicate.sum())
            summary.revision = appended.version or summary.revision
    return summary
