"""Items: one text from a source, with the tickers it mentions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dashapp.model.time import EpochUs

# What the store holds of one item: enough for any headline or post, and too small to fill a disk with.
MAX_ID_CHARS = 512
MAX_TEXT_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class Mention:
    """A ticker an item names; `score` in [-1, 1] where the source has scored it already."""

    ticker: str
    score: float | None = None
    confidence: float | None = None
    relevance: float | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One text from a source: `id` is unique within the world of its sender and never changes.

    `scorer` (`name@version`) says who made the scores of already scored mentions.
    """

    id: str
    published_us: EpochUs
    text: str
    mentions: tuple[Mention, ...]
    source: str
    url: str | None = None
    scorer: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one row that was sent: at least one of its tickers is new, all are known, or it cannot be taken.

    `reason` and `message` say why it was rejected; a rejected row has no id that is known to be one. `revision` is a
    version of the scores table that holds what was accepted.
    """

    status: Literal["accepted", "duplicate", "rejected"]
    id: str | None = None
    reason: str | None = None
    message: str | None = None
    revision: int = 0
