"""VADER: a lexicon and rules for short English texts (Hutto and Gilbert, 2014), as the vaderSentiment package has it.

Fast and the same everywhere, but it knows no finance: "beats" and "upgrade" mean little to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from dashapp.ingest.scoring.scorer import Sentiment

# VADER compares every word it has a value for with all words of the text, so its time grows with the square of the
# length: 4,000 emojis take it five seconds. This much, about a page, takes it 0.1 s at worst, and decides: its
# score of a longer text is next to -1 or 1 in any case.
MAX_SCORED_CHARS = 2_000
_KEPT_TEXTS = 8_192  # of one text hundreds of copies come, near each other


class Vader:
    """Scores by VADER's compound value, which lies in [-1, 1] and has four decimals; it gives no confidence.

    Of a long text the first MAX_SCORED_CHARS characters count, where an emoji is as long as the words that VADER
    reads for it. An empty text scores 0. About 10,000 texts of 140 characters a second.
    """

    name = "vader"

    def __init__(self) -> None:
        self.version = version("vaderSentiment")
        self._analyzer = SentimentIntensityAnalyzer()
        self._kept = lru_cache(_KEPT_TEXTS)(self._score)

    def score(self, texts: Sequence[str]) -> list[Sentiment]:
        """One sentiment for each text, in order."""
        return [self._kept(self._head(text)) for text in texts]

    def _score(self, text: str) -> Sentiment:
        return Sentiment(self._analyzer.polarity_scores(text)["compound"])

    def _head(self, text: str) -> str:
        head = text[:MAX_SCORED_CHARS]
        if head.isascii():
            return head
        room = MAX_SCORED_CHARS
        for index, character in enumerate(head):
            room -= len(self._analyzer.emojis.get(character, " "))
            if room < 0:
                return head[:index]
        return head
