"""Scores: one (item, ticker) pair with a signed sentiment, quantised so that sums are exact."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NewType

from dashapp.model.time import EpochUs

ScoreE6 = NewType("ScoreE6", int)
Label = Literal["positive", "neutral", "negative"]

SCORE_SCALE = 1_000_000
# A score of at least this much is positive, of at most minus this much negative: the thresholds VADER's authors give.
LABEL_THRESHOLD_E6 = 50_000

# A commit takes this many positions at most; a position is (version of the scores table << POSITION_BITS) + row in the
# commit. It orders scores by acceptance, survives compaction, and tells the version that brought the row. 2**33
# versions fit before a position passes 2**53, beyond which JavaScript cannot hold it.
POSITION_BITS = 20
MAX_COMMIT_ROWS = 1 << POSITION_BITS


@dataclass(frozen=True, slots=True)
class Score:
    """The sentiment of one item towards one ticker, by one scorer.

    `score_e6` is in millionths, -1,000,000 to 1,000,000. `scorer` is `name@version`. (`item_id`, `ticker`, `scorer`) is
    the identity: it counts once, ever.
    """

    item_id: str
    ticker: str
    scorer: str
    published_us: EpochUs
    score_e6: ScoreE6
    source: str
    text: str = ""
    url: str | None = None
    confidence: float | None = None
    relevance: float | None = None
    story_id: str | None = None

    @property
    def label(self) -> Label:
        """positive, neutral or negative, by LABEL_THRESHOLD_E6."""
        return label_of(self.score_e6)


def quantise(score: float) -> ScoreE6:
    """A score in [-1, 1] in millionths, halves to even; raises ValueError for NaN, infinity and out of range."""
    # JSON has whole numbers of any length, and isfinite cannot take those that are past all floats.
    if isinstance(score, float) and not math.isfinite(score):
        raise ValueError(f"score {score!r} is not a finite number")
    if not -1.0 <= score <= 1.0:
        raise ValueError(f"score {score!r} is outside [-1, 1]")
    return ScoreE6(round(score * SCORE_SCALE))


def label_of(score_e6: int) -> Label:
    """The label of a score in millionths."""
    if score_e6 >= LABEL_THRESHOLD_E6:
        return "positive"
    if score_e6 <= -LABEL_THRESHOLD_E6:
        return "negative"
    return "neutral"


def position_of(version: int, row: int) -> int:
    """The position of a row in the commit that makes this version of the scores table."""
    return (version << POSITION_BITS) + row


def revision_of(position: int) -> int:
    """The version of the scores table that brought the row at this position."""
    return position >> POSITION_BITS
