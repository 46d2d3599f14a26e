"""FinBERT, or any transformer that tells positive, neutral and negative apart; needs `pip install tickertone[finbert]`.

Dearer by a factor of hundreds than the default scorer, and better where a sentence must be understood as a whole.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from dashapp.errors import BadModel
from dashapp.ingest.scoring.engine import load_engine
from dashapp.ingest.scoring.scorer import Sentiment
from dashapp.ingest.scoring.words import MAX_READ_CHARS
from dashapp.model.score import label_of, quantise

_SIGNS = {"positive": 1, "neutral": 0, "negative": -1, "bullish": 1, "bearish": -1}
_BATCH_TEXTS = 32
# How many texts are read at a time: enough for many of one length, few enough to hold their tokens.
_READ_TEXTS = 1_024
_MAX_TOKENS = 128  # a headline or post has fewer; of a longer text the beginning counts


class Finbert:
    """Scores by p(positive) - p(negative) of a sequence classifier; the confidence is the probability of its label.

    The version is a digest of the model, so that two models never pass for one. Safe for use by several threads, one
    at a time.
    """

    name = "finbert"

    def __init__(self, place: str = "") -> None:
        """Load a folder, an ONNX file, or an id of the model hub, which is fetched unless it is cached.

        Raises UnknownScorer without the extra, BadModel for what cannot be loaded or has other labels.
        """
        self._engine = load_engine(place, _MAX_TOKENS)
        labels = [label.lower() for label in self._engine.labels]
        self._signs = np.array([_SIGNS.get(label, 0) for label in labels])
        if not {1, -1} <= set(self._signs.tolist()):
            raise BadModel(
                f"{place or self.name} has the labels {', '.join(labels)}; positive and negative are needed."
            )
        self.version = self._engine.version
        self._lock = threading.Lock()

    def score(self, texts: Sequence[str]) -> list[Sentiment]:
        """One sentiment for each text, in order; an empty text scores 0."""
        sentiments = [Sentiment(0.0, None)] * len(texts)
        heads = [" ".join(text[:MAX_READ_CHARS].split()).encode("utf-8", "replace").decode("utf-8") for text in texts]
        with self._lock:
            for places in _pieces([place for place, head in enumerate(heads) if head], _READ_TEXTS):
                tokens = self._engine.tokens([heads[place] for place in places])
                for rows in _batches(tokens):
                    logits = self._engine.logits(np.array([tokens[row] for row in rows], dtype=np.int64))
                    for row, sentiment in zip(rows, self._sentiments(logits), strict=True):
                        sentiments[places[row]] = sentiment
        return sentiments

    def _sentiments(self, logits: NDArray[np.float32]) -> Iterator[Sentiment]:
        odds = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
        chances = odds / odds.sum(axis=1, keepdims=True)
        by_sign = {sign: chances[:, self._signs == sign].sum(axis=1) for sign in (1, 0, -1)}
        for number, difference in enumerate((by_sign[1] - by_sign[-1]).tolist()):
            # Five decimals: what is summed in another order, in a batch of other texts, differs in the seventh.
            score = round(max(-1.0, min(1.0, difference)), 5)
            sign = {"positive": 1, "neutral": 0, "negative": -1}[label_of(quantise(score))]
            yield Sentiment(score, round(min(float(by_sign[sign][number]), 1.0), 5))


def _batches(tokens: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """The places of texts with as many tokens as each other, some at a time.

    None is filled up to the length of another: that would take time, and change what is said of it in the last digits.
    """

    def length(place: int) -> int:
        return len(tokens[place])

    for _, group in groupby(sorted(range(len(tokens)), key=length), key=length):
        yield from _pieces(list(group), _BATCH_TEXTS)


def _pieces(places: list[int], size: int) -> Iterator[list[int]]:
    return (places[first : first + size] for first in range(0, len(places), size))
