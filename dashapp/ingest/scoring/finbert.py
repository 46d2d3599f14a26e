"""FinBERT, or any transformer that tells positive, neutral and negative apart; needs `pip install tickertone[finbert]`.

Dearer by a factor of hundreds than the default scorer, and better where a sentence must be understood as a whole.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from typing import Any

from dashapp.errors import BadModel, UnknownScorer
from dashapp.ingest.scoring.scorer import Sentiment
from dashapp.model.score import label_of, quantise

HUB_ID = "ProsusAI/finbert"
_SIGNS = {"positive": 1, "neutral": 0, "negative": -1, "bullish": 1, "bearish": -1}
_BATCH_TEXTS = 32
_MAX_TOKENS = 128  # a headline or post has fewer; of a longer text the beginning counts


class Finbert:
    """Scores by p(positive) - p(negative) of a sequence classifier; the confidence is the probability of its label.

    The version is a digest of the weights, so that two models never pass for one. Safe for use by several threads, one
    at a time.
    """

    name = "finbert"

    def __init__(self, place: str = "") -> None:
        """Load a folder, or an id of the model hub, which is fetched unless it is cached; raises UnknownScorer
        without the extra, BadModel for what cannot be loaded or has other labels."""
        try:
            import torch
            import transformers
        except ImportError as error:
            raise UnknownScorer("scorer finbert needs more: pip install tickertone[finbert].") from error
        self._torch: Any = torch
        place = place or HUB_ID
        try:
            self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(place)
            self._model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(place).eval()
        except (OSError, ValueError) as error:
            raise BadModel(f"{place} cannot be loaded as a transformer: {error}") from error
        labels = {int(index): str(label).lower() for index, label in self._model.config.id2label.items()}
        if not {1, -1} <= {_SIGNS.get(label) for label in labels.values()}:
            raise BadModel(f"{place} has the labels {', '.join(labels.values())}; positive and negative are needed.")
        self._signs = [_SIGNS.get(labels[index], 0) for index in range(len(labels))]
        self.version = _digest(self._model)
        self._lock = threading.Lock()

    def score(self, texts: Sequence[str]) -> list[Sentiment]:
        """One sentiment for each text, in order; an empty text scores 0."""
        sentiments = [Sentiment(0.0, None)] * len(texts)
        # Texts of like length together: a batch takes as long as its longest.
        order = sorted((place for place, text in enumerate(texts) if text.strip()), key=lambda place: len(texts[place]))
        with self._lock, self._torch.inference_mode():
            for first in range(0, len(order), _BATCH_TEXTS):
                places = order[first : first + _BATCH_TEXTS]
                tokens = self._tokenizer(
                    [texts[place] for place in places],
                    padding=True,
                    truncation=True,
                    max_length=_MAX_TOKENS,
                    return_tensors="pt",
                )
                for place, row in zip(places, self._model(**tokens).logits.softmax(-1).tolist(), strict=True):
                    sentiments[place] = self._sentiment(row)
        return sentiments

    def _sentiment(self, row: Sequence[float]) -> Sentiment:
        by_sign = {
            sign: sum(p for p, each in zip(row, self._signs, strict=True) if each == sign) for sign in (1, 0, -1)
        }
        # Five decimals: what sums in another order, in a batch of other texts, differs in the seventh.
        score = round(max(-1.0, min(1.0, by_sign[1] - by_sign[-1])), 5)
        chosen = {"positive": 1, "neutral": 0, "negative": -1}[label_of(quantise(score))]
        return Sentiment(score, min(by_sign[chosen], 1.0))


def _digest(model: Any) -> str:
    digest = hashlib.blake2b(digest_size=4)
    for name, values in sorted(model.state_dict().items()):
        digest.update(name.encode("utf-8"))
        digest.update(values.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
