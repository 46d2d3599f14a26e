"""The finance scorer: a linear model over words, pairs of words and events, trained on labelled posts and headlines.

Its score is p(positive) - p(negative), stretched so that the labels follow the threshold all scorers share. Since the
model is linear, what each word did to the score can be told exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from dashapp.ingest.scoring.features import Features, features_of
from dashapp.ingest.scoring.model import NO_WEIGHT, WEIGHT_SCALE, Model, Weight, load_model, slope_of_stretch, stretched
from dashapp.ingest.scoring.scorer import Explanation, Sentiment, WordShare
from dashapp.ingest.scoring.words import read, shown_words
from dashapp.model.score import label_of, quantise

_KEPT_TEXTS = 8_192  # of one text hundreds of copies come, near each other
# Of how many steps the way from an empty text to the text is made where the score is shared out.
_STEPS = 64


class Finance:
    """Scores by a model file; without a path by the one that comes with Tickertone.

    An empty text scores 0, and so does one of which it knows no word. About 30,000 headlines a second.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.model = load_model(path or files(__package__) / "finance.npz")
        self.name = str(self.model.card["name"])
        self.version = str(self.model.card["version"])
        self._kept = lru_cache(_KEPT_TEXTS)(self._score)

    def score(self, texts: Sequence[str]) -> list[Sentiment]:
        """One sentiment for each text, in order; the confidence is the probability of its label."""
        return [self._kept(text) for text in texts]

    def explain(self, text: str) -> Explanation:
        """The score of a text, shared out among its words so that the shares add up to it.

        Each share is what its word adds on the straight way from an empty text, which scores 0, to this one, with all
        words growing at the same pace (integrated gradients). A feature of several words is shared equally.
        """
        features = features_of(read(text))
        weights = weights_by_word(self.model, features)
        total = sum(weights, NO_WEIGHT)
        score = self._score(text).score
        for_positive, for_negative = _slopes(self.model, total)
        shares = [weight.real * for_positive + weight.imag * for_negative for weight in weights]
        # The slopes are means over steps, which miss a little of the way; it is spread over all.
        missed, size = score - sum(shares), sum(map(abs, shares)) or 1.0
        return Explanation(
            score,
            tuple(
                WordShare(word, share + missed * abs(share) / size)
                for word, share in zip(shown_words(text), shares, strict=True)
            ),
        )

    def _score(self, text: str) -> Sentiment:
        weight = weight_of(self.model, features_of(read(text)))
        positive, neutral, negative = self.model.probabilities(weight)
        score = stretched(positive - negative, self.model.boundary)
        chosen = {"positive": positive, "neutral": neutral, "negative": negative}[label_of(quantise(score))]
        return Sentiment(score, chosen)


def weight_of(model: Model, features: Features) -> Weight:
    """What the features of a text weigh together; exact, since weights are whole numbers."""
    # Most pairs have none, and it is what is added that takes time.
    weight = sum(filter(None, map(model.words.get, features.words)), NO_WEIGHT)
    weight += sum(filter(None, map(model.pairs.get, features.pairs)), NO_WEIGHT)
    weight += sum(filter(None, map(model.skips.get, features.skips)), NO_WEIGHT)
    for event in features.events:
        weight += model.events.get(event.key, NO_WEIGHT)
    return weight


def weights_by_word(model: Model, features: Features) -> list[Weight]:
    """The same weight, by the places of the words it stands on."""
    last = len(features.words) - 1
    weights = [model.words.get(word, NO_WEIGHT) for word in features.words]
    stands_on: list[tuple[Weight | None, tuple[int, ...]]] = [
        (model.pairs.get(pair), (place - 1, place)) for place, pair in enumerate(features.pairs)
    ]
    stands_on += [(model.skips.get(skip), (place, place + 2)) for place, skip in enumerate(features.skips)]
    stands_on += [(model.events.get(event.key), event.places) for event in features.events]
    for weight, places in stands_on:
        held = [place for place in places if 0 <= place <= last]
        if weight is not None:
            for place in held:
                weights[place] += weight / len(held)
    return weights


def _slopes(model: Model, total: Weight) -> tuple[float, float]:
    """How much a thousandth for positive and one for negative move the score, on the average of the way there."""
    for_positive = for_negative = 0.0
    for step in range(_STEPS):
        positive, _, negative = model.probabilities(total * ((step + 0.5) / _STEPS))
        difference = positive - negative
        slope = slope_of_stretch(difference, model.boundary) / WEIGHT_SCALE / _STEPS
        for_positive += positive * (1 - difference) * slope
        for_negative -= negative * (1 + difference) * slope
    return for_positive, for_negative
