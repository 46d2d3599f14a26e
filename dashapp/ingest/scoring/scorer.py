"""Scorers: what turns a text into a sentiment, behind one interface."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Protocol

from dashapp.errors import BadParameter, UnknownScorer
from dashapp.model.item import Item
from dashapp.model.score import Score, quantise


@dataclass(frozen=True, slots=True)
class Sentiment:
    """What a scorer says of a text: a score in [-1, 1], and how sure it is in [0, 1], None when it cannot tell.

    The label follows from the score (`dashapp.model.score.label_of`) and is not kept beside it.
    """

    score: float
    confidence: float | None = None


class Scorer(Protocol):
    """Scores texts. The same name, version and text give the same sentiment, on any machine, for ever."""

    @property
    def name(self) -> str:
        """What it is called, without an @."""

    @property
    def version(self) -> str:
        """What it must be called anew for, as soon as any text would score differently."""

    def score(self, texts: Sequence[str]) -> list[Sentiment]:
        """One sentiment for each text, in order; safe to call from several threads."""


def identity(scorer: Scorer) -> str:
    """`name@version`, which is kept with every score."""
    return f"{scorer.name}@{scorer.version}"


def score_items(items: Sequence[Item], scorer: Scorer) -> tuple[list[Score], list[int]]:
    """The scores of items, and for each the index of the item it is of; scored are only those that came without."""
    unscored = [item for item in items if any(mention.score is None for mention in item.mentions)]
    sentiments = dict(zip(map(id, unscored), scorer.score([item.text for item in unscored]), strict=True))
    scorer_identity = identity(scorer)
    scores, owners = [], []
    for owner, item in enumerate(items):
        for mention in item.mentions:
            if mention.score is None:
                sentiment = sentiments[id(item)]
                made_by, value, confidence = scorer_identity, sentiment.score, sentiment.confidence
            else:
                made_by, value, confidence = item.scorer or GIVEN_SCORER, mention.score, mention.confidence
            scores.append(
                Score(
                    item_id=item.id,
                    ticker=mention.ticker,
                    scorer=made_by,
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


_IDENTITY = re.compile(r"(?=.{3,100}$)[\w.+-]+@[\w.+-]+", re.ASCII)


def parse_scorer(text: str) -> str:
    """The `name@version` of whoever made the scores that come with a file; raises BadParameter for anything else."""
    if not _IDENTITY.fullmatch(text):
        raise BadParameter(
            f"scorer {text[:40]!r} is not NAME@VERSION, such as finbert@2: at most 100 characters, "
            "letters, digits and . _ + - on both sides of the @.",
            parameter="scorer",
        )
    return text


# The scorer of scores that came with their items from someone who did not say.
GIVEN_SCORER = "given@1"
DEFAULT_SCORER = "vader"
DEFAULT_SCORER_IDENTITY = f"{DEFAULT_SCORER}@{version('vaderSentiment')}"


def load_scorer(name: str | None = None) -> Scorer:
    """The scorer of that name, or `name@version`; the default one without a name.

    Raises UnknownScorer, which lists those there are, for a name or a version that is not installed.
    """
    wanted, _, wanted_version = (name or DEFAULT_SCORER).partition("@")
    if wanted not in _SCORERS:
        raise UnknownScorer(f"scorer {name!r} is unknown. Use one of: {', '.join(_SCORERS)}.", scorer=name)
    scorer = _SCORERS[wanted]()
    if wanted_version not in ("", scorer.version):
        raise UnknownScorer(f"scorer {name!r} is not installed; {identity(scorer)} is.", scorer=name)
    return scorer


def _vader() -> Scorer:
    # Here, since it knows this module; and a scorer is a heavy thing to import for those who use another.
    from dashapp.ingest.scoring.vader import Vader

    return Vader()


_SCORERS: dict[str, Callable[[], Scorer]] = {"vader": _vader}
